/** A dashboard of grafana/dashboards as far as drawing needs it, and its variables filled in as Grafana does. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../../grafana/dashboards/", import.meta.url));

export interface Target {
  readonly expr: string;
  /** With `{{label}}` in it. */
  readonly legendFormat: string;
}

export interface Threshold {
  readonly color: string;
  /** Null: from the beginning. */
  readonly value: number | null;
}

export interface Panel {
  readonly type: "row" | "stat" | "timeseries";
  readonly title: string;
  readonly description?: string;
  /** In 24ths of the width; a unit of height is 38 pixels with its gap. */
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly Target[];
  readonly fieldConfig?: {
    readonly defaults: {
      readonly unit?: string;
      readonly min?: number;
      readonly max?: number;
      readonly thresholds?: { readonly steps: readonly Threshold[] };
      readonly mappings?: readonly {
        readonly options: Readonly<Record<string, { readonly text: string }>>;
      }[];
      readonly custom?: { readonly thresholdsStyle?: { readonly mode: string } };
    };
  };
  readonly options?: { readonly textMode?: string };
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly Variable[] };
}

interface Variable {
  readonly name: string;
  /** `label_values(series, label)`. */
  readonly definition: string;
  readonly includeAll: boolean;
}

/** All of the repository. */
export function readDashboards(): Dashboard[] {
  return readdirSync(folder).map((file) => JSON.parse(readFileSync(`${folder}${file}`, "utf8")) as Dashboard);
}

/** What is chosen when nobody has chosen: all, or the first where only one can be. */
export async function variableValues(
  { templating }: Dashboard,
  labelValues: (label: string, series: string) => Promise<readonly string[]>,
): Promise<ReadonlyMap<string, string>> {
  const chosen = new Map<string, string>();
  for (const { name, definition, includeAll } of templating.list) {
    const [, series = "", label = ""] = /^label_values\((.+), (\w+)\)$/u.exec(definition) ?? [];
    const first = includeAll ? ".*" : (await labelValues(label, filledIn(series, chosen, 0)))[0];
    chosen.set(name, first ?? ".*");
  }
  return chosen;
}

/** A query as Grafana sends it. @param rateSec what `$__rate_interval` is, seconds. */
export function filledIn(query: string, chosen: ReadonlyMap<string, string>, rateSec: number): string {
  return query
    .replaceAll("$__rate_interval", `${rateSec}s`)
    .replaceAll(/\$(\w+)/gu, (whole, name: string) => chosen.get(name) ?? whole);
}

/** The name of a series in the legend. */
export function legendOf({ legendFormat }: Target, labels: Readonly<Record<string, string>>): string {
  return legendFormat.replaceAll(/\{\{\s*(\w+)\s*\}\}/gu, (_, label: string) => labels[label] ?? "");
}
