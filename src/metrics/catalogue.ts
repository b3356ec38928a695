/**
 * Every metric once: name with its unit, type, labels and help, in a file for each part of the server. docs/METRICS.md is
 * written from these tables, the Grafana dashboard and the alerts are checked against them. Label sets are closed:
 * nothing that a peer, a publisher or a topic brings ever becomes a label's value, so the number of series is known
 * before the server starts.
 *
 * Nothing is counted here: the layers keep plain integers, `worker-metrics.ts` reads them when asked.
 */
import { brokerCatalogue } from "./broker-catalogue.ts";
import { connectionCatalogue } from "./connection-catalogue.ts";
import { httpCatalogue } from "./http-catalogue.ts";
import { hubCatalogue } from "./hub-catalogue.ts";
import type { MetricDefinition } from "./metric-definition.ts";
import { primaryCatalogue } from "./primary-catalogue.ts";
import { processCatalogue } from "./process-catalogue.ts";

/** Rules of the configuration that have series of their own; there may be a thousand. */
export const ruleLabelsMax = 20;

/** What a worker reports. Each series has the label `worker`: the number of its slot, not its pid. */
export const workerCatalogue = {
  ...connectionCatalogue,
  ...hubCatalogue,
  ...brokerCatalogue,
  ...httpCatalogue,
  ...processCatalogue,
} as const satisfies Record<string, MetricDefinition>;

export type WorkerMetric = keyof typeof workerCatalogue;
export type PrimaryMetric = keyof typeof primaryCatalogue;

/** All definitions, workers' first, with the labels that a scrape shows. */
export function allMetrics(): readonly MetricDefinition[] {
  const ofWorkers = Object.values<MetricDefinition>(workerCatalogue).map((metric) =>
    Object.assign({}, metric, { labels: ["worker", ...metric.labels] }),
  );
  return [...ofWorkers, ...Object.values<MetricDefinition>(primaryCatalogue)];
}

/** Names of all series that a scrape can hold: a histogram gives three. */
export function seriesNames(): ReadonlySet<string> {
  return new Set(
    allMetrics().flatMap(({ name, type }) =>
      type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
  );
}
