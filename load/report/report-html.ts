/** The HTML report: one file that needs no network, with the charts of uPlot in it. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { figureText, type Figure, type LoadResult, type VariantTable } from "../run/load-result.ts";

const require = createRequire(import.meta.url);
const uplotScript = require.resolve("uplot/dist/uPlot.iife.min.js");
const uplotStyle = require.resolve("uplot/dist/uPlot.min.css");
const ownStyle = fileURLToPath(new URL("report-page.css", import.meta.url));
const ownScript = fileURLToPath(new URL("report-page.js", import.meta.url));

/** Of one run. */
export function reportHtml(result: LoadResult): string {
  const { scenario, ok, problems, command, startedAt, options, machine, figures, table } = result;
  const facts: [string, string][] = [
    ["command", command],
    ["started", startedAt],
    ...Object.entries(options).map(([name, value]): [string, string] => [name, String(value)]),
  ];
  const plots = { atSeconds: result.atSeconds, plots: result.plots, moments: result.moments };
  return page(
    `${scenario} · Tapecast load`,
    [
      `<header><h1>${escaped(scenario)}</h1><p class="verdict ${ok ? "ok" : "failed"}">${verdict(result)}</p></header>`,
      problems.length === 0
        ? ""
        : `<ul class="problems">${problems.map((problem) => `<li>${escaped(problem)}</li>`).join("")}</ul>`,
      keyFigures(figures),
      table === null ? "" : tableHtml(table),
      `<section id="plots"></section>`,
      figures.length === 0 ? "" : figureTable(figures),
      `<section class="facts"><div><h2>Run</h2>${definitions(facts)}</div><div><h2>Machine</h2>${definitions(Object.entries(machine))}</div></section>`,
    ].join("\n"),
    `<script type="application/json" id="data">${scriptSafe(JSON.stringify(plots))}</script>
<script>${readFileSync(uplotScript, "utf8")}</script>
<script>${readFileSync(ownScript, "utf8")}</script>`,
  );
}

/** A whole page. @param body trusted markup. @param end scripts, or nothing. */
export function page(title: string, body: string, end = ""): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${escaped(title)}</title>
<style>${readFileSync(uplotStyle, "utf8")}${readFileSync(ownStyle, "utf8")}</style>
</head>
<body>
<main>
${body}
</main>
${end}
</body>
</html>
`;
}

/** @param table its first column is what a row is about. */
export function tableHtml({ columns, rows }: VariantTable): string {
  const head = columns.map((cell) => `<th scope="col">${escaped(cell)}</th>`).join("");
  const body = rows.map(([about = "", ...cells]) => {
    const rest = cells.map((cell) => `<td>${escaped(cell)}</td>`).join("");
    return `<tr><th scope="row">${escaped(about)}</th>${rest}</tr>`;
  });
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${body.join("")}</tbody></table></div>`;
}

/** Text that HTML would take for markup is escaped. */
export function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

function verdict({ ok, deliveries }: LoadResult): string {
  if (!ok) return "failed";
  return deliveries === null ? "done" : "every accepted message arrived as its topic promises";
}

/** The few that most people look for. */
const keyNames = ["delivery-rate", "latency-p50", "latency-p99", "missing", "server-cpu", "server-memory"];

function keyFigures(figures: readonly Figure[]): string {
  const found = keyNames.flatMap((name) => figures.find((figure) => figure.name === name) ?? []);
  if (found.length === 0) return "";
  const cards = found.map(
    (figure) =>
      `<div class="card"><span>${escaped(figure.label)}</span><strong>${escaped(figureText(figure))}</strong></div>`,
  );
  return `<section class="cards">${cards.join("")}</section>`;
}

function figureTable(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => [figure.label, figureText(figure)]);
  return `<h2>Figures</h2>${tableHtml({ columns: ["figure", "value"], rows })}`;
}

function definitions(facts: readonly (readonly [string, string])[]): string {
  const items = facts.map(([name, value]) => `<dt>${escaped(name)}</dt><dd>${escaped(value)}</dd>`);
  return `<dl>${items.join("")}</dl>`;
}

/** JSON inside a script element: `</script>` and `<!--` must not end it (HTML §4.12.1.3). */
export function scriptSafe(json: string): string {
  return json.replaceAll("<", String.raw`\u003c`);
}
