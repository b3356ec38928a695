import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

import { readDashboards } from "../../load/dashboards/dashboard.ts";
import { allMetrics, workerCatalogue } from "../../src/metrics/catalogue.ts";
import { alertQueries, alertRunbooks, panelQueries, queryProblems, sidesOf } from "./queries.ts";

describe("dashboards and alerts against the catalogue", () => {
  it.each([...panelQueries(), ...alertQueries()])("$where", (query) => {
    expect(queryProblems(query)).toEqual([]);
  });

  it("there are queries to check", () => {
    expect(panelQueries().length).toBeGreaterThan(100);
    expect(alertQueries().length).toBeGreaterThan(15);
  });

  it("the dashboards show what the promises are about, and nearly everything else", () => {
    const shown = panelQueries()
      .map(({ expression }) => expression)
      .join("\n");
    const isShown = (name: string): boolean => new RegExp(`\\b${name}(?:_bucket)?\\b`, "u").test(shown);
    const { publishToWrite, ruleFreshness, eventLoopDelay, brokerLag, brokerReady } = workerCatalogue;
    const { historyGaps, overruns, conflated, sampledOut, laggingReaders, flushWindow } = workerCatalogue;
    for (const { name } of [publishToWrite, ruleFreshness, eventLoopDelay, brokerLag, brokerReady])
      expect(isShown(name), name).toBe(true);
    for (const { name } of [historyGaps, overruns, conflated, sampledOut, laggingReaders, flushWindow])
      expect(isShown(name), name).toBe(true);
    const missing = allMetrics().filter(({ name }) => !isShown(name));
    expect(missing.length / allMetrics().length, missing.map(({ name }) => name).join(" ")).toBeLessThan(0.1);
  });

  it("a dashed line is where an alert begins", () => {
    const drawn = readDashboards().flatMap(({ panels }) =>
      panels.flatMap(({ title, fieldConfig }) => {
        const { custom, thresholds } = fieldConfig?.defaults ?? {};
        const isDashed = custom?.thresholdsStyle?.mode === "dashed";
        return isDashed ? (thresholds?.steps ?? []).map(({ value }) => ({ title, value })) : [];
      }),
    );
    const lines = drawn.filter(({ value }) => value !== null);
    expect(lines.length).toBeGreaterThan(10);
    const limits = alertQueries().map(({ expression }) => Number(expression.split(" > ")[1]));
    for (const { title, value } of lines) expect(limits, title).toContain(value);
  });

  it("docs/OPERATIONS.md has a place for every alert", () => {
    const text = readFileSync(new URL("../../docs/OPERATIONS.md", import.meta.url), "utf8");
    const anchors = Array.from(text.matchAll(/^#+ (.+)$/gmu), ([, heading = ""]) =>
      heading.toLowerCase().replaceAll(" ", "-"),
    );
    for (const { alert, runbook } of alertRunbooks()) {
      expect(runbook).toBe(`docs/OPERATIONS.md#${alert.toLowerCase()}`);
      expect(anchors).toContain(alert.toLowerCase());
    }
  });

  it.each([
    ["up == 0", ["up"]],
    ["a < b", ["a", "b"]],
    ['max(a{b=~"x"}) >= 3e9', ['max(a{b=~"x"})']],
  ])("%s without its comparison", (expression, sides) => {
    expect(sidesOf(expression)).toEqual(sides);
  });
});

describe("a planted violation is found", () => {
  const legend = "";
  it.each([
    {
      name: "a metric that does not exist",
      expression: "sum(tapecast_unicorns)",
      problem: "no metric tapecast_unicorns",
    },
    {
      name: "a counter without _total",
      expression: "rate(tapecast_flushes[1m])",
      problem: "no metric tapecast_flushes",
    },
    {
      name: "a histogram without _bucket",
      expression: "tapecast_flush_duration_seconds",
      problem: "no metric tapecast_flush_duration_seconds",
    },
    {
      name: "a label to group by",
      expression: "sum by (topic) (tapecast_topics)",
      problem: "no label topic",
    },
    {
      name: "a label to match",
      expression: 'tapecast_connections_closed_total{code="1000"}',
      problem: "no label code",
    },
    { name: "no metric at all", expression: "vector(1)", problem: "asks for nothing of ours" },
  ])("$name", ({ expression, problem }) => {
    expect(queryProblems({ where: "x", expression, legend })).toEqual([`x: ${problem}`]);
  });

  it("a label in a legend", () => {
    const query = { where: "x", expression: "tapecast_topics", legend: "{{room}}" };
    expect(queryProblems(query)).toEqual(["x: no label room"]);
  });
});
