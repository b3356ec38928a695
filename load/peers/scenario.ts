/** What a scenario is: who is measured under which load, what must come out, and what is shown. */
import type { FigureName, Timing, Variant } from "./measure.ts";

/** A promise about a figure. Ratios are taken round by round, against the best of `against` in that round. */
export interface Goal {
  /** As in the table of goals: P1 to P10. */
  readonly id: string;
  readonly text: string;
  readonly figure: FigureName;
  readonly of: string;
  /** Names of variants; empty: the figure itself is judged. */
  readonly against: readonly string[];
  readonly bound: "atMost" | "atLeast";
  readonly limit: number;
  readonly isStretch: boolean;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly kind: "fanOut" | "idle" | "newcomers";
  readonly variants: readonly Variant[];
  readonly goals: readonly Goal[];
  /** Columns of its table; the first is the one of the chart. */
  readonly columns: readonly FigureName[];
  /** The axis of the chart, with the better direction. */
  readonly axis: string;
  /** The variant that the last column's ratios of the first figure are against. */
  readonly reference: string;
  /** The variant's RSS less the reference's, for each stalled reader. */
  readonly showsStalledMemory?: boolean;
}

/** Starting, and for each connection, as it was seen on two cores; the estimate is for people who wait. */
const startSec = 1;
const connectionsPerSec = 4000;

/** About how long one round of one variant takes. */
export function runSeconds(scenario: Scenario, variant: Variant, timing: Timing): number {
  const opening = startSec + variant.load.connections / connectionsPerSec;
  if (scenario.kind === "idle") return opening + 3;
  return opening + timing.warmupSec + timing.seconds + (scenario.kind === "newcomers" ? 1 : 0);
}
