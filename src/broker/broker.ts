/**
 * What a broker promises to a worker. Two implementations, `memory-broker.ts` (the log lives in the primary process)
 * and `redis-broker.ts`, pass one test suite, `test/broker/suite.ts`.
 *
 * The guarantees:
 * 1. Order. The publications of one topic reach the listener in the order in which the broker stored them
 *    (with history), or received them (without).
 * 2. With history: every publication carries `seq`, which grows by one within an `epoch`; after `onOpened` the
 *    listener gets each `seq` after the snapshot's exactly once, in order, none missing. What arrives twice from
 *    below is dropped, what is missing is read from the log before anything newer is delivered (`every`, `sample`);
 *    a `latest` topic may jump, only forwards.
 * 3. Where that cannot be kept (entries trimmed away, data lost, a new epoch), the listener is told by `onGap`
 *    before the next publication. Nothing is skipped in silence.
 * 4. The snapshot and the publications that follow meet without a seam: subscribe first, then read, then merge.
 * 5. A publish whose promise resolved is stored (with history) or handed on (without). A rejected one may or may not
 *    be stored; repeating it with the same idempotency key within 5 minutes stores it at most once.
 * 6. A raw Redis PUBLISH on a topic with history is delivered without `seq` and stands outside 2.
 */

import type { ArrivalReceiver } from "./arrival.ts";

/** Where a topic's log stands. `epoch` names one life of the log; a position of another epoch compares with nothing. */
export interface Position {
  readonly epoch: string;
  /** 0 before the first publication of the epoch. */
  readonly seq: number;
}

export type Delivery = "latest" | "every" | "sample";

/** What a broker must know of a topic: its name and the parts of its rule that concern it. */
export interface BrokerTopic {
  readonly name: string;
  readonly delivery: Delivery;
  /** null: live only, no `seq`. */
  readonly history: { readonly size: number; readonly ttlMs: number } | null;
}

/** One message of a topic, out of its log. */
export interface Publication {
  /** Position within the topic's epoch; 0 when the publication has none (live-only topic, raw PUBLISH). */
  readonly seq: number;
  /** One JSON value in valid UTF-8, byte for byte as published. Kept: nobody changes it. */
  readonly data: Uint8Array;
  /** Id of the connection that published it, or null (HTTP, Redis, CLI). */
  readonly origin: string | null;
}

/** What a topic's log held when it was opened. */
export interface Snapshot {
  /** null for a live-only topic. With history the epoch is always known, even before the first publication. */
  readonly position: Position | null;
  /** The newest entries whose age is below the rule's `ttlMs`, oldest first; the last one's `seq` is the position's. */
  readonly entries: readonly Publication[];
  /**
   * The epochs before, where the log went on in a new one after each failover, newest first, and the last seq up to
   * which each is the same log. Those that are known.
   */
  readonly formers?: readonly Position[];
}

/** A part of a topic's history. */
export interface HistoryPage {
  /** Where the log stood when the page was read. */
  readonly position: Position;
  /** Oldest first. */
  readonly entries: readonly Publication[];
  /**
   * With `since`: true when `entries` begin right after it, none missing (same epoch, nothing trimmed or expired in
   * between, not in the future). Without `since`: true.
   */
  readonly complete: boolean;
}

export interface PublishOptions {
  /** Same key and topic within 5 minutes: stored once, the same position is returned. Made up when absent. */
  readonly idempotencyKey?: string | undefined;
  /** Id of the publishing connection, handed on with the publication. */
  readonly origin?: string | undefined;
  /** When the request for it came, of performance.now(): `publishTimeoutMs` counts from then. The call, when absent. */
  readonly arrivedMs?: number | undefined;
}

export interface BrokerStatus {
  readonly ready: boolean;
  /** What is wrong, for people, when not ready. No secrets (the URL's password is masked). */
  readonly reason: string | null;
}

/** Called by the broker, as the receivers of `open` are, always outside of the worker's own calls (never from within `open`, `publish`, …). */
export interface BrokerListener {
  /** The topic is live: from this call on its publications follow. Once per `open`. */
  onOpened(topic: string, snapshot: Snapshot): void;
  /**
   * Entries between the last delivered `seq` and the next one cannot be had, or the log began a new epoch.
   * @param position where delivery goes on: the next publication has `position.seq + 1`.
   * @param lostCount how many were missed; null when nobody can know (new epoch).
   */
  onGap(topic: string, position: Position, lostCount: number | null): void;
  /**
   * The log goes on in a new epoch, none missing: `seq` counts on. Positions of the epoch before say nothing beyond the
   * last publication any more.
   */
  onEpoch(topic: string, epoch: string): void;
  /** The broker became reachable or stopped being so. */
  onStatus(status: BrokerStatus): void;
}

/** Plain integers, read by the metrics. */
export interface BrokerCounters {
  topicsOpen: number;
  publicationsReceived: number;
  publicationsPublished: number;
  publishFailures: number;
  /** Messages that were dropped because they were no valid JSON, too large or malformed envelopes. */
  publicationsRejected: number;
  duplicatesDropped: number;
  gapsRepaired: number;
  gapsUnrepaired: number;
  reconnects: number;
  /** Answers MOVED and ASK of a Redis Cluster: a slot is elsewhere, or on its way. */
  redirectsMoved: number;
  redirectsAsk: number;
}

/**
 * How long a publish may take, from `PublishOptions.arrivedMs` to the error, repetitions and redirections included. The
 * promise is a 503 within 2 s of the request: the rest is for late timers and the answer's way out and to the client, on
 * a machine where each waits for the processor.
 */
export const publishTimeoutMs = 1500;
/** What a broker that seems well is given to answer in, however late it is asked: on a busy machine most are late. */
export const publishChanceMs = 200;

export interface Broker {
  readonly counters: BrokerCounters;
  /** Connects. Resolves when the first attempt ended, well or not: a broker that is away is a status, not an error. */
  start(listener: BrokerListener): Promise<void>;
  status(): BrokerStatus;
  /** How long a message of our own took through the broker and back, last; null where that is not measured. */
  lagMs(): number | null;
  /**
   * Wants the topic's publications, which go to `receiver`. `onOpened` follows as soon as the broker can, after a
   * reconnect if need be; a topic is opened once at a time.
   */
  open(topic: BrokerTopic, receiver: ArrivalReceiver): void;
  /** Wants them no longer. No call for the topic follows, not even a pending `onOpened`. */
  close(topic: string): void;
  /**
   * @throws BrokerError when it cannot be stored within `publishTimeoutMs`, or `publishChanceMs` if that is later.
   * Resolves to null on a live-only topic.
   */
  publish(topic: BrokerTopic, data: Uint8Array, options: PublishOptions): Promise<Position | null>;
  /**
   * Reads the log: after `since`, oldest first, at most `limit` entries; without `since` the newest `limit` entries.
   * The topic need not be open. It has history. Concurrent reads of the same part are one read.
   * @throws BrokerError
   */
  history(topic: BrokerTopic, since: Position | null, limit: number): Promise<HistoryPage>;
  /**
   * Reads the log of an open topic from the last delivered position, so that every entry stored before the call has
   * been given to the listener when the promise resolves. For a reader that knows a newer `seq` than this worker.
   * @throws BrokerError
   */
  refresh(topic: string): Promise<void>;
  /** Ends all connections; nothing is called afterwards. */
  stop(): Promise<void>;
}
