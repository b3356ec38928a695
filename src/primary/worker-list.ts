/** `GET /workers`: every worker process with its state and its main figures, from what it reported last. */
import type { MetricsSnapshot } from "../metrics/snapshot.ts";
import { workerCatalogue, type WorkerMetric } from "../metrics/catalogue.ts";
import { workerProblem } from "./supervisor.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** One worker process; while one replaces another, two have the same `worker`. */
export interface ListedWorker {
  readonly worker: number;
  readonly pid: number | null;
  readonly state: string;
  /** Why it is not ready; null when it is. */
  readonly problem: string | null;
  readonly upMs: number;
  readonly restarts: Readonly<Record<string, number>>;
  /** Age of the figures below; null when there are none yet. */
  readonly figuresAgeMs: number | null;
  readonly figures: Readonly<Record<FigureName, number | null>> | null;
}

export interface WorkerList {
  readonly configured: number;
  readonly ready: number;
  readonly items: readonly ListedWorker[];
}

export interface WorkerListSources {
  readonly workersConfigured: number;
  readonly readyCount: number;
  readonly processes: readonly WorkerProcess[];
  readonly restarts: readonly { readonly slot: number; readonly cause: string; readonly count: number }[];
  /** The last figures of a process, and when they came. */
  figures(worker: WorkerProcess): { readonly snapshot: MetricsSnapshot; readonly atMs: number } | null;
}

type FigureName = keyof typeof figureMetrics;

/** Gauges in the units of the metrics, so that a name here is a name there. */
const figureMetrics = {
  connectionsOpen: "connectionsOpen",
  subscriptions: "subscriptions",
  topics: "topics",
  audiences: "audiences",
  laggingReaders: "laggingReaders",
  flushWindowSeconds: "flushWindow",
  eventLoopUtilizationRatio: "eventLoopUtilization",
  residentMemoryBytes: "residentMemory",
  brokerReady: "brokerReady",
  brokerLagSeconds: "brokerLag",
} as const satisfies Readonly<Record<string, WorkerMetric>>;

/** Of each process what is known now; its figures are as old as `figuresAgeMs` says, null before the first. */
export function listWorkers(sources: WorkerListSources): WorkerList {
  const nowMs = performance.now();
  const items = sources.processes.map((worker) => {
    const known = sources.figures(worker);
    const restarts = sources.restarts.filter(({ slot }) => slot === worker.slot);
    return {
      worker: worker.slot,
      pid: worker.pid ?? null,
      state: worker.state,
      problem: workerProblem(worker, nowMs),
      upMs: Math.round(nowMs - worker.startedMs),
      restarts: Object.fromEntries(restarts.map(({ cause, count }) => [cause, count])),
      figuresAgeMs: known === null ? null : Math.round(nowMs - known.atMs),
      figures: known === null ? null : figuresOf(known.snapshot),
    };
  });
  return { configured: sources.workersConfigured, ready: sources.readyCount, items };
}

function figuresOf(snapshot: MetricsSnapshot): Readonly<Record<FigureName, number | null>> {
  const values = new Map(snapshot.map(({ name, values }) => [name, values[0]?.value ?? null]));
  const read = (metric: WorkerMetric): number | null => values.get(workerCatalogue[metric].name) ?? null;
  return {
    connectionsOpen: read(figureMetrics.connectionsOpen),
    subscriptions: read(figureMetrics.subscriptions),
    topics: read(figureMetrics.topics),
    audiences: read(figureMetrics.audiences),
    laggingReaders: read(figureMetrics.laggingReaders),
    flushWindowSeconds: read(figureMetrics.flushWindowSeconds),
    eventLoopUtilizationRatio: read(figureMetrics.eventLoopUtilizationRatio),
    residentMemoryBytes: read(figureMetrics.residentMemoryBytes),
    brokerReady: read(figureMetrics.brokerReady),
    brokerLagSeconds: read(figureMetrics.brokerLagSeconds),
  };
}
