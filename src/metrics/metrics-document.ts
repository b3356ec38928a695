/** docs/METRICS.md, from the catalogue. */

import { allMetrics, ruleLabelsMax, workerCatalogue } from "./catalogue.ts";
import type { MetricDefinition } from "./metric-definition.ts";

/** The document, whole. */
export function metricsMarkdown(): string {
  const workerCount = Object.keys(workerCatalogue).length;
  const metrics = allMetrics();
  return `# Metrics

Generated from \`src/metrics/*-catalogue.ts\` by \`npm run docs\`; do not edit.

\`GET /metrics\` on the admin port (\`admin.host\`, \`admin.port\`) answers for the whole cluster. Workers send their
figures to the primary each second and the primary answers from the last ones it has, so a worker that stands still
delays no scrape (\`tapecast_worker_snapshot_age_seconds\` shows it). The label \`worker\` is the slot: a replacement
goes on with the totals of the worker it replaces, and what a crashed worker counted in its last second is lost.
Label values come from closed lists, never from topics, users or addresses. \`rule\` is the pattern of a rule as the
configuration has it; the rules behind the first ${ruleLabelsMax} are \`other\` together.

## Of each worker

${table(metrics.slice(0, workerCount))}

## Of the primary

${table(metrics.slice(workerCount))}
`;
}

function table(metrics: readonly MetricDefinition[]): string {
  const rows = metrics.map(({ name, type, labels, help }) => {
    const labelNames = labels.map((label) => `\`${label}\``).join(", ");
    return `| \`${name}\` | ${type} | ${labelNames} | ${help} |`;
  });
  return ["| metric | type | labels | what it says |", "|---|---|---|---|", ...rows].join("\n");
}
