/**
 * The heart of a worker: which readers want which topics, what each topic's newest publications are, and who must be
 * given what at the next turn. In memory and synchronous; knows no socket, timer, clock or promise. Its owner passes
 * the time in and calls `turn` when `wake` asks for it.
 */
import { toByteString } from "../base/byte-string.ts";
import type { Audience } from "./audience.ts";
import { Delivery } from "./delivery.ts";
import { DueQueue } from "./due-queue.ts";
import { seesPositions, type Variant } from "./entry.ts";
import { FlushOrder } from "./flush-order.ts";
import { HubCounters } from "./hub-counters.ts";
import type { HubOptions, TopicSource } from "./hub-options.ts";
import { LostEvents } from "./lost-events.ts";
import { Memberships } from "./memberships.ts";
import type { Wish } from "./memberships.ts";
import { OpenTopics, type OpenRequest } from "./open-topics.ts";
import { OwnMessages } from "./own-messages.ts";
import { Reader } from "./reader.ts";
import type { ReaderSink } from "./reader.ts";
import type { TopicLog } from "./topic-log.ts";
import type { HubTopic } from "./topic-log.ts";
import { TurnBudget } from "./turn-budget.ts";

/** A position as the broker names it. */
interface LogPosition {
  readonly epoch: string;
  readonly seq: number;
}

/** Publications of one audience that come within this time would share a write even if there were no window. */
const wantedEachMs = 1;
/** Timeouts and closings of one turn: somebody who leaves 1,024 topics is not to keep the others waiting. */
const actionsPerTurn = 64;
/** For an owner without a clock a turn ends by its writes alone. */
const noClock = (): number => 0;

/** Epochs before the present one whose positions are still known; as many as Redis keeps (broker/tape-functions.lua). */
const formersMax = 4;

export class Hub {
  readonly counters = new HubCounters();
  readonly #options: HubOptions;
  readonly #topics: OpenTopics;
  readonly #readers = new Map<string, Reader>();
  readonly #memberships: Memberships;
  readonly #delivery: Delivery;
  readonly #lost: LostEvents;
  readonly #ownMessages: OwnMessages;
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
    const after = (delayMs: number, action: (nowMs: number) => void): void => this.#after(delayMs, action);
    this.#topics = new OpenTopics(options, source, this.counters, { nowMs: () => this.#nowMs, after });
    this.#delivery = new Delivery(this.counters, options.catchUpBytesMax, (log) => this.#lost.schedule(log));
    this.#lost = new LostEvents(this.counters, this.#delivery, after, (write) => this.#write(write));
    this.#ownMessages = new OwnMessages(this.#readers, this.#delivery, options.ringMessagesMax, (audience) =>
      this.#schedule(audience),
    );
    this.#memberships = new Memberships(this.counters, this.#delivery, {
      after,
      settle: (reader, nowMs) => this.settle(reader, nowMs),
      noteInterest: (log) => this.#topics.noteInterest(log),
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
    const log = this.#topics.get(name);
    if (log === undefined || log.isOpen) return;
    this.#nowMs = nowMs;
    for (const { seq, data } of entries) {
      log.keep(log.arrive(this.#nextOrder(), seq, toByteString(data), null, nowMs));
    }
    log.epoch = position?.epoch ?? null;
    log.seq = position?.seq ?? 0;
    log.isOpen = true;
    this.#topics.tellOpened(log);
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
    const log = typeof topic === "string" ? this.#topics.get(topic) : topic;
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
      this.#lost.leaveOut(log, 1);
      this.#ownMessages.give(entry);
      return;
    }
    log.keep(entry);
    if (log.sampler !== null) this.#ownMessages.saveForLagging(entry);
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
    const log = this.#topics.get(name);
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
        log.formers = [];
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
      this.#lost.leaveOut(log, lostCount);
    }
  }

  /** The topic's log goes on in a new epoch, `seq` counts on. Its next publication tells readers so. */
  renamed(name: string, epoch: string): void {
    const log = this.#topics.get(name);
    if (log === undefined) return;
    if (log.epoch !== null)
      log.formers = [{ epoch: log.epoch, seq: log.seq }, ...log.formers].slice(0, formersMax);
    log.epoch = epoch;
  }

  /** A log that is about to be opened went on from other epochs, newest first: up to there each is the same log. */
  linked(name: string, formers: readonly LogPosition[]): void {
    const log = this.#topics.get(name);
    if (log !== undefined && !log.isOpen) log.formers = formers;
  }

  /** Bytes of the publications that all logs keep. */
  get ringBytes(): number {
    return this.#topics.ringBytes;
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
    return this.#topics.open(topics, done);
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
    return this.#topics.logs();
  }

  /** The reader of a connection, or null. */
  reader(id: string): Reader | null {
    return this.#readers.get(id) ?? null;
  }

  /** The log of a topic that is open, or null. */
  find(name: string): TopicLog | null {
    const log = this.#topics.get(name);
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

  #write(action: () => boolean): boolean {
    this.#isWriting = true;
    const result = action();
    this.#endWriting(false);
    return result;
  }

  #endWriting(wasWriting: boolean): void {
    this.#isWriting = wasWriting;
    if (wasWriting) return;
    for (const reader of this.#removed.splice(0)) this.#memberships.leaveAll(reader);
  }

  #nextOrder(): number {
    this.#delivery.order += 1;
    return this.#delivery.order;
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
