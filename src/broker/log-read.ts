/** Reads of a topic's log: which part is wanted, and what was found. */
import { invariant } from "../base/errors.ts";
import type { BrokerTopic, Position } from "./broker.ts";

/** One entry of a log as it was read. */
export interface LogEntry {
  readonly seq: number;
  /** null: what stands there is not valid JSON or too large. The entry has its seq and cannot be had. */
  readonly data: Uint8Array | null;
  readonly origin: string | null;
}

/** What a read of the log found, in one atomic step. */
export interface LogRead {
  /** Where the log stands. */
  readonly position: Position;
  /** Oldest first. See `LogPart` for which. */
  readonly entries: readonly LogEntry[];
  /**
   * The last seq up to which the epoch that was asked for and the position's are the same log, below 0 when what was
   * asked for is beyond. A log gets a new epoch that goes on counting when its Redis fails over. null: not known.
   */
  readonly commonSeq?: number | null;
  /** Where the epochs before ended, newest first, when nothing was asked for: those that are known. */
  readonly formers?: readonly Position[];
}

/** Which part of a log is read: at most `limit` entries, none older than `ttlMs` (0: of any age). */
export interface LogPart {
  /**
   * `newest`: the newest. `since`: those after `since`, or the newest if that is of another life of the log. The other
   * two are a feed's, which has all up to `since`: a log of the same epoch that stands before it has lost data, and
   * begins a new epoch now. `repair`: the oldest after it, or of all if that is another epoch's. `jump`: the newest.
   */
  readonly mode: "newest" | "since" | "repair" | "jump";
  readonly since: Position | null;
  readonly limit: number;
  readonly ttlMs: number;
}

/** What a feed asks for. */
export interface ReadRequest {
  /** The reader has seen everything up to there. */
  readonly since: Position | null;
  /** true: the newest `limit` entries. false: the oldest `limit` after `since`, or of all if that is another epoch's. */
  readonly newest: boolean;
  readonly limit: number;
}

/** An epoch, as both brokers make them. */
const epochForm = /^[1-9]\d*$/;

/** For a feed. */
export function partForFeed({ history }: BrokerTopic, { since, newest, limit }: ReadRequest): LogPart {
  // The age counts when a topic is opened. For a reader that goes on, what is still there is better than a gap.
  const ttlMs = since === null ? (history?.ttlMs ?? 0) : 0;
  return { mode: since === null ? "newest" : newest ? "jump" : "repair", since, limit, ttlMs };
}

/** For a caller of `Broker.history`, which may name a position that there never was. */
export function partForPage({ history }: BrokerTopic, since: Position | null, limit: number): LogPart {
  invariant(history !== null, "a live-only topic has no history to read");
  // What a peer made up is the position of no log. Epoch 0 least of all: in a log's link it stands for "there was none".
  const isPosition =
    since !== null && epochForm.test(since.epoch) && Number.isSafeInteger(since.seq) && since.seq >= 0;
  const usable = isPosition ? since : null;
  return { mode: usable === null ? "newest" : "since", since: usable, limit, ttlMs: history.ttlMs };
}
