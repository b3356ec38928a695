/** What is said of several runs of the same thing: the middle, and how far the runs lay apart. No averages: one disturbed run would move them. */

/** Of at least one figure. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/** The middle figure, or the mean of the two in the middle. NaN when there is none. */
export function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  if (sorted.length % 2 === 1) return upper;
  return ((sorted[sorted.length / 2 - 1] ?? Number.NaN) + upper) / 2;
}

/** Null when there are no figures. */
export function summarize(figures: readonly number[]): Summary | null {
  if (figures.length === 0) return null;
  return {
    median: median(figures),
    min: Math.min(...figures),
    max: Math.max(...figures),
    count: figures.length,
  };
}

/**
 * Round by round what one variant took, divided by what another took: the machine's mood of a round is in both.
 * A round in which either is missing or not positive is left out.
 */
export function pairedRatios(of: readonly (number | null)[], against: readonly (number | null)[]): number[] {
  const ratios: number[] = [];
  for (const [round, figure] of of.entries()) {
    const other = against[round] ?? null;
    if (figure !== null && other !== null && figure > 0 && other > 0) ratios.push(figure / other);
  }
  return ratios;
}

/** Three significant digits, thousands with a comma: 1,234,000 · 12.3 · 0.123. */
export function readable(figure: number): string {
  if (!Number.isFinite(figure)) return "–";
  const size = Math.abs(figure);
  if (size >= 1000) {
    const unit = 10 ** Math.max(0, Math.floor(Math.log10(size)) - 2);
    return (Math.round(figure / unit) * unit).toLocaleString("en-US");
  }
  if (size === 0) return "0";
  const digits = Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(size))));
  return figure.toFixed(digits);
}

/** `12.3 (12.0–12.9)`; the range only when there were several runs. */
export function readableSummary(summary: Summary | null): string {
  if (summary === null) return "–";
  const { median, min, max, count } = summary;
  return count === 1 ? readable(median) : `${readable(median)} (${readable(min)}–${readable(max)})`;
}
