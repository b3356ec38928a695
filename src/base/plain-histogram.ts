/**
 * A histogram of plain numbers for hot paths: fixed bounds, one addition per observation. The metrics layer turns it
 * into a Prometheus histogram when somebody asks; nothing here knows of that.
 */
export class PlainHistogram {
  /** Upper bounds, inclusive and rising. */
  readonly bounds: readonly number[];
  /** Observations per bucket, not cumulative; one more than `bounds`, the last for what is above all of them. */
  readonly counts: number[];
  sum: number;
  count: number;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    // Filled with a zero each: an array with holes is slower to index.
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0);
    this.sum = 0;
    this.count = 0;
  }

  /** Counts one value. Cost: no allocation; a walk over the bounds, so put few of them (about 12). */
  observe(value: number): void {
    const bounds = this.bounds;
    let index = 0;
    while (index < bounds.length && value > (bounds[index] ?? 0)) index++;
    this.counts[index] = (this.counts[index] ?? 0) + 1;
    this.sum += value;
    this.count++;
  }
}
