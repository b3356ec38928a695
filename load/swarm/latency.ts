/** Histograms of microseconds that travel between processes. Three digits, up to an hour. */
import {
  build,
  decodeFromCompressedBase64,
  encodeIntoCompressedBase64,
  type Histogram,
} from "hdr-histogram-js";

const usMax = 3_600_000_000;

export interface LatencySummary {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Values are recorded by one owner; `take` hands over what came since the last time. */
export class Latency {
  readonly #histogram: Histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: usMax,
    numberOfSignificantValueDigits: 3,
    bitBucketSize: 32,
  });

  /** @param us what is below 0 or above an hour counts as that. */
  record(us: number): void {
    this.#histogram.recordValue(Math.min(usMax, Math.max(0, us)));
  }

  /** Everything so far as text, after which nothing is in it. */
  take(): string {
    const text = encodeIntoCompressedBase64(this.#histogram);
    this.#histogram.reset();
    return text;
  }

  /** Adds what another one took. */
  add(text: string): void {
    this.#histogram.add(decodeFromCompressedBase64(text, 32));
  }

  /** In milliseconds, two decimals. All 0 when nothing was recorded. */
  summary(): LatencySummary {
    const histogram = this.#histogram;
    const ms = (percentile: number): number => inMs(histogram.getValueAtPercentile(percentile));
    if (histogram.totalCount === 0) return { count: 0, p50: 0, p99: 0, p999: 0, max: 0 };
    return {
      count: histogram.totalCount,
      p50: ms(50),
      p99: ms(99),
      p999: ms(99.9),
      max: inMs(histogram.maxValue),
    };
  }
}

function inMs(us: number): number {
  return Math.round(us / 10) / 100;
}
