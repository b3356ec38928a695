/** Two results of one scenario beside each other: what became better, what became worse by more than is tolerated. */
import type { Figure, LoadResult } from "../run/load-result.ts";

export interface ComparedFigure {
  readonly name: string;
  readonly label: string;
  readonly unit: string;
  readonly before: number | null;
  readonly after: number | null;
  /** `after / before`; null when that says nothing. */
  readonly ratio: number | null;
  /** `same` is within the tolerance; `info` is a figure that is neither good nor bad. */
  readonly verdict: "same" | "better" | "worse" | "info";
}

export interface Comparison {
  readonly scenario: string;
  readonly figures: readonly ComparedFigure[];
  /** What was not the same, so that figures may differ for that reason, for people. */
  readonly differences: readonly string[];
  readonly regressions: readonly string[];
}

/** Figures below this, in their unit, are noise: a p50 of 0.3 ms is not worse than one of 0.2. */
const noiseByUnit: ReadonlyMap<string, number> = new Map([
  ["ms", 2],
  ["µs", 0.5],
  ["MiB", 8],
  ["% of a core", 3],
  ["s", 1],
]);

/** @param tolerance 0.2 lets a figure be worse by a fifth. Both must be of one scenario. */
export function compareResults(before: LoadResult, after: LoadResult, tolerance: number): Comparison {
  const names = [...new Set([...before.figures, ...after.figures].map(({ name }) => name))];
  const figures = names.flatMap((name) => {
    const one = before.figures.find((figure) => figure.name === name);
    const two = after.figures.find((figure) => figure.name === name);
    const shown = two ?? one;
    return shown === undefined ? [] : [compared(shown, one?.value ?? null, two?.value ?? null, tolerance)];
  });
  const worse = figures.filter(({ verdict }) => verdict === "worse").map(({ label }) => label);
  return {
    scenario: before.scenario,
    figures,
    differences: [
      ...differing("option", before.options, after.options),
      ...differing("machine", before.machine, after.machine),
      ...(before.seconds === after.seconds ? [] : [`seconds: ${before.seconds}, ${after.seconds}`]),
    ],
    regressions: [...worse, ...(before.ok && !after.ok ? ["promises that were kept are broken"] : [])],
  };
}

function compared(
  { name, label, unit, better }: Figure,
  before: number | null,
  after: number | null,
  tolerance: number,
): ComparedFigure {
  const ratio = before === null || after === null || before === 0 ? null : after / before;
  const common = { name, label, unit, before, after, ratio };
  if (better === null || before === null || after === null) return { ...common, verdict: "info" };
  const gain = better === "higher" ? after - before : before - after;
  const isNoise = Math.abs(gain) <= Math.max(Math.abs(before) * tolerance, noiseByUnit.get(unit) ?? 0);
  if (gain === 0 || isNoise) return { ...common, verdict: "same" };
  return { ...common, verdict: gain > 0 ? "better" : "worse" };
}

function differing(
  what: string,
  before: Readonly<Record<string, string | number>>,
  after: Readonly<Record<string, string | number>>,
): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names
    .filter((name) => before[name] !== after[name])
    .map((name) => `${what} ${name}: ${before[name] ?? "none"}, ${after[name] ?? "none"}`);
}
