/**
 * The heart of a worker: which readers want which topics, what each topic's newest publications are, and who must be
 * given what at the next turn. In memory and synchronous; knows no socket, timer, clock or promise. Its owner passes
 * the time in and calls `turn` when `wake` asks for it.
 */
import { toByteString } from "../base/byte-string.ts";
import type { Audience } from "./audience.ts";
import { Delivery, lostIntervalMs } from "./delivery.ts";
import { DueQueue } from "./due-queue.ts";
import { FlushOrder } from "./flush-order.ts";
import { seesPositions, type Entry, type Variant } from "./entry.ts";
import { HubCounters } from "./hub-counters.ts";
import { LostEvents } from "./lost-events.ts";
import { Memberships } from "./memberships.ts";
import type { Wish } from "./memberships.ts";
import { Reader } from "./reader.ts";
import type { ReaderSink } from "./reader.ts";
import { RingBytes } from "./ring-bytes.ts";
import { TopicLog } from "./topic-log.ts";
import type { HubTopic } from "./topic-log.ts";
import { TurnBudget } from "./turn-budget.ts";

/** Where topics come from: the broker, through the worker. Never calls back from within these. */
export interface TopicSource {
  /** @param log where its publications go, by `Hub.publish`. */
  open(topic: HubTopic, log: TopicLog): void;
  close(topic: string): void;
}

export interface HubOptions {
  /** Publications that each `every` or `sample` topic keeps for those who fall behind. */
  readonly ringMessagesMax: number;
  /** Bytes of all publications that are kept so. */
  readonly ringBytesMax: number;
  /** What a topic kept had to go for that. */
  readonly onRingEmptied: () => void;
  /** How long a topic that nobody wants stays open, so that page reloads do not flap. */
  readonly lingerMs: number;
  /** How long a request waits for the broker to open its topics. */
  readonly openTimeoutMs: number;
  /** Most bytes that a returning reader is given in one write. */
  readonly catchUpBytesMax: number;
  /** Uniform in [0, 1); tests pass their own. */
  readonly random: () => number;
  /** Asks for a `turn` at `dueMs`, or before. */
  readonly wake: (dueMs: number) => void;
}

/** A position as the broker names it. */
interface LogPosition {
  readonly epoch: string;
  readonly seq: number;
}

/** A request for topics that are not all open yet. */
export interface OpenRequest {
  /** Nobody is interested any longer: `done` will not be called. */
  cancel(): void;
}

interface Waiter {
  missing: number;
  finish: (() => void) | null;
}

/** Publications of one audience that come within this time would share a write even if there were no window. */
const wantedEachMs = 1;
/** Timeouts and closings of one turn: somebody who leaves 1,024 topics is not to keep the others waiting. */
const actionsPerTurn = 64;
/** For an owner without a clock a turn ends by its writes alone. */
const noClock = (): number => 0;

export class Hub {
  readonly counters = new HubCounters();
  readonly #options: HubOptions;
  readonly #source: TopicSource;
  readonly #logs = new Map<string, TopicLog>();
  readonly #waiters = new Map<TopicLog, Set<Waiter>>();
  readonly #readers = new Map<string, Reader>();
  readonly #memberships: Memberships;
  readonly #delivery: Delivery;
  readonly #lost: LostEvents;
  readonly #ringBytes: RingBytes;
  readonly #due = new FlushOrder();
  readonly #budget = new TurnBudget(this.counters);
  readonly #later = new DueQueue<(nowMs: number) => void>();
  /** True while bytes are being written: nobody joins or leaves an audience then. */
  #isWriting = false;
  /** Readers that went meanwhile. */
  readonly #removed: Reader[] = [];
  #nowMs = 0;

  constructor(options: HubOptions, source: TopicSource) {
    this.#options = options;
    this.#source = source;
    this.#delivery = new Delivery(this.counters, options.catchUpBytesMax, (log) => this.#scheduleLost(log));
    this.#lost = new LostEvents(this.#delivery);
    this.#ringBytes = new RingBytes(options.ringBytesMax, options.onRingEmptied);
    this.#memberships = new Memberships(this.counters, this.#delivery, {
      after: (delayMs, action) => this.#after(delayMs, action),
      settle: (reader, nowMs) => this.settle(reader, nowMs),
      noteInterest: (log) => this.#noteInterest(log),
    });
  }

  // ---- topics, as the broker tells them ----

  /** The broker has opened a topic. `entries` are the newest ones, oldest first, up to `position`. */
  opened(
    name: string,
    position: LogPosition | null,
    entries: Iterable<{ readonly seq: number; readonly data: Uint8Array }>,
    nowMs: number,
  ): void {
    const log = this.#logs.get(name);
    if (log === undefined || log.isOpen) return;
    this.#nowMs = nowMs;
    for (const { seq, data } of entries) {
      log.keep(log.arrive(this.#nextOrder(), seq, toByteString(data), null, nowMs));
    }
    log.epoch = position?.epoch ?? null;
    log.seq = position?.seq ?? 0;
    log.isOpen = true;
    const waiters = this.#waiters.get(log) ?? new Set();
    this.#waiters.delete(log);
    for (const waiter of waiters) {
      waiter.missing -= 1;
      if (waiter.missing === 0) waiter.finish?.();
    }
  }

  /**
   * A publication has arrived. Cost: one entry, one append per audience of the topic; nothing per reader.
   * @param topic its name, or, found without a search, its log.
   * @param bytes hold its JSON from `start` to `end`; borrowed until return. @param origin id of the publishing connection.
   */
  publish(
    topic: string | TopicLog,
    seq: number,
    bytes: Uint8Array,
    origin: string | null,
    nowMs: number,
    start = 0,
    end = bytes.length,
  ): void {
    const log = typeof topic === "string" ? this.#logs.get(topic) : topic;
    if (log === undefined || !log.isOpen) return;
    this.#nowMs = nowMs;
    this.counters.publications += 1;
    log.publications += 1;
    log.publishedMs = nowMs;
    const data = toByteString(bytes, start, end);
    const order = this.#nextOrder();
    if (log.replace(order, seq, data, origin, nowMs)) return;
    const entry = log.arrive(order, seq, data, origin, nowMs);
    if (log.sampler !== null && !log.sampler.take(nowMs)) {
      this.#leaveOut(log, 1);
      this.#giveToSender(entry);
      return;
    }
    log.keep(entry);
    if (log.sampler !== null) this.#saveForLaggingSender(entry);
    for (const member of log.audiences) {
      const { audience } = member;
      audience.append(member, entry);
      if (audience.classMs === 0 && nowMs - audience.wantedMs >= wantedEachMs) {
        audience.wantedMs = nowMs;
        this.counters.wantedWrites += audience.members.length;
      }
      if (!audience.isScheduled && audience.pending.length > 0) this.#schedule(audience);
    }
    log.appended();
  }

  /**
   * Publications between the last one and `position` cannot be had. Readers of an `every` topic are closed and
   * resume; those of a `sample` topic are told when the number is known; `latest` goes on.
   */
  gap(name: string, position: LogPosition, lostCount: number | null, nowMs: number): void {
    const log = this.#logs.get(name);
    if (log === undefined) return;
    this.#nowMs = nowMs;
    const isNewEpoch = log.epoch !== position.epoch;
    log.epoch = position.epoch;
    log.seq = position.seq;
    const isEvery = log.topic.delivery === "every";
    if (isEvery || isNewEpoch) {
      // A place of its own among the entries: also a reader that was given all before it has missed something.
      log.clear(this.#nextOrder());
      if (isNewEpoch) {
        log.epochOrder = log.evictedOrder;
        log.former = null;
      }
      for (const reader of readersOf(log)) {
        // `seq` begins anew: whoever was told positions would take what comes now for older than what it has.
        if (!isEvery && !seesPositions(reader.variant)) continue;
        this.counters.historyGaps += 1;
        reader.sink.closeForGap();
      }
    }
    if (log.sampler !== null && lostCount !== null) {
      log.arrived += lostCount;
      this.#leaveOut(log, lostCount);
    }
  }

  /** The topic's log goes on in a new epoch, `seq` counts on. Its next publication tells readers so. */
  renamed(name: string, epoch: string): void {
    const log = this.#logs.get(name);
    if (log === undefined) return;
    log.former = log.epoch === null ? null : { epoch: log.epoch, seq: log.seq };
    log.epoch = epoch;
  }

  /** A log that is about to be opened went on from another epoch: up to `former` both are the same. */
  linked(name: string, former: LogPosition): void {
    const log = this.#logs.get(name);
    if (log !== undefined && !log.isOpen) log.former = former;
  }

  /** Bytes of the publications that all logs keep. */
  get ringBytes(): number {
    return this.#ringBytes.bytes;
  }

  // ---- readers, as sessions ask ----

  addReader(id: string, sink: ReaderSink, variant: Variant): Reader {
    const reader = new Reader(id, sink, variant);
    this.#readers.set(id, reader);
    return reader;
  }

  /** The connection is gone. Idempotent; may be called from within a sink's `write`. */
  remove(reader: Reader, nowMs: number): void {
    if (reader.isRemoved) return;
    reader.isRemoved = true;
    this.#nowMs = nowMs;
    this.#readers.delete(reader.id);
    if (this.#isWriting) this.#removed.push(reader);
    else this.#memberships.leaveAll(reader);
  }

  /**
   * Wants topics open. `done` is called once, as soon as all of them are (perhaps at once), or after the timeout;
   * `null` stands for a topic that did not open in time. Whoever wants publications calls `change` from within `done`.
   */
  open(topics: readonly HubTopic[], nowMs: number, done: (logs: (TopicLog | null)[]) => void): OpenRequest {
    this.#nowMs = nowMs;
    const logs = topics.map((topic) => this.#logs.get(topic.name) ?? this.#create(topic));
    const closed = new Set(logs.filter((log) => !log.isOpen));
    for (const log of logs) {
      log.waiting += 1;
      this.#noteInterest(log);
    }
    const waiter: Waiter = { missing: closed.size, finish: null };
    const end = (): void => {
      if (waiter.finish === null) return;
      waiter.finish = null;
      // While a broker is away for long, those who gave up must not pile up.
      for (const log of closed) {
        const waiters = this.#waiters.get(log);
        waiters?.delete(waiter);
        if (waiters?.size === 0) this.#waiters.delete(log);
      }
      for (const log of logs) {
        log.waiting -= 1;
        this.#noteInterest(log);
      }
    };
    const finish = (): void => {
      done(logs.map((log) => (log.isOpen ? log : null)));
      end();
    };
    waiter.finish = finish;
    if (closed.size === 0) {
      finish();
      return { cancel: () => undefined };
    }
    for (const log of closed) {
      const waiters = this.#waiters.get(log);
      if (waiters === undefined) this.#waiters.set(log, new Set([waiter]));
      else waiters.add(waiter);
    }
    this.#after(this.#options.openTimeoutMs, () => waiter.finish?.());
    return { cancel: end };
  }

  /**
   * Gives the reader all that was published for it until now. True: what it is told next, and what it is given after
   * the next `change`, begins here. False: its socket is full; ask again after `drained`.
   */
  settle(reader: Reader, nowMs: number): boolean {
    this.#nowMs = nowMs;
    const wasWriting = this.#isWriting;
    this.#isWriting = true;
    const isSettled = this.#delivery.settle(reader, nowMs);
    this.#endWriting(wasWriting);
    return isSettled;
  }

  /**
   * Changes what a settled reader reads. Publications from now on are delivered; a topic that it already reads
   * changes its rate. Cost: O(topics changed) for a reader with a set of its own, O(its topics) when it leaves a
   * shared one.
   */
  change(reader: Reader, wishes: readonly Wish[], unwanted: readonly TopicLog[], nowMs: number): void {
    if (reader.isRemoved) return;
    this.#nowMs = nowMs;
    this.#memberships.change(reader, wishes, unwanted, nowMs);
  }

  /** The logs of all topics that somebody wants, or wanted a moment ago. */
  logs(): IterableIterator<TopicLog> {
    return this.#logs.values();
  }

  /** The reader of a connection, or null. */
  reader(id: string): Reader | null {
    return this.#readers.get(id) ?? null;
  }

  /** The log of a topic that is open, or null. */
  find(name: string): TopicLog | null {
    const log = this.#logs.get(name);
    return log !== undefined && log.isOpen ? log : null;
  }

  /** The socket has taken all that was written. A lagging reader catches up. */
  drained(reader: Reader, nowMs: number): void {
    if (reader.isRemoved || reader.laggingCount === 0) return;
    this.#nowMs = nowMs;
    this.#isWriting = true;
    for (const membership of reader.memberships) {
      if (membership.state !== "lagging" || membership.index !== -1) continue;
      const { audience } = membership;
      if (audience.classMs === 0) {
        this.#delivery.catchUp(membership, nowMs);
        continue;
      }
      membership.index = audience.returning.length;
      audience.returning.push(membership);
      this.#schedule(audience);
    }
    this.#endWriting(false);
  }

  // ---- time ----

  /** Least time between two flushes of an audience that wants everything at once; the worker widens it under load. */
  get windowMs(): number {
    return this.counters.windowMs;
  }

  set windowMs(windowMs: number) {
    this.counters.windowMs = windowMs;
  }

  /** The same for audiences that are given batches. */
  batchWindowMs = 0;

  /**
   * Does what is due: flushes, `lost` events, timeouts. Stops after about `budgetMs` of writing, so that reading,
   * accepting and heartbeats go on. Returns when it next wants to run: `nowMs` for at once, Infinity for never.
   * @param elapsedMs how long the turn lasts already, for an owner with a clock.
   */
  turn(nowMs: number, budgetMs: number, elapsedMs: () => number = noClock): number {
    this.#nowMs = nowMs;
    for (let count = 0; count < actionsPerTurn; count += 1) {
      const action = this.#later.pop(nowMs);
      if (action === null) break;
      action(nowMs);
    }
    const budget = this.#budget;
    budget.begin(budgetMs, elapsedMs);
    for (;;) {
      const audience = this.#due.next(nowMs);
      if (audience === null) break;
      const beganMs = audience.members.length > 1 ? budget.spentMs : 0;
      this.#isWriting = true;
      const isDone = this.#delivery.flush(audience, nowMs, budget);
      this.#endWriting(false);
      const workedMs = audience.members.length > 1 ? budget.spentMs - beganMs : 0;
      if (isDone) {
        this.#due.done(audience, workedMs);
        audience.isScheduled = false;
        // Also whoever came to wait for its next flush while this one was cut short: nobody else may ask for one.
        if (audience.isOwing) this.#schedule(audience);
      } else this.#due.putBack(audience, workedMs);
      if (budget.isSpent) break;
    }
    return Math.max(nowMs, Math.min(this.#due.nextMs, this.#later.nextMs));
  }

  // ---- below: how it is done ----

  #endWriting(wasWriting: boolean): void {
    this.#isWriting = wasWriting;
    if (wasWriting) return;
    for (const reader of this.#removed.splice(0)) this.#memberships.leaveAll(reader);
  }

  #nextOrder(): number {
    this.#delivery.order += 1;
    return this.#delivery.order;
  }

  #create(topic: HubTopic): TopicLog {
    const { ringMessagesMax, random } = this.#options;
    const log = new TopicLog(topic, ringMessagesMax, this.#ringBytes, random);
    this.#logs.set(topic.name, log);
    this.counters.topics += 1;
    this.#source.open(topic, log);
    return log;
  }

  /** Starts or ends the time after which an unwanted topic is closed. */
  #noteInterest(log: TopicLog): void {
    if (log.audiences.length > 0 || log.waiting > 0) {
      log.idleSinceMs = null;
      return;
    }
    if (log.idleSinceMs !== null) return;
    const since = this.#nowMs;
    log.idleSinceMs = since;
    this.#after(this.#options.lingerMs, () => {
      if (log.idleSinceMs !== since) return;
      log.idleSinceMs = null;
      log.close();
      this.#logs.delete(log.topic.name);
      this.counters.topics -= 1;
      this.#source.close(log.topic.name);
    });
  }

  #after(delayMs: number, action: (nowMs: number) => void): void {
    const dueMs = this.#nowMs + delayMs;
    this.#later.push(dueMs, action);
    this.#options.wake(dueMs);
  }

  #schedule(audience: Audience): void {
    if (audience.isScheduled) return;
    audience.isScheduled = true;
    const dueMs = audience.classMs === 0 ? this.#promptDueMs(audience) : this.#timedDueMs(audience);
    this.#due.schedule(audience, dueMs);
    this.#options.wake(dueMs);
  }

  /**
   * At once when the last flush is a window ago: whoever is seldom sent something waits for nothing, whatever the load.
   * Else a window after it. The first to wait do so for a part of it, each for another, so that what was written at the
   * same time is not written at the same time for ever: all audiences together would make one long sweep of many
   * (measured: p99 31 ms together, 17 ms spread, with the same window of 10 ms).
   */
  #promptDueMs(audience: Audience): number {
    const windowMs = audience.isBatched ? this.batchWindowMs : this.windowMs;
    const waitMs = audience.isPaced ? windowMs : (windowMs * (1 + audience.phase)) / 2;
    const dueMs = audience.flushedMs + waitMs;
    audience.isPaced = dueMs > this.#nowMs;
    return audience.isPaced ? dueMs : this.#nowMs;
  }

  #timedDueMs(audience: Audience): number {
    return Math.max(this.#nowMs, audience.flushedMs + audience.classMs);
  }

  #leaveOut(log: TopicLog, count: number): void {
    this.counters.sampledOut += count;
    log.leftOut += count;
    this.#scheduleLost(log);
  }

  #scheduleLost(log: TopicLog): void {
    if (log.isLostScheduled) return;
    log.isLostScheduled = true;
    this.#after(lostIntervalMs, (nowMs) => {
      log.isLostScheduled = false;
      this.#isWriting = true;
      const isRestLeft = this.#lost.tell(log, nowMs);
      this.#endWriting(false);
      if (isRestLeft) this.#scheduleLost(log);
    });
  }

  /** A sender always gets its own message, also one that was left out for the others. */
  #giveToSender(entry: Entry): void {
    if (entry.origin === null) return;
    const reader = this.#readers.get(entry.origin);
    const membership = reader?.membershipFor(entry.log) ?? null;
    if (reader === undefined || membership === null) return;
    const isLagging = membership.state === "lagging";
    if (!this.#delivery.giveExtra(membership, entry, this.#options.ringMessagesMax)) return;
    if (isLagging) return;
    const { leftOutCorrections } = entry.log;
    leftOutCorrections.set(reader, (leftOutCorrections.get(reader) ?? 0) + 1);
    this.#schedule(membership.audience);
  }

  /** The ring may move past a sender that lags; its own message waits for it. */
  #saveForLaggingSender(entry: Entry): void {
    if (entry.origin === null) return;
    const membership = this.#readers.get(entry.origin)?.membershipFor(entry.log) ?? null;
    if (membership?.state !== "lagging") return;
    this.#delivery.giveExtra(membership, entry, this.#options.ringMessagesMax);
  }
}

/** The readers of a topic that do not lag; those who do find the gap when they read the log. */
function readersOf(log: TopicLog): Reader[] {
  const readers: Reader[] = [];
  for (const { audience } of log.audiences) {
    for (const { reader } of audience.members) readers.push(reader);
    for (const { reader } of audience.joining) readers.push(reader);
  }
  return readers;
}
