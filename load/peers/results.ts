/** What is kept of a comparison: every run's figures, with the machine, the command and who was absent. One JSON file, a scenario at a time. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { MachineFacts } from "../bench/machine.ts";
import { pairedRatios, summarize, type Summary } from "../bench/statistics.ts";
import type { FigureName, Figures, Timing, Variant } from "./measure.ts";
import type { Goal, Scenario } from "./scenario.ts";

/** A variant's runs, by round; null: the run failed. */
export interface VariantResult {
  readonly name: string;
  readonly title: string;
  readonly isOwn: boolean;
  /** Leaves values out on purpose, so that what did not arrive says nothing. */
  readonly conflates: boolean;
  readonly rounds: readonly (Figures | null)[];
}

export interface ScenarioResult {
  readonly title: string;
  readonly command: string;
  readonly measuredAt: string;
  readonly timing: Timing;
  readonly roundCount: number;
  readonly machine: MachineFacts;
  readonly variants: readonly VariantResult[];
  /** Peers that could not be had, with the reason, and runs that failed. */
  readonly remarks: readonly string[];
}

/** By scenario. */
export type Results = Map<string, ScenarioResult>;

/** A goal and how it stands. */
export interface Verdict {
  readonly goal: Goal;
  /** null: it was not measured. */
  readonly summary: Summary | null;
  readonly isMet: boolean | null;
}

/** What one variant took, round by round. */
export function figuresOf(result: ScenarioResult, variant: string, figure: FigureName): (number | null)[] {
  const found = result.variants.find(({ name }) => name === variant);
  return found === undefined ? [] : found.rounds.map((figures) => figures?.[figure] ?? null);
}

/** Median and range over the rounds that have the figure. */
export function summaryOf(result: ScenarioResult, variant: string, figure: FigureName): Summary | null {
  return summarize(figuresOf(result, variant, figure).filter((value) => value !== null));
}

/** Judges by the median. */
export function judge(goal: Goal, result: ScenarioResult): Verdict {
  const own = figuresOf(result, goal.of, goal.figure);
  const figures =
    goal.against.length === 0
      ? own.filter((value) => value !== null)
      : pairedRatios(own, bestOf(goal, result));
  const summary = summarize(figures);
  if (summary === null) return { goal, summary, isMet: null };
  return {
    goal,
    summary,
    isMet: goal.bound === "atMost" ? summary.median <= goal.limit : summary.median >= goal.limit,
  };
}

/** Of several rivals the best in each round: the smallest where little is good. */
function bestOf(goal: Goal, result: ScenarioResult): (number | null)[] {
  return Array.from({ length: result.roundCount }, (_, round) => {
    const rivals = goal.against
      .map((name) => figuresOf(result, name, goal.figure)[round] ?? null)
      .filter((value) => value !== null);
    if (rivals.length === 0) return null;
    return goal.bound === "atMost" ? Math.min(...rivals) : Math.max(...rivals);
  });
}

/** What stands for a variant's resident memory beyond the reference's, for each of its stalled readers, in KiB. */
export function stalledMemoryKib(
  scenario: Scenario,
  result: ScenarioResult,
  variant: Variant,
): number | null {
  const own = summaryOf(result, variant.name, "rssMib");
  const reference = summaryOf(result, scenario.reference, "rssMib");
  if (own === null || reference === null || variant.load.stalled === 0) return null;
  return ((own.median - reference.median) * 1024) / variant.load.stalled;
}

/** What a folder holds already. */
export function readResults(folder: string): Results {
  const path = join(folder, "peers.json");
  if (!existsSync(path)) return new Map();
  // We wrote it.
  return new Map(Object.entries(JSON.parse(readFileSync(path, "utf8")) as Record<string, ScenarioResult>));
}

export function writeResults(folder: string, results: Results): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "peers.json"), `${JSON.stringify(Object.fromEntries(results), null, 2)}\n`);
}
