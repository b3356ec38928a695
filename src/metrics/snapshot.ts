/**
 * The figures of one process at one moment, in the shape of prom-client's `getMetricsAsJSON()`. Plain data: it
 * travels over IPC each second, and prom-client merges and writes it in the primary (`cluster-metrics.ts`).
 * Metric objects of prom-client are not used in between: they would hold a second copy of what the layers count, and
 * its histogram can only observe, not be given counts.
 */
import { invariant } from "../base/errors.ts";
import { PlainHistogram } from "../base/plain-histogram.ts";
import type { MetricDefinition } from "./metric-definition.ts";

export interface SnapshotValue {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  /** Name of the series where it is not the metric's (`…_bucket`, `…_sum`, `…_count`). */
  readonly metricName?: string;
}

export interface SnapshotMetric {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly aggregator: string;
  readonly values: readonly SnapshotValue[];
}

export type MetricsSnapshot = readonly SnapshotMetric[];

/** What reading a metric gives: one value, one for each set of labels, or a histogram of milliseconds. */
export type Reading = number | readonly SnapshotValue[] | PlainHistogram;

/** Counts by the members of a list that a layer closes: a reason, a code, a method. */
export type CountsByLabel = Readonly<Record<string, number>> | ReadonlyMap<string, number>;

/**
 * Reads every metric of `catalogue` once.
 * @param readings one function for each key of the catalogue.
 * @param commonLabels added to every series.
 * Cost: some hundred small objects; meant for once a second.
 */
export function takeSnapshot<Key extends string>(
  catalogue: Readonly<Record<Key, MetricDefinition>>,
  readings: Readonly<Record<Key, () => Reading>>,
  commonLabels: Readonly<Record<string, string>>,
): MetricsSnapshot {
  const reads: Readonly<Record<string, () => Reading>> = readings;
  return Object.entries<MetricDefinition>(catalogue).map(
    ([key, { name, help, type, aggregator = "sum" }]) => {
      const read = reads[key];
      invariant(read !== undefined, `no reading for the metric ${name}`);
      const reading = read();
      invariant(
        (type === "histogram") === reading instanceof PlainHistogram,
        `${name} is read as another type`,
      );
      const values = readingValues(name, reading);
      // The labels were made for this snapshot just now, so they may be added to.
      for (const value of values) Object.assign(value.labels, commonLabels);
      return { name, help, type, aggregator, values };
    },
  );
}

/** Counts by one label as values. */
export function byLabel(label: string, counts: CountsByLabel): SnapshotValue[] {
  const entries = counts instanceof Map ? [...counts.entries()] : Object.entries(counts);
  return entries.map(([member, value]) => ({ labels: { [label]: member }, value }));
}

/** Processor seconds of this process by mode. */
export function cpuSeconds(): SnapshotValue[] {
  const { user, system } = process.cpuUsage();
  return byLabel("mode", { user: user / 1e6, system: system / 1e6 });
}

function readingValues(name: string, reading: Reading): readonly SnapshotValue[] {
  if (typeof reading === "number") return [{ labels: {}, value: reading }];
  if (reading instanceof PlainHistogram) return histogramValues(name, reading);
  return reading;
}

/** Buckets of a scrape are cumulative and in seconds. */
function histogramValues(name: string, { bounds, counts, sum }: PlainHistogram): SnapshotValue[] {
  let cumulative = 0;
  const buckets = counts.map((count, index) => {
    cumulative += count;
    const bound = bounds[index];
    return {
      metricName: `${name}_bucket`,
      labels: { le: bound === undefined ? "+Inf" : bound / 1000 },
      value: cumulative,
    };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels: {}, value: sum / 1000 },
    { metricName: `${name}_count`, labels: {}, value: cumulative },
  ];
}
