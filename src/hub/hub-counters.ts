import { PlainHistogram } from "../base/plain-histogram.ts";
import { rateClassesMs } from "./rate-class.ts";

/** What the hub counts, as plain numbers that the metrics read. Gauges say so. */
export class HubCounters {
  /** Gauge: topics that are open or opening. */
  topics = 0;
  /** Gauge: topic subscriptions of all readers. */
  subscriptions = 0;
  /** Gauge: distinct sets of readers. */
  audiences = 0;
  publications = 0;
  /** Publications handed to a connection, one for each reader. */
  deliveries = 0;
  /** Writes to connections; deliveries / writes is how many share one system call. */
  writes = 0;
  /** Writes that there would be without a window, about: what decides how wide it is. */
  wantedWrites = 0;
  bytesOut = 0;
  flushes = 0;
  /** Gauge: least time between two flushes of an audience that wants everything at once. Widens with the load. */
  windowMs = 0;
  /** Gauge: readers whose last write the kernel has not taken. */
  laggingReaders = 0;
  /**
   * Values of `latest` topics that a newer one replaced before they were delivered, one for each reader, by the rate
   * class of the readers in milliseconds.
   */
  readonly conflatedByClass: Record<string, number> = Object.fromEntries(
    rateClassesMs.map((classMs) => [String(classMs), 0]),
  );
  /** Publications of `sample` topics that were left out, one for each topic and worker. */
  sampledOut = 0;
  lostEvents = 0;
  /** Readers of `every` topics that were closed because what they missed is out of reach (4003). */
  historyGaps = 0;
  /** Publications of `every` topics without history that a slow reader missed and was told of. */
  overruns = 0;
  /** How long a turn wrote: a flush, several, or a slice of one. */
  readonly flushDurationMs = new PlainHistogram([0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 250]);

  /**
   * From a publication's arrival to the end of the flush that wrote it, for readers who want everything at once; one
   * observation a turn, of the oldest publication that the turn finished with.
   */
  readonly publishToWriteMs = new PlainHistogram([0.5, 1, 2, 5, 10, 20, 30, 50, 100, 250, 1000, 5000]);
  /** When the oldest publication arrived whose flush has ended since the last observation; Infinity if none has. */
  #writtenSinceMs = Number.POSITIVE_INFINITY;

  /** A flush has ended whose oldest publication arrived at `receivedMs`. */
  noteWritten(receivedMs: number): void {
    if (receivedMs < this.#writtenSinceMs) this.#writtenSinceMs = receivedMs;
  }

  /** A turn has ended at `nowMs`. */
  observeWritten(nowMs: number): void {
    if (this.#writtenSinceMs === Number.POSITIVE_INFINITY) return;
    this.publishToWriteMs.observe(Math.max(0, nowMs - this.#writtenSinceMs));
    this.#writtenSinceMs = Number.POSITIVE_INFINITY;
  }

  get conflated(): number {
    return Object.values(this.conflatedByClass).reduce((sum, count) => sum + count, 0);
  }

  addConflated(classMs: number, count: number): void {
    if (count === 0) return;
    const name = String(classMs);
    this.conflatedByClass[name] = (this.conflatedByClass[name] ?? 0) + count;
  }
}
