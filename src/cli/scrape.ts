/** Prometheus's text format, as far as our own server writes it. */

interface Series {
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

/** The buckets of a histogram, cumulative, by upper bound; the last bound is Infinity. */
export type Buckets = ReadonlyMap<number, number>;

export class Scrape {
  readonly #series = new Map<string, Series[]>();

  constructor(text: string) {
    for (const [, name = "", labelText = "", value = ""] of text.matchAll(
      /^(\w+)(?:\{(.*)\})? ([-+\w.]+)$/gmu,
    )) {
      const labels = new Map(
        Array.from(labelText.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/gu), ([, key = "", text = ""]) => [
          key,
          text,
        ]),
      );
      const before = this.#series.get(name);
      const series = { labels, value: Number(value) };
      if (before === undefined) this.#series.set(name, [series]);
      else before.push(series);
    }
  }

  /** Whether there is anything of this name. */
  has(name: string): boolean {
    return this.#series.has(name);
  }

  /** The label of the first series of a name; empty when there is none. */
  label(name: string, label: string): string {
    return this.#series.get(name)?.[0]?.labels.get(label) ?? "";
  }

  /** The sum over all series with these labels; 0 when there is none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.#values(name, labels).reduce((sum, { value }) => sum + value, 0);
  }

  /** The largest; null when there is none. */
  max(name: string, labels: Readonly<Record<string, string>> = {}): number | null {
    const values = this.#values(name, labels).map(({ value }) => value);
    return values.length === 0 ? null : Math.max(...values);
  }

  /** The sum by worker slot. */
  byWorker(name: string, labels: Readonly<Record<string, string>> = {}): Map<string, number> {
    const workers = new Map<string, number>();
    for (const { labels: own, value } of this.#values(name, labels)) {
      const worker = own.get("worker") ?? "";
      workers.set(worker, (workers.get(worker) ?? 0) + value);
    }
    return workers;
  }

  /** A histogram's buckets, added up over all series. */
  buckets(name: string): Buckets {
    const buckets = new Map<number, number>();
    for (const { labels, value } of this.#values(`${name}_bucket`, {})) {
      const le = labels.get("le") ?? "";
      const bound = le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le);
      buckets.set(bound, (buckets.get(bound) ?? 0) + value);
    }
    return buckets;
  }

  #values(name: string, wanted: Readonly<Record<string, string>>): readonly Series[] {
    const entries = Object.entries(wanted);
    return (this.#series.get(name) ?? []).filter(({ labels }) =>
      entries.every(([key, text]) => labels.get(key) === text),
    );
  }
}

/**
 * A quantile of what was observed between two readings of a histogram, as Prometheus's `histogram_quantile` counts it.
 * Null when nothing was.
 */
export function quantileBetween(before: Buckets, after: Buckets, quantile: number): number | null {
  const bounds = [...after.keys()].sort((left, right) => left - right);
  const count = (bound: number): number => (after.get(bound) ?? 0) - (before.get(bound) ?? 0);
  const total = count(Number.POSITIVE_INFINITY);
  if (!(total > 0)) return null;
  const rank = quantile * total;
  let lowerBound = 0;
  let lowerCount = 0;
  for (const bound of bounds) {
    const upperCount = count(bound);
    if (upperCount >= rank) {
      // What is above the last bound is only known to be above.
      if (bound === Number.POSITIVE_INFINITY) return lowerBound;
      const share = upperCount === lowerCount ? 1 : (rank - lowerCount) / (upperCount - lowerCount);
      return lowerBound + (bound - lowerBound) * share;
    }
    lowerBound = bound;
    lowerCount = upperCount;
  }
  return lowerBound;
}
