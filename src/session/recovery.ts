/**
 * Decides whether a reader that was away can be given everything it missed. The worker's own log is the authority on
 * where the topic stands; older entries come from its ring, or else from a page of the broker's history. Never says
 * `recovered` when a single entry between is missing.
 */
import type { HistoryPage, Publication } from "../broker/broker.ts";
import type { TopicLog } from "../hub/topic-log.ts";
import type { SincePosition } from "../protocol/parse-command.ts";
import type { WireEntry } from "../protocol/reply-writer.ts";

/** What was read for one topic of a request so far. */
export interface RecoveryState {
  readonly since: SincePosition;
  /** The reader knew a newer position than this worker: the broker was asked to bring the worker up to date. */
  isRefreshed: boolean;
  /** The broker could not be asked. */
  isUnknown: boolean;
  page: HistoryPage | null;
  pageReads: number;
}

export type RecoveryStep =
  /** Everything in (since, the log's seq], oldest first. */
  | {
      readonly kind: "recovered";
      readonly entries: readonly WireEntry[];
    }
  | { readonly kind: "lost" }
  /** Ask the broker for the log's newest entries first. */
  | { readonly kind: "refresh" }
  /** Read the history after `since` first. */
  | { readonly kind: "read" };

/**
 * Whether the reader has seen more than this worker and nobody can say how much more there is. To begin anew where the
 * worker stands would give it again what it has, as soon as the broker is back: it must ask later.
 */
export function isAhead(log: TopicLog, { since, isUnknown }: RecoveryState): boolean {
  return isUnknown && (isOfLaterEpoch(log, since) || (since.epoch === log.epoch && since.seq > log.seq));
}

/**
 * Whether `since` is of an epoch that begins after the log's: each is larger than those before it. Another worker knows
 * already that the log was lost, and its reader came here, where publications of the lost one may still be on their way.
 */
function isOfLaterEpoch({ epoch }: TopicLog, since: SincePosition): boolean {
  if (epoch === null || !epochForm.test(since.epoch) || since.seq < 0) return false;
  const lengths = since.epoch.length - epoch.length;
  return lengths === 0 ? since.epoch > epoch : lengths > 0;
}

/** Where `since` is in the log as it is now; null: of another log, or of what this one lost when it failed over. */
function seqIn({ epoch, formers }: TopicLog, since: SincePosition): number | null {
  if (epoch === null || since.seq < 0) return null;
  if (since.epoch === epoch) return since.seq;
  const former = formers.find((each) => each.epoch === since.epoch);
  return former !== undefined && since.seq <= former.seq ? since.seq : null;
}

/** An epoch, as both brokers make them. */
const epochForm = /^[1-9]\d*$/;
/** While a topic moves faster than its history is read, this many reads are tried. */
const pageReadsMax = 3;

/** Cost: one walk over the ring; nothing is copied but references. */
export function recoveryStep(log: TopicLog, state: RecoveryState): RecoveryStep {
  if (isOfLaterEpoch(log, state.since)) return { kind: state.isRefreshed ? "lost" : "refresh" };
  const sinceSeq = seqIn(log, state.since);
  if (sinceSeq === null) return { kind: "lost" };
  if (sinceSeq > log.seq) return { kind: state.isRefreshed ? "lost" : "refresh" };
  const kept = log.recover(sinceSeq);
  if (kept !== null) return { kind: "recovered", entries: kept };
  const { page } = state;
  if (page !== null) {
    if (!page.complete || page.position.epoch !== log.epoch) return { kind: "lost" };
    const older: Publication[] = page.entries.filter((entry) => entry.seq <= log.seq);
    const reached = older.at(-1)?.seq ?? sinceSeq;
    const newer = log.recover(reached);
    if (newer !== null) return { kind: "recovered", entries: [...older, ...newer] };
  }
  return { kind: state.pageReads < pageReadsMax ? "read" : "lost" };
}
