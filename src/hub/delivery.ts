/**
 * How entries reach readers: the flush of an audience, the private reads of those who join or return, and the
 * verdict that a reader lags. A lagging reader owns no queue: it leaves with a cursor and later reads the logs.
 */
import { TokenBucket } from "../base/token-bucket.ts";
import { Slab } from "../codec/slab.ts";
import type { Audience } from "./audience.ts";
import { catchUpSlice, type CatchUpSlice } from "./catch-up.ts";
import { CatchUpBytes } from "./catch-up-bytes.ts";
import type { Entry, Variant } from "./entry.ts";
import type { HubCounters } from "./hub-counters.ts";
import type { Membership, Reader } from "./reader.ts";
import { isWorthCompressing, seal, sealCompressed } from "./seal.ts";
import { Sweep } from "./sweep.ts";
import type { TopicLog } from "./topic-log.ts";
import type { TurnBudget } from "./turn-budget.ts";

/** Room for the sealed batches of a flush. 256 KiB holds 1,000 quotes; a larger batch gets a buffer of its own. */
const slabBytes = 262_144;
/**
 * Compressing costs about 1.5 µs a publication, a write 6 to 10: shared by so many readers it adds at most a quarter.
 * Smaller audiences are compressed for while they need little, 3 % of a core.
 */
const compressReadersMin = 16;
const compressForFewPerSec = 20_000;
/** A reader is told of a `sample` topic's losses at most once in this time. */
export const lostIntervalMs = 1000;
const none: readonly Entry[] = [];

export class Delivery {
  /** The newest entry's `order`. */
  order = 0;
  readonly #counters: HubCounters;
  readonly #catchUpBytesMax: number;
  readonly #onUntold: (log: TopicLog) => void;
  readonly #slab = new Slab(slabBytes);
  readonly #catchUpBytes = new CatchUpBytes();
  readonly #compressForFew = new TokenBucket(compressForFewPerSec, 0);

  /** @param onUntold a reader that lagged has missed publications of a `sample` topic and must be told how many. */
  constructor(counters: HubCounters, catchUpBytesMax: number, onUntold: (log: TopicLog) => void) {
    this.#counters = counters;
    this.#catchUpBytesMax = catchUpBytesMax;
    this.#onUntold = onUntold;
  }

  /**
   * Gives the audience's pending entries to all who are in it, or goes on doing so.
   * @param budget stops when this is spent.
   * @returns whether it is done; if not, call it again.
   */
  flush(audience: Audience, nowMs: number, budget: TurnBudget): boolean {
    if (audience.sweep === null) this.#beginFlush(audience, nowMs);
    const { sweep, members } = audience;
    if (sweep === null) return true;
    for (let membership = sweep.next(members); membership !== null; membership = sweep.next(members)) {
      this.#serve(membership, sweep);
      if (budget.isSpent) return false;
    }
    audience.sweep = null;
    // Slower rate classes wait on purpose.
    const oldest = sweep.entries[0];
    if (oldest !== undefined && audience.classMs === 0) this.#counters.noteWritten(oldest.receivedMs);
    if (sweep.isTakenByAll) this.#slab.release(sweep.bytes);
    return true;
  }

  #beginFlush(audience: Audience, nowMs: number): void {
    const entries = audience.takePending();
    audience.flushedMs = nowMs;
    this.#counters.addConflated(audience.classMs, audience.conflated);
    audience.conflated = 0;
    this.#counters.flushes += 1;
    const memberCount = audience.members.length;
    if (entries.length > 0 && memberCount > 0) {
      // Another one is first each time, so that nobody is always last. 7,919 is a prime.
      const start = (this.#counters.flushes * 7919) % memberCount;
      const bytes = this.#sealForAll(audience, entries, nowMs);
      audience.sweep = new Sweep(entries, bytes, this.order, start);
    }
    // These have cursors of their own, and are members with nothing owed to them afterwards.
    for (const membership of audience.joining.splice(0)) {
      membership.index = -1;
      if (this.#giveOwn(membership, entries)) this.attach(membership);
    }
    for (const membership of audience.returning.splice(0)) {
      membership.index = -1;
      this.catchUp(membership, nowMs);
    }
  }

  /** The bytes that all members are given. */
  #sealForAll({ variant, members }: Audience, entries: readonly Entry[], nowMs: number): Buffer {
    const isCompressed =
      isWorthCompressing(entries, variant) &&
      (members.length >= compressReadersMin || this.#compressForFew.take(entries.length, nowMs));
    return isCompressed
      ? sealCompressed(entries, variant, this.#slab)
      : seal(entries, variant, [], this.#slab);
  }

  #serve(membership: Membership, sweep: Sweep): void {
    const { reader } = membership;
    if (!reader.sink.isWritable) {
      this.#beginLag(membership, membership.cursor, owedTo(membership));
      return;
    }
    membership.cursor = sweep.order;
    if (this.#write(reader, sweep.bytes, sweep.entries.length)) return;
    sweep.isTakenByAll = false;
    this.#beginLag(membership, sweep.order, owedTo(membership));
  }

  /**
   * Gives the reader, on its own, all that was published until now. False when it lags: `drained` will follow.
   * What it then asks for starts from here, with nothing missing and nothing twice.
   */
  settle(reader: Reader, nowMs: number): boolean {
    for (const membership of reader.memberships) {
      if (!reader.sink.isWritable) return false;
      if (membership.state === "lagging") {
        if (!this.catchUp(membership, nowMs)) return false;
        continue;
      }
      const owed = owedTo(membership);
      if (membership.state === "member" && owed.length === 0) continue;
      this.detach(membership);
      if (!this.#giveOwn(membership, owed)) return false;
      this.attach(membership);
    }
    return reader.sink.isWritable;
  }

  /**
   * Lets a lagging reader read the logs from its cursor. True when it has everything and is back in its audience;
   * false when the socket is full again or the reader was closed for a gap.
   */
  catchUp(membership: Membership, nowMs: number): boolean {
    const reader = membership.reader;
    const audience = membership.audience;
    for (;;) {
      if (!reader.sink.isWritable) return false;
      const isLostDue = nowMs - Math.max(reader.lostToldMs, reader.lostToldAloneMs) >= lostIntervalMs;
      const slice = catchUpSlice(membership, this.order, this.#catchUpBytesMax, isLostDue);
      if (slice === null) {
        this.#counters.historyGaps += 1;
        reader.sink.closeForGap();
        return false;
      }
      membership.cursor = slice.cursor;
      this.#counters.addConflated(audience.classMs, slice.conflated);
      this.#counters.overruns += slice.overruns;
      this.#counters.lostEvents += slice.events.length;
      if (slice.events.length > 0) reader.lostToldAloneMs = nowMs;
      if (slice.entries.length > 0 || slice.events.length > 0) {
        this.#giveSlice(reader, audience.variant, slice);
      }
      if (slice.cursor >= this.order) break;
    }
    if (!reader.sink.isWritable) return false;
    this.detach(membership);
    this.attach(membership);
    return true;
  }

  #giveSlice(reader: Reader, variant: Variant, { entries, events }: CatchUpSlice): void {
    const shared = events.length === 0 ? this.#catchUpBytes.find(entries, variant) : null;
    const bytes = shared ?? seal(entries, variant, events, this.#slab);
    const isTaken = this.#write(reader, bytes, entries.length);
    if (shared !== null) return;
    if (isTaken) this.#slab.release(bytes);
    else if (events.length === 0) this.#catchUpBytes.keep(entries, variant, bytes);
  }

  /** Puts a membership that has been given everything up to now into its audience's lists. */
  attach(membership: Membership): void {
    const audience = membership.audience;
    audience.countConflated();
    const list = audience.pending.length === 0 ? audience.members : audience.joining;
    membership.state = list === audience.members ? "member" : "joining";
    membership.cursor = this.order;
    membership.index = list.length;
    list.push(membership);
  }

  /** Takes a membership out of its audience's lists. */
  detach(membership: Membership): void {
    const audience = membership.audience;
    audience.countConflated();
    const list =
      membership.state === "member"
        ? audience.members
        : membership.state === "joining"
          ? audience.joining
          : audience.returning;
    if (membership.index !== -1) {
      const last = list.pop();
      if (last !== undefined && last !== membership) {
        list[membership.index] = last;
        last.index = membership.index;
      }
      membership.index = -1;
      audience.sweep?.disturb();
    }
    if (membership.state === "lagging") this.#endLag(membership);
  }

  /**
   * Gives a reader a message of its own that the rest of the audience does not get, in order with what is pending.
   * @param ownMax of which it may wait for so many. False: they do already.
   */
  giveExtra(membership: Membership, entry: Entry, ownMax: number): boolean {
    if (membership.state === "member") {
      const { audience } = membership;
      // What a sweep on its way still owes it comes with the rest.
      if (audience.sweep?.isOwedTo(membership) === true) membership.extras = [...audience.sweep.entries];
      this.detach(membership);
      membership.state = "joining";
      membership.index = audience.joining.length;
      audience.joining.push(membership);
    }
    const extras = (membership.extras ??= []);
    // What a sweep owed it is among them too, and may be as much as it likes.
    if (extras.length >= ownMax && ownOf(membership.reader, extras).length >= ownMax) return false;
    extras.push(entry);
    return true;
  }

  /** Writes frames that are no publications. */
  writeEvent(reader: Reader, bytes: Uint8Array): void {
    this.#counters.lostEvents += 1;
    this.#write(reader, bytes, 0);
  }

  /** Writes what a detached, not lagging membership has not got of `owed`, and its extras. False: it lags now. */
  #giveOwn(membership: Membership, owed: readonly Entry[]): boolean {
    const entries = owed.filter((entry) => entry.order > membership.cursor);
    if (membership.extras !== null) {
      entries.push(...membership.extras);
      entries.sort((left, right) => left.order - right.order);
    }
    const reader = membership.reader;
    if (entries.length === 0 && reader.sink.isWritable) return true;
    if (!reader.sink.isWritable) {
      this.#beginLag(membership, membership.cursor, entries);
      return false;
    }
    membership.extras = null;
    const bytes = seal(entries, membership.audience.variant, [], this.#slab);
    if (this.#write(reader, bytes, entries.length)) {
      this.#slab.release(bytes);
      return true;
    }
    this.#beginLag(membership, this.order, none);
    return false;
  }

  #write(reader: Reader, bytes: Uint8Array, deliveries: number): boolean {
    this.#counters.writes += 1;
    this.#counters.deliveries += deliveries;
    this.#counters.bytesOut += bytes.length;
    return reader.sink.write(bytes);
  }

  /** @param undelivered what it has not been given of the arrivals up to now. */
  #beginLag(membership: Membership, cursor: number, undelivered: readonly Entry[]): void {
    this.detach(membership);
    membership.state = "lagging";
    membership.cursor = cursor;
    const reader = membership.reader;
    const accounted = new Map<TopicLog, number>();
    for (const log of membership.audience.topics.keys()) {
      const untold = log.leftOut - (log.leftOutCorrections.get(reader) ?? 0);
      accounted.set(log, log.arrived - untold);
    }
    const owed = new Map<TopicLog, Entry[]>();
    for (const entry of undelivered) {
      const { log } = entry;
      accounted.set(log, (accounted.get(log) ?? 0) - 1);
      const entries = owed.get(log);
      if (entries === undefined) owed.set(log, [entry]);
      else entries.push(entry);
    }
    membership.accounted = accounted;
    for (const log of accounted.keys()) log.beginLag(owed.get(log) ?? none);
    // The ring may move past its own messages; they wait for it.
    const own = ownOf(reader, undelivered);
    membership.extras = own.length === 0 ? null : own;
    reader.laggingCount += 1;
    if (reader.laggingCount === 1) this.#counters.laggingReaders += 1;
  }

  #endLag(membership: Membership): void {
    const reader = membership.reader;
    for (const [log, accounted] of membership.accounted ?? []) {
      log.endLag();
      if (log.sampler === null) continue;
      // What was neither delivered nor told is told with the crowd's count.
      const untold = log.arrived - accounted;
      const correction = log.leftOut - untold;
      if (correction === 0) log.leftOutCorrections.delete(reader);
      else log.leftOutCorrections.set(reader, correction);
      if (untold > 0) this.#onUntold(log);
    }
    membership.accounted = null;
    membership.extras = null;
    membership.state = "joining";
    reader.laggingCount -= 1;
    if (reader.laggingCount === 0) this.#counters.laggingReaders -= 1;
  }
}

/** A reader's own messages on `sample` topics: it gets them also when they are left out for the others. */
function ownOf({ id }: Reader, entries: readonly Entry[]): Entry[] {
  return entries.filter(({ log, origin }) => log.sampler !== null && origin === id);
}

/** What a member, or one that joins, has not been given of all that was published. Ascending by `order`. */
function owedTo(membership: Membership): readonly Entry[] {
  const { pending, sweep } = membership.audience;
  // One that joins has what the sweep owed it among its extras.
  if (membership.state === "member" && sweep?.isOwedTo(membership) === true)
    return [...sweep.entries, ...pending];
  return pending;
}
