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

export function counter(name: string, help: string, ...labels: readonly string[]): MetricDefinition {
  return { name, type: "counter", labels, help };
}

export function gauge(name: string, help: string, ...labels: readonly string[]): MetricDefinition {
  return { name, type: "gauge", labels, help };
}

export function histogram(name: string, help: string, ...labels: readonly string[]): MetricDefinition {
  return { name, type: "histogram", labels, help };
}
