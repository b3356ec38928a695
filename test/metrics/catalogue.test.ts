import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

import { allMetrics, seriesNames } from "../../src/metrics/catalogue.ts";
import { metricsMarkdown } from "../../src/metrics/metrics-document.ts";

describe("the catalogue of metrics", () => {
  it("has each name once", () => {
    const names = allMetrics().map(({ name }) => name);
    expect(names).toEqual([...new Set(names)]);
    expect(seriesNames().size).toBe(
      names.length + 2 * allMetrics().filter(({ type }) => type === "histogram").length,
    );
  });

  it.each(allMetrics())(
    "$name: prefix, unit and suffix as Prometheus expects",
    ({ name, type, labels, help }) => {
      expect(name).toMatch(/^tapecast_[a-z]+(?:_[a-z]+)*$/u);
      expect(name.endsWith("_total")).toBe(type === "counter");
      expect(name).not.toMatch(/_(?:ms|kb|mb|percent)(?:_|$)/u);
      expect(help).toMatch(/\.$/u);
      for (const label of labels) {
        expect([
          "worker",
          "reason",
          "method",
          "rate_class_ms",
          "code",
          "route",
          "status",
          "quantile",
          "mode",
          "cause",
          "rule",
          "limit",
          "version",
          "node",
        ]).toContain(label);
      }
    },
  );

  it("docs/METRICS.md is what the catalogue says", () => {
    const file = new URL("../../docs/METRICS.md", import.meta.url);
    expect(readFileSync(file, "utf8")).toBe(metricsMarkdown());
  });
});
