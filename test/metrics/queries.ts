/** The queries of the dashboards and the alerts, and what in them does not exist. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";

import { allMetrics, seriesNames } from "../../src/metrics/catalogue.ts";

const top = fileURLToPath(new URL("../../", import.meta.url));

export interface Query {
  /** Where it stands, for people: `tapecast.json, Deliveries, A`. */
  readonly where: string;
  readonly expression: string;
  /** The legend's template, `worker {{worker}}`; empty for an alert. */
  readonly legend: string;
}

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly {
    readonly refId: string;
    readonly expr: string;
    readonly legendFormat: string;
  }[];
}

/** Every query of every panel of every dashboard under grafana/dashboards. */
export function panelQueries(): Query[] {
  const folder = `${top}grafana/dashboards`;
  return readdirSync(folder).flatMap((file) => {
    const { panels } = JSON.parse(readFileSync(`${folder}/${file}`, "utf8")) as { panels: Panel[] };
    return panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ refId, expr, legendFormat }) => ({
        where: `${file}, ${title}, ${refId}`,
        expression: expr,
        legend: legendFormat,
      })),
    );
  });
}

/** A query as Grafana sends it: the choices of its variables are `All`. */
export function filledIn({ expression }: Query, rateInterval: string): string {
  return expression
    .replaceAll("$__rate_interval", rateInterval)
    .replaceAll(/\$(?:instance|worker|rule)\b/gu, ".*");
}

/** An alert's expression without its comparison: what is compared, and what with when that is no number. */
export function sidesOf(expression: string): string[] {
  const sides = expression.split(/\s(?:==|!=|<=|>=|<|>)\s/u).map((side) => side.trim());
  return sides.filter((side) => !/^[\d.e]+$/u.test(side));
}

/** Where docs/OPERATIONS.md explains each alert: alert and anchor. */
export function alertRunbooks(): { readonly alert: string; readonly runbook: string }[] {
  const { groups } = parse(readFileSync(`${top}config/prometheus-rules.yml`, "utf8")) as {
    groups: { rules: { alert: string; annotations: { runbook: string } }[] }[];
  };
  return groups.flatMap(({ rules }) =>
    rules.map(({ alert, annotations }) => ({ alert, runbook: annotations.runbook })),
  );
}

/** Every alert of config/prometheus-rules.yml. */
export function alertQueries(): Query[] {
  const { groups } = parse(readFileSync(`${top}config/prometheus-rules.yml`, "utf8")) as {
    groups: { rules: { alert: string; expr: string; annotations: { summary: string } }[] }[];
  };
  return groups.flatMap(({ rules }) =>
    rules.map(({ alert, expr, annotations }) => ({
      where: `prometheus-rules.yml, ${alert}`,
      expression: expr,
      legend: annotations.summary.replaceAll("$labels.", ""),
    })),
  );
}

/** What Prometheus itself adds. */
const ownLabels = ["job", "instance", "le"];

/** Names in a query that neither the catalogue nor Prometheus knows; empty when all exist. */
export function queryProblems({ where, expression, legend }: Query): string[] {
  const names = [...new Set(expression.match(/\b(?:tapecast_\w+|up)\b/gu))];
  if (names.length === 0) return [`${where}: asks for nothing of ours`];
  const known = seriesNames();
  const unknown = names.filter((name) => name !== "up" && !known.has(name));
  const labels = new Set([...ownLabels, ...names.flatMap(labelsOf)]);
  return [
    ...unknown.map((name) => `${where}: no metric ${name}`),
    ...usedLabels(expression, legend)
      .filter((label) => !labels.has(label))
      .map((label) => `${where}: no label ${label}`),
  ];
}

function labelsOf(series: string): readonly string[] {
  const metric = allMetrics().find(
    ({ name }) => series === name || series.replace(/_(?:bucket|sum|count)$/u, "") === name,
  );
  return metric?.labels ?? [];
}

function usedLabels(expression: string, legend: string): string[] {
  const grouped = [...expression.matchAll(/\b(?:by|without)\s*\(([^)]*)\)/gu)].flatMap(([, list = ""]) =>
    list.split(","),
  );
  const matched = [...expression.matchAll(/[{,]\s*(\w+)\s*(?:=~|!~|!=|=)/gu)].map(([, label = ""]) => label);
  const shown = [...legend.matchAll(/\{\{\s*(\w+)\s*\}\}/gu)].map(([, label = ""]) => label);
  return [...new Set([...grouped, ...matched, ...shown].map((label) => label.trim()).filter(Boolean))];
}
