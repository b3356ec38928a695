import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

import { comparisonHtml } from "../../load/compare/compare-command.ts";
import { compareResults } from "../../load/compare/compare-results.ts";
import { pollingChartSvg } from "../../load/polling/polling-chart.ts";
import { parseSegments } from "../../load/polling/variant.ts";
import { reportHtml } from "../../load/report/report-html.ts";
import { readResult, resultFormat, type Figure, type LoadResult } from "../../load/run/load-result.ts";
import { highest, median, slope } from "../../load/run/statistics.ts";
import { Latency } from "../../load/swarm/latency.ts";
import { emptyPublication, publicationData, scanPublication } from "../../load/swarm/publication-scan.ts";
import { splitClients } from "../../load/swarm/swarm-plan.ts";
import { ownFolder } from "./own-folder.ts";

const p99: Figure = { name: "latency-p99", label: "latency p99", value: 20, unit: "ms", better: "lower" };
const rate: Figure = { name: "delivery-rate", label: "arrived", value: 1000, unit: "/s", better: "higher" };
const offered: Figure = { name: "offered", label: "offered", value: 50, unit: "", better: null };

function result(changes: Partial<LoadResult> = {}): LoadResult {
  return {
    format: resultFormat,
    scenario: "publish",
    startedAt: "2026-01-02T03:04:05.678Z",
    command: "npm run load -- publish",
    seconds: 10,
    options: { subscribers: 5 },
    machine: { cores: "2" },
    ok: true,
    problems: [],
    figures: [p99, rate, offered],
    publishing: null,
    deliveries: null,
    atSeconds: [1, 2],
    plots: [{ title: "Latency", unit: "ms", lines: [{ label: "p50", values: [1, null] }] }],
    moments: [{ second: 1.5, what: "something" }],
    table: null,
    ...changes,
  };
}

function withFigures(...figures: Figure[]): LoadResult {
  return result({ figures });
}

/** The text lies somewhere in a larger buffer. */
function scan(text: string) {
  const into = emptyPublication();
  const bytes = Buffer.from(`ab${text}cd`);
  return scanPublication(bytes, 2, bytes.length - 2, into) ? into : null;
}

describe("the HTML report", () => {
  const html = reportHtml(result());

  it("is one file: it names no other address and no other file", () => {
    // uPlot's licence comment may name its home; nothing is fetched from a comment.
    const withoutComments = html.replaceAll(/\/\*[\s\S]*?\*\//gu, "");
    expect(withoutComments).not.toMatch(/(?:src|href)\s*=\s*["'](?!data:)/u);
    expect(withoutComments).not.toMatch(/url\(|@import|fetch\(|XMLHttpRequest|import\(/u);
    expect(withoutComments.match(/https?:\/\/[^\s"']+/gu) ?? []).toEqual([]);
  });

  it("has the data, the charts and both themes", () => {
    const data = /<script type="application\/json" id="data">(.*)<\/script>/u.exec(html)?.[1] ?? "";
    expect(JSON.parse(data)).toEqual({
      atSeconds: [1, 2],
      plots: result().plots,
      moments: result().moments,
    });
    expect(html).toContain("uPlot");
    expect(html).toContain("prefers-color-scheme: dark");
    expect(html).toContain("20 ms");
  });

  it("says what is wrong", () => {
    const failed = reportHtml(result({ ok: false, problems: ["3 accepted messages are missing"] }));
    expect(failed).toContain('class="verdict failed">failed');
    expect(failed).toContain("<li>3 accepted messages are missing</li>");
  });

  it("takes nothing that was measured for markup", () => {
    const evil = "</script><script>alert(1)</script><!--";
    const page = reportHtml(
      result({
        command: evil,
        problems: [evil],
        options: { [evil]: evil },
        moments: [{ second: 1, what: evil }],
        table: { columns: [evil], rows: [[evil]] },
      }),
    );
    expect(page).not.toContain("<script>alert");
    expect(page.match(/<script/gu)).toHaveLength(3);
    expect(page.match(/<\/script>/gu)).toHaveLength(3);
  });
});

describe("two results beside each other", () => {
  it.each([
    { name: "the same", after: p99, tolerance: 0.2, verdict: "same" },
    { name: "worse within the tolerance", after: { ...p99, value: 23.9 }, tolerance: 0.2, verdict: "same" },
    { name: "worse past the tolerance", after: { ...p99, value: 24.1 }, tolerance: 0.2, verdict: "worse" },
    { name: "better", after: { ...p99, value: 10 }, tolerance: 0.2, verdict: "better" },
    { name: "worse by less than noise", after: { ...p99, value: 21.9 }, tolerance: 0, verdict: "same" },
    { name: "unknown", after: { ...p99, value: null }, tolerance: 0.2, verdict: "info" },
  ])("a figure where less is better, $name", ({ after, tolerance, verdict }) => {
    const { figures, regressions } = compareResults(withFigures(p99), withFigures(after), tolerance);
    expect(figures[0]?.verdict).toBe(verdict);
    expect(regressions).toEqual(verdict === "worse" ? ["latency p99"] : []);
  });

  it("a figure where more is better", () => {
    const half = { ...rate, value: 500 };
    expect(compareResults(withFigures(rate), withFigures(half), 0.2)).toMatchObject({
      figures: [{ verdict: "worse", ratio: 0.5 }],
    });
    expect(compareResults(withFigures(half), withFigures(rate), 0.2).regressions).toEqual([]);
  });

  it("a loss where there was none is a regression, however large the tolerance", () => {
    const missing: Figure = { name: "missing", label: "missing", value: 0, unit: "", better: "lower" };
    const compared = compareResults(withFigures(missing), withFigures({ ...missing, value: 1 }), 10);
    expect(compared.regressions).toEqual(["missing"]);
  });

  it("a broken promise is a regression, other options and machines are named", () => {
    const after = result({ ok: false, options: { subscribers: 9 }, machine: { cores: "4" }, seconds: 20 });
    const compared = compareResults(result(), after, 0.2);
    expect(compared.regressions).toEqual(["promises that were kept are broken"]);
    expect(compared.differences).toEqual([
      "option subscribers: 5, 9",
      "machine cores: 2, 4",
      "seconds: 10, 20",
    ]);
    expect(comparisonHtml(compared)).toContain("worse: promises that were kept are broken");
  });

  it("a file that is no result is named, with where results are", () => {
    const file = join(ownFolder(), "x.json");
    writeFileSync(file, "{}");
    expect(() => readResult(file)).toThrow(`${file} is no result of a load scenario`);
    writeFileSync(file, JSON.stringify(result()));
    expect(readResult(file)).toEqual(result());
  });
});

describe("latencies", () => {
  it("are milliseconds, and add up over processes", () => {
    const one = new Latency();
    const other = new Latency();
    for (let us = 1000; us <= 50_000; us += 1000) one.record(us);
    for (let us = 51_000; us <= 100_000; us += 1000) other.record(us);
    one.add(other.take());
    const { count, p50, p99, max } = one.summary();
    expect(count).toBe(100);
    expect(p50).toBeCloseTo(50, 0);
    expect(p99).toBeCloseTo(99, 0);
    expect(max).toBeCloseTo(100, 0);
    expect(other.summary()).toEqual({ count: 0, p50: 0, p99: 0, p999: 0, max: 0 });
  });

  it("a value that no clock should give is kept within bounds", () => {
    const latency = new Latency();
    latency.record(-5);
    latency.record(1e12);
    expect(latency.summary().count).toBe(2);
  });
});

describe("publications without JSON.parse", () => {
  const data = publicationData(12, 345_678_901_234, "x");

  it("with and without a position, at any place of a buffer", () => {
    const read = { topic: 17, number: 12, sentUs: 345_678_901_234 };
    expect(scan(JSON.stringify({ topic: "trade.load-9f3.17", seq: 5, data }))).toEqual({ ...read, seq: 5 });
    expect(scan(JSON.stringify({ topic: "trade.load-9f3.17", data }))).toEqual({ ...read, seq: 0 });
  });

  it.each([
    { name: "a reply", text: '{"id":1,"result":{}}' },
    { name: "an event", text: '{"event":"lost","topic":"a.0","count":3}' },
    { name: "other data", text: '{"topic":"a.0","seq":1,"data":{"price":1}}' },
    { name: "a cut one", text: '{"topic":"a.0","seq":1,"da' },
    { name: "nothing", text: "" },
  ])("$name is none", ({ text }) => {
    expect(scan(text)).toBeNull();
  });
});

describe("small parts", () => {
  it("clients are shared out evenly, each once", () => {
    expect(splitClients([1, 2, 3, 4, 5], 2)).toEqual([
      [1, 2],
      [3, 4, 5],
    ]);
    expect(splitClients([1], 3).flat()).toEqual([1]);
  });

  it("statistics of few and of none", () => {
    expect([highest([]), highest([1, 3, 2])]).toEqual([null, 3]);
    expect([median([]), median([9, 1, 5])]).toEqual([null, 5]);
    expect([slope([]), slope([4]), slope([1, 3, 5])]).toEqual([0, 0, 2]);
  });

  it("TCP segments are found by name", () => {
    const text =
      "Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm InSegs OutSegs\nTcp: 1 20 30\nUdp: OutSegs\nUdp: 4";
    expect(parseSegments(text)).toBe(30);
    expect(parseSegments("")).toBe(0);
  });

  it("the picture for the README has a bar for each variant and quantity", () => {
    const variant = {
      name: "push",
      label: "push <now>",
      elapsedSec: 10,
      requests: 1,
      connections: 1,
      payloadBytes: 1_000_000,
      segments: 0,
      cpuSec: 1,
      residentMib: 1,
      changesSeen: 1,
      age: { count: 1, p50: 1, p99: 2, p999: 3, max: 4 },
      everySecond: [],
      problems: [],
    };
    const svg = pollingChartSvg([variant, { ...variant, name: "polling" }], "a & b");
    expect(svg.match(/<rect class="own"/gu)).toHaveLength(3);
    expect(svg.match(/<rect class="peer"/gu)).toHaveLength(3);
    expect(svg).toContain("push &lt;now&gt;");
    expect(svg).toContain("a &amp; b");
  });
});
