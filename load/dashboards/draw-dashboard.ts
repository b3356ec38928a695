/**
 * Draws a dashboard from what its queries answer, as one HTML file, where there is no Grafana: the panels where they
 * are, their units, legends and thresholds. It is a picture, not Grafana: nothing in it can be chosen.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { escaped, page, scriptSafe } from "../report/report-html.ts";
import { filledIn, legendOf, variableValues, type Dashboard, type Panel, type Target } from "./dashboard.ts";
import type { PrometheusApi, Range } from "./prometheus-api.ts";

const require = createRequire(import.meta.url);
const uplotScript = require.resolve("uplot/dist/uPlot.iife.min.js");
const ownStyle = fileURLToPath(new URL("dashboard-page.css", import.meta.url));
const ownScript = fileURLToPath(new URL("dashboard-page.js", import.meta.url));

/** What the page draws of a panel. */
export interface DrawnPanel {
  readonly panel: Panel;
  readonly lines: readonly { readonly label: string; readonly values: readonly (number | null)[] }[];
}

export interface DrawnDashboard {
  readonly html: string;
  /** Queries that were sent, and how many of them answered with at least one number. */
  readonly queries: number;
  readonly answered: number;
  /** Panels that show nothing, by title. */
  readonly empty: readonly string[];
}

/** @param scrapeSec between two scrapes: rates look back over four, as Grafana does. */
export async function drawDashboard(
  dashboard: Dashboard,
  api: PrometheusApi,
  range: Range,
  scrapeSec: number,
): Promise<DrawnDashboard> {
  const chosen = await variableValues(dashboard, (label, series) => api.labelValues(label, series));
  const atSeconds = Array.from(
    { length: Math.floor((range.end - range.start) / range.step) + 1 },
    (_, index) => range.start + index * range.step,
  );
  const rateSec = Math.max(4 * scrapeSec, range.step + scrapeSec);
  let queries = 0;
  let answered = 0;
  const drawn: DrawnPanel[] = [];
  for (const panel of dashboard.panels) {
    const lines: DrawnPanel["lines"][number][] = [];
    for (const target of panel.targets ?? []) {
      const found = await targetLines(target, api, { range, atSeconds, chosen, rateSec });
      queries++;
      if (found.some(({ values }) => values.some((value) => value !== null))) answered++;
      lines.push(...found);
    }
    drawn.push({ panel, lines });
  }
  const hasNumber = ({ lines }: DrawnPanel): boolean =>
    lines.some(({ values }) => values.some((value) => value !== null));
  return {
    html: dashboardHtml(dashboard, drawn, atSeconds, chosen),
    queries,
    answered,
    empty: drawn
      .filter((each) => each.panel.type !== "row" && !hasNumber(each))
      .map(({ panel }) => panel.title),
  };
}

interface Filling {
  readonly range: Range;
  readonly atSeconds: readonly number[];
  readonly chosen: ReadonlyMap<string, string>;
  readonly rateSec: number;
}

async function targetLines(
  target: Target,
  api: PrometheusApi,
  { range, atSeconds, chosen, rateSec }: Filling,
): Promise<DrawnPanel["lines"]> {
  const series = await api.range(filledIn(target.expr, chosen, rateSec), range);
  return series.map(({ metric, values }) => {
    const byTime = new Map(values.map(([at, text]) => [Math.round(at * 1000), Number(text)]));
    return {
      label: legendOf(target, metric),
      values: atSeconds.map((at) => {
        const value = byTime.get(Math.round(at * 1000));
        // A quantile of nothing is NaN.
        return value === undefined || !Number.isFinite(value) ? null : value;
      }),
    };
  });
}

function dashboardHtml(
  { title, description }: Dashboard,
  panels: readonly DrawnPanel[],
  atSeconds: readonly number[],
  chosen: ReadonlyMap<string, string>,
): string {
  const choices = Array.from(chosen, ([name, value]) => `${name}: ${value === ".*" ? "all" : value}`);
  return page(
    title,
    `<style>${readFileSync(ownStyle, "utf8")}</style>
<header><h1>${escaped(title)}</h1><p>${escaped([description, ...choices].join(" · "))}</p></header>
<section id="panels"></section>`,
    `<script type="application/json" id="data">${scriptSafe(JSON.stringify({ atSeconds, panels }))}</script>
<script>${readFileSync(uplotScript, "utf8")}</script>
<script>${readFileSync(ownScript, "utf8")}</script>`,
  );
}
