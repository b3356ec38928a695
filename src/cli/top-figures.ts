/** What `tapecast top` shows, out of two readings of the admin port. */
import type { ListedConnection, ListedTopic, InsightPage } from "../primary/inspector.ts";
import type { WorkerList } from "../primary/worker-list.ts";
import { quantileBetween, type Scrape } from "./scrape.ts";

/** All that was read at one time. */
export interface TopReading {
  /** Monotonic. */
  readonly atMs: number;
  readonly scrape: Scrape;
  readonly workers: WorkerList;
  readonly connections: InsightPage<ListedConnection>;
  readonly topics: InsightPage<ListedTopic>;
}

/** A line of the workers' table. */
export interface WorkerLine {
  readonly worker: string;
  readonly pid: number | null;
  readonly state: string;
  readonly connections: number | null;
  readonly subscriptions: number | null;
  readonly topics: number | null;
  readonly lagging: number | null;
  readonly deliveriesPerSec: number | null;
  readonly cpuShare: number | null;
  readonly loopDelaySec: number | null;
  readonly memoryBytes: number | null;
  readonly problem: string | null;
}

/** Figures are null while they are not known: rates need two readings. */
export interface TopView {
  readonly version: string;
  readonly workersReady: number;
  readonly workersConfigured: number;
  readonly connections: number;
  readonly subscriptions: number;
  readonly publicationsPerSec: number | null;
  readonly deliveriesPerSec: number | null;
  readonly writesPerSec: number | null;
  readonly sentBytesPerSec: number | null;
  readonly openedPerSec: number | null;
  readonly closedPerSec: number | null;
  readonly slowClosedPerSec: number | null;
  readonly conflatedPerSec: number | null;
  readonly sampledOutPerSec: number | null;
  readonly gapsPerSec: number | null;
  readonly publishToWriteMedianSec: number | null;
  readonly publishToWriteP99Sec: number | null;
  readonly windowSec: number | null;
  /** Null with the memory broker. */
  readonly brokerLagSec: number | null;
  readonly brokerReady: boolean;
  readonly lagging: number;
  readonly workers: readonly WorkerLine[];
  readonly connectionPage: InsightPage<ListedConnection>;
  readonly topicPage: InsightPage<ListedTopic>;
}

/** @param before null at the first reading. */
export function topView(before: TopReading | null, now: TopReading): TopView {
  const { scrape } = now;
  const rate = (name: string, labels: Readonly<Record<string, string>> = {}): number | null =>
    before === null ? null : totalRate(before, now, name, labels);
  const quantile = (share: number): number | null => {
    if (before === null) return null;
    const name = "tapecast_publish_to_write_seconds";
    return quantileBetween(before.scrape.buckets(name), scrape.buckets(name), share);
  };
  return {
    version: scrape.label("tapecast_build_info", "version"),
    workersReady: now.workers.ready,
    workersConfigured: now.workers.configured,
    connections: scrape.sum("tapecast_connections_open"),
    subscriptions: scrape.sum("tapecast_subscriptions"),
    publicationsPerSec: rate("tapecast_publications_in_total"),
    deliveriesPerSec: rate("tapecast_deliveries_total"),
    writesPerSec: rate("tapecast_socket_writes_total"),
    sentBytesPerSec: rate("tapecast_sent_bytes_total"),
    openedPerSec: rate("tapecast_connections_opened_total"),
    closedPerSec: rate("tapecast_connections_closed_total"),
    slowClosedPerSec: rate("tapecast_connections_closed_total", { reason: "slow_consumer" }),
    conflatedPerSec: rate("tapecast_conflated_total"),
    sampledOutPerSec: rate("tapecast_sampled_out_total"),
    gapsPerSec: rate("tapecast_history_gaps_total"),
    publishToWriteMedianSec: quantile(0.5),
    publishToWriteP99Sec: quantile(0.99),
    windowSec: scrape.max("tapecast_flush_window_seconds"),
    brokerLagSec: scrape.max("tapecast_broker_lag_seconds"),
    brokerReady: now.workers.items.every(({ figures }) => figures === null || figures.brokerReady === 1),
    lagging: scrape.sum("tapecast_lagging_readers"),
    workers: workerLines(before, now),
    connectionPage: now.connections,
    topicPage: now.topics,
  };
}

/**
 * A second's worth of a counter, by the workers' own time: their figures are up to a second old, and were taken at
 * other times than we asked. Null when the server began anew.
 */
function totalRate(
  before: TopReading,
  now: TopReading,
  name: string,
  labels: Readonly<Record<string, string>>,
): number | null {
  const rates = workerRates(before, now, name, labels);
  return rates === null ? null : [...rates.values()].reduce((sum, rate) => sum + rate, 0);
}

function workerRates(
  before: TopReading,
  now: TopReading,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Map<string, number> | null {
  const counted = before.scrape.byWorker(name, labels);
  const agesBefore = before.scrape.byWorker("tapecast_worker_snapshot_age_seconds");
  const agesNow = now.scrape.byWorker("tapecast_worker_snapshot_age_seconds");
  const rates = new Map<string, number>();
  for (const [worker, total] of now.scrape.byWorker(name, labels)) {
    const came = total - (counted.get(worker) ?? 0);
    if (came < 0) return null;
    const passedSec =
      (now.atMs - before.atMs) / 1000 - (agesNow.get(worker) ?? 0) + (agesBefore.get(worker) ?? 0);
    // Less than half of a report's distance: it is the same report.
    rates.set(worker, passedSec < 0.5 ? 0 : came / passedSec);
  }
  return rates;
}

function workerLines(before: TopReading | null, now: TopReading): WorkerLine[] {
  const deliveries = before === null ? null : workerRates(before, now, "tapecast_deliveries_total");
  const cpu = before === null ? null : workerRates(before, now, "tapecast_cpu_seconds_total");
  const delays = now.scrape.byWorker("tapecast_event_loop_delay_seconds", { quantile: "0.99" });
  return now.workers.items.map(({ worker, pid, state, problem, figures }) => ({
    worker: String(worker),
    pid,
    state,
    problem,
    connections: figures?.connectionsOpen ?? null,
    subscriptions: figures?.subscriptions ?? null,
    topics: figures?.topics ?? null,
    lagging: figures?.laggingReaders ?? null,
    deliveriesPerSec: deliveries?.get(String(worker)) ?? null,
    cpuShare: cpu?.get(String(worker)) ?? null,
    loopDelaySec: delays.get(String(worker)) ?? null,
    memoryBytes: figures?.residentMemoryBytes ?? null,
  }));
}
