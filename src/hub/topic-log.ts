/**
 * One topic in a worker: its newest publications, the audiences that want it, and what it owes them in `lost` counts.
 * Catching up after a stall, the newest value at subscribe and recovery are all reads of this log.
 */
import { type ByteString, toByteString } from "../base/byte-string.ts";
import type { Audience } from "./audience.ts";
import { Entry } from "./entry.ts";
import type { Reader } from "./reader.ts";
import type { Ring, RingBytes } from "./ring-bytes.ts";
import { Sampler } from "./sampler.ts";

/** What the hub must know of a topic: its name and its rule. */
export interface HubTopic {
  readonly name: string;
  readonly delivery: "latest" | "every" | "sample";
  /** Only read for `sample`. */
  readonly samplePerSecMax: number;
  readonly history: { readonly size: number; readonly ttlMs: number } | null;
  /**
   * Whether its publications may be compressed together with those of other topics. Not where clients publish, nor
   * where a token is needed: in one window, what an attacker writes and how long the whole becomes would tell of what
   * else is in it (CRIME).
   */
  readonly sharesCompression: boolean;
}

/** A topic as one of the topics of an audience. */
export class AudienceTopic {
  readonly audience: Audience;
  readonly log: TopicLog;
  /** Own place in `log.audiences`. */
  index: number;
  /** Place of the topic's newest entry in `audience.pending`, or -1. Only kept for `latest`. */
  pendingIndex = -1;
  /** Arrivals up to which it is counted what was replaced, while there is such an entry. */
  countedArrivals = 0;

  constructor(audience: Audience, log: TopicLog, index: number) {
    this.audience = audience;
    this.log = log;
    this.index = index;
  }
}

export class TopicLog implements Ring {
  readonly topic: HubTopic;
  /** Random, for the hash of topic sets (Zobrist 1970): sets change their hash in O(1) per topic. */
  readonly hash: number;
  readonly sampler: Sampler | null;
  /** False until the broker has answered; nothing is published before. */
  isOpen = false;
  epoch: string | null = null;
  seq = 0;
  /**
   * The epochs before, newest first, where the log went on in a new one (a failover), and the last seq up to which each
   * is the same log as this: the `seq` of an older one is never above that of a newer.
   */
  formers: readonly { readonly epoch: string; readonly seq: number }[] = [];
  /** Publications that arrived in this worker, those left out of a sample included. */
  arrived = 0;
  /** Publications that came live, and when the newest of them did: what was read at the opening is of unknown age. */
  publications = 0;
  publishedMs = Number.NEGATIVE_INFINITY;
  /** The newest publication, or null. */
  newest: Entry | null = null;
  readonly audiences: AudienceTopic[] = [];
  /** Requests that wait for the broker. */
  waiting = 0;
  /** Since when nobody wants it; null while somebody does. */
  idleSinceMs: number | null = null;
  /** `order` of the newest entry that fell out of the ring. */
  evictedOrder = 0;
  /** `order` at which the present epoch began. */
  epochOrder = 0;
  /** Publications left out of the sample since the last `lost` event. */
  leftOut = 0;
  isLostScheduled = false;
  /** Readers for whom `leftOut` is not the number to tell: what to subtract. Joined, or was told, since the last event. */
  readonly leftOutCorrections = new Map<Reader, number>();
  /** `{"topic":"…"`, with which every native publication begins. */
  readonly prefix: ByteString;
  readonly #ring: Entry[] = [];
  readonly #ringMax: number;
  /** Null for `latest`: its only entry is the topic's value. */
  readonly #ringBytes: RingBytes | null;
  /** `latest` only: the newest entry waits in every audience, and each of them for the end of an interval. */
  #isPendingForAll = false;
  /** Memberships that lag and have this topic. */
  #lagging = 0;
  /** Place of the oldest entry once the ring is full. */
  #oldest = 0;

  constructor(topic: HubTopic, ringMessagesMax: number, ringBytes: RingBytes, random: () => number) {
    this.topic = topic;
    this.hash = Math.floor(random() * 0x1_0000_0000);
    this.sampler = topic.delivery === "sample" ? new Sampler(topic.samplePerSecMax, random) : null;
    this.#ringMax = topic.delivery === "latest" ? 1 : ringMessagesMax;
    this.#ringBytes = topic.delivery === "latest" ? null : ringBytes;
    this.prefix = toByteString(Buffer.from(`{"topic":${JSON.stringify(topic.name)}`));
  }

  /** Makes the topic's next entry and counts it. It is in the ring only after `keep`. */
  arrive(order: number, seq: number, data: ByteString, origin: string | null, nowMs: number): Entry {
    this.arrived += 1;
    if (seq !== 0) this.seq = seq;
    const entry = new Entry(this, order, this.arrived, seq, data, origin, nowMs);
    this.newest = entry;
    return entry;
  }

  /**
   * `latest` only: puts a publication in the place of the newest one, if that still waits in all audiences, so that
   * nothing has to be done for any of them. False: it must be made by `arrive`, and appended to them.
   */
  replace(order: number, seq: number, data: ByteString, origin: string | null, nowMs: number): boolean {
    const { newest } = this;
    if (!this.#isPendingForAll || newest === null || newest.isTaken) return false;
    this.arrived += 1;
    if (seq !== 0) this.seq = seq;
    newest.become(order, this.arrived, seq, data, origin, nowMs);
    return true;
  }

  /** The newest entry has been appended to all audiences that have readers. */
  appended(): void {
    this.#isPendingForAll =
      this.topic.delivery === "latest" &&
      // Of those who want all at once it is counted what they want: they are asked each time.
      this.audiences.every(({ pendingIndex, audience }) => pendingIndex !== -1 && audience.classMs !== 0);
  }

  /**
   * Puts an entry into the ring, if anybody may ask for it once it is flushed. What nobody may ask for dies young: kept
   * for seconds, each publication is copied by the collector twice (docs/adr/0006-kept-by-demand.md).
   */
  keep(entry: Entry): void {
    if (this.#lagging > 0 || this.#isForAll(entry)) this.#push(entry);
  }

  #push(entry: Entry): void {
    if (this.#ring.length < this.#ringMax) this.#ring.push(entry);
    else {
      const evicted = this.#at(0);
      this.evictedOrder = evicted.order;
      this.#ringBytes?.removed(evicted.data.length);
      this.#ring[this.#oldest] = entry;
      this.#oldest = (this.#oldest + 1) % this.#ringMax;
    }
    this.#ringBytes?.added(this, entry.data.length);
  }

  get newestOrder(): number {
    return this.newest?.order ?? 0;
  }

  empty(): void {
    const last = this.#ring.length - 1;
    if (last >= 0) this.evictedOrder = Math.max(this.evictedOrder, this.#at(last).order);
    this.#forgetAll();
  }

  dropOldest(): boolean {
    if (this.#ring.length <= 1) return false;
    const oldest = this.#at(0);
    this.evictedOrder = oldest.order;
    this.#ringBytes?.removed(oldest.data.length);
    this.#ring.splice(0, this.#ring.length, ...this.#entries().slice(1));
    this.#oldest = 0;
    return true;
  }

  /** The topic is closed. */
  close(): void {
    this.isOpen = false;
    this.#ringBytes?.empty(this);
  }

  #forgetAll(): void {
    if (this.#ringBytes !== null) {
      let bytes = 0;
      for (const entry of this.#ring) bytes += entry.data.length;
      this.#ringBytes.removed(bytes);
    }
    this.#ring.length = 0;
    this.#oldest = 0;
  }

  /**
   * A membership with this topic begins to lag: from now on all is kept.
   * @param owed what it has not been given of what arrived until now, ascending by `order`.
   */
  beginLag(owed: readonly Entry[]): void {
    this.#lagging += 1;
    const unkept = owed.filter((entry) => entry.order > this.evictedOrder && !this.#isForAll(entry));
    if (unkept.length === 0) return;
    // Another audience, flushed later than this one, may have put newer ones here already, or the same.
    const all = [...new Set([...this.#entries(), ...unkept])];
    this.#refill(all.toSorted((left, right) => left.order - right.order));
  }

  endLag(): void {
    this.#lagging -= 1;
    if (this.#lagging > 0) return;
    if (this.#ring.every((entry) => this.#isForAll(entry))) return;
    this.#refill(this.#entries().filter((entry) => this.#isForAll(entry)));
  }

  /**
   * Whether others than those who lag may ask for an entry: who comes back asks for those that have a `seq`. Topics
   * that are not `every` keep few.
   */
  #isForAll({ seq }: Entry): boolean {
    return seq !== 0 || this.topic.delivery !== "every";
  }

  #entries(): Entry[] {
    return [...this.#ring.slice(this.#oldest), ...this.#ring.slice(0, this.#oldest)];
  }

  #refill(entries: readonly Entry[]): void {
    this.#forgetAll();
    for (const entry of entries) this.#push(entry);
  }

  /** Forgets all entries: the log below began a new life. Whoever has not read them finds them evicted. */
  clear(order: number): void {
    this.#forgetAll();
    this.newest = null;
    this.evictedOrder = order;
  }

  /** Appends the kept entries after `order` to `into`, oldest first. */
  entriesAfter(order: number, into: Entry[]): void {
    const length = this.#ring.length;
    let from = length;
    while (from > 0 && this.#at(from - 1).order > order) from -= 1;
    for (let at = from; at < length; at += 1) into.push(this.#at(at));
  }

  /**
   * The publications with `seq` in (`since`, the log's], oldest first, or null when the ring has not all of them.
   * `since` is of the log's own epoch.
   */
  recover(since: number): Entry[] | null {
    const found: Entry[] = [];
    let wanted = this.seq;
    for (let at = this.#ring.length - 1; at >= 0 && wanted > since; at -= 1) {
      const entry = this.#at(at);
      if (entry.seq === 0) continue;
      if (entry.seq !== wanted) return null;
      found.push(entry);
      wanted -= 1;
    }
    return wanted <= since ? found.toReversed() : null;
  }

  /** The topic's value for a reader that arrives now; null when there is none or its time is over. */
  value(nowMs: number): Entry | null {
    const history = this.topic.history;
    if (history === null || this.newest === null) return null;
    return nowMs - this.newest.receivedMs < history.ttlMs ? this.newest : null;
  }

  addAudience(audience: Audience): AudienceTopic {
    const membership = new AudienceTopic(audience, this, this.audiences.length);
    this.audiences.push(membership);
    this.#isPendingForAll = false;
    return membership;
  }

  removeAudience(member: AudienceTopic): void {
    const last = this.audiences.pop();
    if (last === undefined || last === member) return;
    this.audiences[member.index] = last;
    last.index = member.index;
  }

  #at(index: number): Entry {
    // Within bounds: callers count from 0 to the ring's length, which is never sparse.
    return this.#ring[(this.#oldest + index) % this.#ring.length] as Entry;
  }
}
