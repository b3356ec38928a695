/**
 * The primary's own metrics: what it knows of its workers, and how it fares itself.
 */
import type { PrimaryMetric } from "./catalogue.ts";
import { primaryCatalogue } from "./primary-catalogue.ts";
import { EventLoopFigures } from "./event-loop-figures.ts";
import {
  byLabel,
  cpuSeconds,
  takeSnapshot,
  type MetricsSnapshot,
  type Reading,
  type SnapshotValue,
} from "./snapshot.ts";

/** What the primary must offer. */
export interface PrimarySources {
  readonly version: string;
  readonly workersConfigured: number;
  workersReady(): number;
  /** By slot and cause (`exited`, `stalled`). */
  workerRestarts(): readonly { readonly slot: number; readonly cause: string; readonly count: number }[];
  /** Of the memory broker; zeros without it. */
  memoryLogs(): { readonly bytes: number; readonly dropped: number };
  /** Seconds since the last snapshot of each slot that ever sent one. */
  snapshotAges(): readonly { readonly slot: number; readonly seconds: number }[];
}

/** The metrics of the primary process. */
export class PrimaryMetrics {
  readonly #eventLoop = new EventLoopFigures();
  readonly #readings: Readonly<Record<PrimaryMetric, () => Reading>>;

  constructor(sources: PrimarySources) {
    this.#readings = primaryReadings(sources, this.#eventLoop);
  }

  snapshot(): MetricsSnapshot {
    return takeSnapshot(primaryCatalogue, this.#readings, {});
  }

  stop(): void {
    this.#eventLoop.stop();
  }
}

function primaryReadings(
  sources: PrimarySources,
  eventLoop: EventLoopFigures,
): Readonly<Record<PrimaryMetric, () => Reading>> {
  return {
    buildInfo: () => [{ labels: { version: sources.version, node: process.version }, value: 1 }],
    workersConfigured: () => sources.workersConfigured,
    workersReady: () => sources.workersReady(),
    workerRestarts: () =>
      sources.workerRestarts().map(({ slot, cause, count }) => ofSlot(slot, count, { cause })),
    workerSnapshotAge: () => sources.snapshotAges().map(({ slot, seconds }) => ofSlot(slot, seconds)),
    primaryResidentMemory: () => process.memoryUsage.rss(),
    memoryLogBytes: () => sources.memoryLogs().bytes,
    memoryLogsDropped: () => sources.memoryLogs().dropped,
    primaryCpuSeconds: cpuSeconds,
    primaryEventLoopDelay: () => byLabel("quantile", eventLoop.takeDelays()),
  };
}

function ofSlot(slot: number, value: number, more: Readonly<Record<string, string>> = {}): SnapshotValue {
  return { labels: { worker: String(slot), ...more }, value };
}
