/** What the books of a run count, while it goes on and when they are closed. */

/** Counted while the run goes on. */
export interface Counts {
  delivered: number;
  duplicated: number;
  reordered: number;
  holes: number;
  wrongRecovered: number;
  fell: number;
  moved: number;
  again: number;
  /** Messages that are none of ours. */
  unreadable: number;
  /** Accepted, not in the store at the end, and no fault of the store's explains it. */
  unstored: number;
  /** Accepted, and lost by the store in a failover. */
  gone: number;
  recoveries: number;
  refusedRecoveries: number;
  sampledOut: number;
}

/** The counts of a run that has not begun. */
export function noCounts(): Counts {
  return {
    delivered: 0,
    duplicated: 0,
    reordered: 0,
    holes: 0,
    wrongRecovered: 0,
    fell: 0,
    moved: 0,
    again: 0,
    unreadable: 0,
    unstored: 0,
    gone: 0,
    recoveries: 0,
    refusedRecoveries: 0,
    sampledOut: 0,
  };
}

/** The closed books. */
export interface Findings extends Readonly<Counts> {
  /** Publishes that were answered 200. */
  readonly accepted: number;
  /** Accepted publications of `every` topics times clients: what had to arrive. */
  readonly expected: number;
  /** Of those: never arrived, and nobody said so. */
  readonly lost: number;
  /** Of those: never arrived, within a stretch for which the client was told `recovered: false`. */
  readonly told: number;
  /** Of those: never arrived, nobody said so, and the store has lost them. */
  readonly doubtful: number;
  /** Clients and `latest` topics that did not end on the newest value. */
  readonly stale: number;
  readonly examples: readonly string[];
}
