import { describe, expect, it } from "vitest";

import { barChartSvg } from "../../load/bench/bar-chart.ts";
import { markdownTable } from "../../load/bench/markdown-table.ts";
import type { Figures } from "../../load/peers/measure.ts";
import { chartOf, reportText } from "../../load/peers/report.ts";
import { judge, type ScenarioResult } from "../../load/peers/results.ts";
import type { Goal, Scenario } from "../../load/peers/scenario.ts";
import { scenarios } from "../../load/peers/scenarios.ts";

describe("a Markdown table", () => {
  it("lines up, and escapes what would end a cell", () => {
    expect(markdownTable(["", "µs"], [["a|b", "1"], ["c"]], new Set([1]))).toBe(
      ["|      |  µs |", "| ---- | --: |", String.raw`| a\|b |   1 |`, "| c    |     |"].join("\n"),
    );
  });
});

describe("a chart", () => {
  const bar = { label: "ws <8>", value: 5, low: 4, high: 10, isOwn: false };

  it("the longest whisker ends at the edge, and the bar half way", () => {
    const svg = barChartSvg({ title: "a & b", unit: "µs", bars: [bar] });
    expect(svg).toContain("a &amp; b");
    expect(svg).toContain("ws &lt;8&gt;");
    const width = Number(/<rect class="peer"[^>]* width="([\d.]+)"/u.exec(svg)?.[1]);
    const end = Number(/<path class="range" d="M[\d.]+ \d+H([\d.]+)/u.exec(svg)?.[1]);
    const start = Number(/<rect class="peer" x="([\d.]+)"/u.exec(svg)?.[1]);
    expect(end - start).toBe(width * 2);
  });

  it("draws nothing for what is not there", () => {
    expect(barChartSvg({ title: "", unit: "", bars: [] })).not.toContain("NaN");
    expect(
      barChartSvg({ title: "", unit: "", bars: [{ ...bar, value: NaN, low: NaN, high: NaN }] }),
    ).toContain("–");
  });
});

function figures(some: Partial<Figures>): Figures {
  return some as Figures;
}

function result(
  usPerDelivery: Readonly<Record<string, readonly (number | null)[]>>,
  arrived = 1,
): ScenarioResult {
  return {
    title: "t",
    command: "npm run bench:peers -- --only p1",
    measuredAt: "2030-01-01",
    timing: { seconds: 1, warmupSec: 1 },
    roundCount: 3,
    machine: { cores: "2" },
    variants: Object.entries(usPerDelivery).map(([name, rounds]) => ({
      name,
      title: name,
      isOwn: name === "tapecast",
      conflates: false,
      rounds: rounds.map((us) =>
        us === null ? null : figures({ usPerDelivery: us, deliveredShare: arrived }),
      ),
    })),
    remarks: ["nats: absent, no apt-get"],
  };
}

const goal: Goal = {
  id: "P1",
  text: "at most 1.15 × the best",
  figure: "usPerDelivery",
  of: "tapecast",
  against: ["floor", "bun"],
  bound: "atMost",
  limit: 1.15,
  isStretch: false,
};

describe("a goal", () => {
  it.each([
    { name: "met", tapecast: [6, 6, 6], isMet: true, median: 1 },
    { name: "missed", tapecast: [8, 8, 8], isMet: false, median: 4 / 3 },
    { name: "judged by the median, not by one bad run", tapecast: [6, 60, 6], isMet: true, median: 1 },
    { name: "a failed run does not count", tapecast: [6, null, 6], isMet: true, median: 1 },
  ])("$name", ({ tapecast, isMet, median }) => {
    const verdict = judge(goal, result({ tapecast, floor: [6, 6, 6], bun: [7, 7, 7] }));
    expect(verdict.isMet).toBe(isMet);
    expect(verdict.summary?.median).toBeCloseTo(median);
  });

  it("is against the best of the round, whoever that is", () => {
    const verdict = judge(goal, result({ tapecast: [6, 6, 6], floor: [3, 6, 6], bun: [6, 3, 6] }));
    expect(verdict.summary).toEqual({ median: 2, min: 1, max: 2, count: 3 });
  });

  it("for more is better, the best is the largest", () => {
    const most: Goal = { ...goal, bound: "atLeast", limit: 0.9 };
    const verdict = judge(most, result({ tapecast: [6, 6, 6], floor: [3, 3, 3], bun: [12, 12, 12] }));
    expect(verdict.summary?.median).toBe(0.5);
    expect(verdict.isMet).toBe(false);
  });

  it("against nobody it is the figure itself", () => {
    expect(judge({ ...goal, against: [], limit: 5 }, result({ tapecast: [4, 4, 6] })).isMet).toBe(true);
  });

  it("is not judged when nobody was there to compare with", () => {
    expect(judge(goal, result({ tapecast: [6, 6, 6] })).isMet).toBeNull();
  });
});

describe("the report", () => {
  const scenario: Scenario = {
    name: "p1",
    title: "One to all",
    kind: "fanOut",
    variants: [],
    goals: [goal],
    columns: ["usPerDelivery", "deliveredShare"],
    axis: "µs",
    reference: "floor",
  };

  it("says the verdict, who was absent, the machine and the command", () => {
    const text = reportText([{ scenario, result: result({ tapecast: [6, 6, 6], floor: [5, 6, 7] }) }]);
    expect(text).toMatch(/\| P1 +\| p1 +\| at most 1\.15 × the best \| 1\.00 \(0\.857–1\.20\) \| met +\|/u);
    expect(text).toContain("- nats: absent, no apt-get");
    expect(text).toContain("cores: 2");
    expect(text).toContain("npm run bench:peers -- --only p1");
    expect(text).not.toContain("saturated");
  });

  it("marks who did not keep up, in the table and in the chart", () => {
    const late = result({ tapecast: [6, 6, 6], floor: [5, 6, 7] }, 0.5);
    expect(reportText([{ scenario, result: late }])).toContain("tapecast (saturated)");
    expect(chartOf(scenario, late)).toContain("saturated");
  });
});

describe("the scenarios", () => {
  it("have names of their own, and cover P1 to P10", () => {
    expect(new Set(scenarios.map(({ name }) => name)).size).toBe(scenarios.length);
    const ids = new Set(scenarios.flatMap(({ goals }) => goals.map(({ id }) => id)));
    expect([...ids].toSorted()).toEqual(Array.from({ length: 10 }, (_, index) => `P${index + 1}`).toSorted());
  });

  it.each(scenarios)(
    "$name: goals and the reference name variants that there are",
    ({ variants, goals, reference }) => {
      const names = new Set(variants.map(({ name }) => name));
      expect(names.size).toBe(variants.length);
      for (const name of [reference, ...goals.flatMap(({ of, against }) => [of, ...against])]) {
        expect(names).toContain(name);
      }
    },
  );
});
