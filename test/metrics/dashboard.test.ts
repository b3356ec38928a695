import { describe, expect, it } from "vitest";

import { workerCatalogue } from "../../src/metrics/catalogue.ts";
import { alertQueries, panelQueries, queryProblems } from "./queries.ts";

describe("dashboards and alerts against the catalogue", () => {
  it.each([...panelQueries(), ...alertQueries()])("$where", (query) => {
    expect(queryProblems(query)).toEqual([]);
  });

  it("there are queries to check", () => {
    expect(panelQueries().length).toBeGreaterThan(30);
    expect(alertQueries().length).toBeGreaterThan(5);
  });

  it("the dashboard shows what issue after issue asks for: every hub and connection metric", () => {
    const shown = panelQueries()
      .map(({ expression }) => expression)
      .join("\n");
    const { publicationsIn, deliveries, bytesSent, hubWrites, flushDuration, laggingReaders } =
      workerCatalogue;
    const { conflated, sampledOut, eventLoopDelay, brokerReady, connectionsClosed, handshakesRefused } =
      workerCatalogue;
    const wanted = [
      publicationsIn,
      deliveries,
      bytesSent,
      hubWrites,
      flushDuration,
      laggingReaders,
      conflated,
    ];
    for (const { name } of [
      ...wanted,
      sampledOut,
      eventLoopDelay,
      brokerReady,
      connectionsClosed,
      handshakesRefused,
    ]) {
      expect(shown).toContain(name);
    }
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
