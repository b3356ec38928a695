/**
 * The metrics of the whole cluster, merged in the primary from what the workers pushed last. Nobody is asked and
 * nobody is waited for at a scrape: asking a stalled worker makes the whole scrape fail after 5 s (tried).
 * What a worker had counted when it died stays counted, or Prometheus would see its successor as a counter reset and
 * `increase()` over the cluster would lose it.
 */
import { AggregatorRegistry, Registry } from "prom-client";
import type { MetricsSnapshot, SnapshotMetric, SnapshotValue } from "./snapshot.ts";

/** Content type of `exposition()`. */
export const expositionContentType: string = Registry.PROMETHEUS_CONTENT_TYPE;

/** Holds the last snapshot of each living worker and the totals of the dead. */
export class ClusterMetrics {
  readonly #living = new Map<number, MetricsSnapshot>();
  /** Counters and histograms of all workers that are gone, one entry a metric; bounded by slots × series. */
  #retired: MetricsSnapshot = [];

  /** @param workerId a process, not a slot: during a replacement two processes share a slot. */
  update(workerId: number, snapshot: MetricsSnapshot): void {
    this.#living.set(workerId, snapshot);
  }

  /** What a living process reported last; null when nothing yet. */
  latest(workerId: number): MetricsSnapshot | null {
    return this.#living.get(workerId) ?? null;
  }

  /** The process is gone: its gauges vanish, its totals stay. */
  retire(workerId: number): void {
    const last = this.#living.get(workerId);
    if (last === undefined) return;
    this.#living.delete(workerId);
    this.#retired = addTotals(this.#retired, last.filter(isTotal));
  }

  /** The text of a scrape. @param own the primary's figures. */
  async exposition(own: MetricsSnapshot): Promise<string> {
    // The living come before the dead, so that a metric's type and help are the running version's.
    return AggregatorRegistry.aggregate([own, ...this.#living.values(), this.#retired]).metrics();
  }
}

function isTotal(metric: SnapshotMetric): boolean {
  return metric.type === "counter" || metric.type === "histogram";
}

function addTotals(before: MetricsSnapshot, added: MetricsSnapshot): MetricsSnapshot {
  const byName = new Map(before.map((metric) => [metric.name, metric]));
  for (const metric of added) {
    const values = new Map(byName.get(metric.name)?.values.map((value) => [seriesKey(value), value]));
    for (const value of metric.values) {
      const key = seriesKey(value);
      values.set(key, { ...value, value: value.value + (values.get(key)?.value ?? 0) });
    }
    byName.set(metric.name, { ...metric, values: [...values.values()] });
  }
  return [...byName.values()];
}

function seriesKey({ metricName, labels }: SnapshotValue): string {
  const sorted = Object.entries(labels).sort(([left], [right]) => (left < right ? -1 : 1));
  return JSON.stringify([metricName ?? "", sorted]);
}
