/** What is known of a metric before it has a value. */

export interface MetricDefinition {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** Beside `worker`, which every worker metric carries. */
  readonly labels: readonly string[];
  readonly help: string;
  /** How two processes of one slot are joined while one replaces the other. `sum` unless said otherwise. */
  readonly aggregator?: "max" | "min";
}

/** What only rises. @param labels see `MetricDefinition`, as for the two below. */
export function counter(name: string, help: string, ...labels: readonly string[]): MetricDefinition {
  return { name, type: "counter", labels, help };
}

/** What rises and falls; summed over processes unless the catalogue says otherwise. */
export function gauge(name: string, help: string, ...labels: readonly string[]): MetricDefinition {
  return { name, type: "gauge", labels, help };
}

/** Observations in buckets; which, says whoever observes. */
export function histogram(name: string, help: string, ...labels: readonly string[]): MetricDefinition {
  return { name, type: "histogram", labels, help };
}
