import stringWidth from "string-width";
import { describe, expect, it } from "vitest";

import { quantileBetween, Scrape } from "../../src/cli/scrape.ts";
import { topView, type TopReading } from "../../src/cli/top-figures.ts";
import { bytes, count, rate, seconds, topScreen } from "../../src/cli/top-screen.ts";
import type { ListedConnection, ListedTopic } from "../../src/primary/inspector.ts";

const connection: ListedConnection = {
  worker: 0,
  id: "x",
  address: "2001:db8::1234:5678:9abc:def0",
  endpoint: "ws batch",
  compressed: true,
  topics: 1024,
  rateClassesMs: [0, 250],
  pendingBytes: 1_048_576,
  pendingAgeMs: 4321,
  lagging: true,
  sentBytes: 5e9,
  receivedBytes: 1,
  silentMs: 1000,
  ageMs: 90_000_000,
};
const topic: ListedTopic = {
  topic: "danmaku.房间一号一个很长的名字一个很长的名字一个很长的名字一个很长的名字",
  delivery: "sample",
  subscribers: 500_000,
  lagging: 3,
  byRateClassMs: {},
  ratePerSec: 1200,
  ageMs: null,
  seq: 0,
  workers: 2,
};

/** A reading of two workers whose figures are `ageSec` old, after so many deliveries each. */
function reading(atMs: number, deliveries: readonly [number, number], ageSec: number): TopReading {
  const lines = deliveries.flatMap((total, worker) => [
    `tapecast_deliveries_total{worker="${worker}"} ${total}`,
    `tapecast_worker_snapshot_age_seconds{worker="${worker}"} ${ageSec}`,
    `tapecast_publish_to_write_seconds_bucket{le="0.001",worker="${worker}"} ${total / 2}`,
    `tapecast_publish_to_write_seconds_bucket{le="0.01",worker="${worker}"} ${total}`,
    `tapecast_publish_to_write_seconds_bucket{le="+Inf",worker="${worker}"} ${total}`,
  ]);
  const items = deliveries.map((_, worker) => ({
    worker,
    pid: 100 + worker,
    state: "ready",
    problem: null,
    upMs: 1,
    restarts: {},
    figuresAgeMs: ageSec * 1000,
    figures: null,
  }));
  return {
    atMs,
    scrape: new Scrape(
      `# HELP a b\ntapecast_build_info{version="1.2.3",node="v20"} 1\n${lines.join("\n")}\n`,
    ),
    workers: { configured: 2, ready: 2, items },
    connections: {
      sort: "lag",
      limit: 100,
      total: 40,
      items: Array.from({ length: 40 }, () => connection),
      missing: [],
    },
    topics: {
      sort: "rate",
      limit: 100,
      total: 40,
      items: Array.from({ length: 40 }, () => topic),
      missing: [],
    },
  };
}

describe("the figures of tapecast top", () => {
  it("rates go by the workers' own time, not by when we asked", () => {
    // Asked 2 s apart; the first figures were 0.9 s old and the second 0.1 s: 2.8 s between them.
    const view = topView(reading(0, [1000, 0], 0.9), reading(2000, [3800, 280], 0.1));
    expect(view.deliveriesPerSec).toBeCloseTo(1100);
    expect(view.workers.map(({ deliveriesPerSec }) => deliveriesPerSec)).toEqual([
      expect.closeTo(1000),
      expect.closeTo(100),
    ]);
    expect(view.version).toBe("1.2.3");
  });

  it("a worker's own figures stand in its line; before its first report they are unknown", () => {
    const now = reading(0, [0, 0], 0);
    const [first, second] = now.workers.items;
    const figures = {
      connectionsOpen: 1,
      subscriptions: 2,
      topics: 3,
      audiences: 4,
      laggingReaders: 5,
      flushWindowSeconds: 6,
      eventLoopUtilizationRatio: 7,
      residentMemoryBytes: 8,
      brokerReady: 1,
      brokerLagSeconds: 10,
    };
    const view = topView(null, {
      ...now,
      workers: { ...now.workers, items: [{ ...first!, figures }, second!] },
    });
    expect(view.workers).toMatchObject([
      { worker: "0", pid: 100, connections: 1, subscriptions: 2, topics: 3, lagging: 5, memoryBytes: 8 },
      { worker: "1", connections: null, subscriptions: null, topics: null, lagging: null, memoryBytes: null },
    ]);
  });

  it("are unknown at the first reading, and after the server began anew", () => {
    expect(topView(null, reading(0, [5, 5], 0)).deliveriesPerSec).toBeNull();
    expect(topView(reading(0, [5, 5], 0), reading(2000, [1, 1], 0)).deliveriesPerSec).toBeNull();
  });

  it("the same report twice is no rate, and nothing is divided by nothing", () => {
    expect(topView(reading(0, [5, 5], 0.1), reading(500, [5, 5], 0.6)).deliveriesPerSec).toBe(0);
  });

  it.each([
    { quantile: 0.5, expected: 0.001 },
    { quantile: 0.75, expected: 0.0055 },
    { quantile: 1, expected: 0.01 },
  ])("quantile $quantile of what came between two readings", ({ quantile, expected }) => {
    const name = "tapecast_publish_to_write_seconds";
    const before = reading(0, [100, 0], 0).scrape.buckets(name);
    const after = reading(0, [300, 0], 0).scrape.buckets(name);
    expect(quantileBetween(before, after, quantile)).toBeCloseTo(expected);
    expect(quantileBetween(after, after, quantile)).toBeNull();
  });
});

describe("the screen of tapecast top", () => {
  const view = topView(reading(0, [0, 0], 0), reading(2000, [10, 10], 0));
  const texts = { url: "http://127.0.0.1:9464", time: "12:00:00", keys: "q quits" };

  it.each([
    { columns: 80, rows: 24 },
    { columns: 120, rows: 40 },
    { columns: 40, rows: 12 },
    { columns: 20, rows: 3 },
    { columns: 200, rows: 100 },
  ])("$columns × $rows is filled and never exceeded, wide characters included", ({ columns, rows }) => {
    const lines = topScreen(view, { columns, rows }, texts);
    expect(lines).toHaveLength(rows);
    for (const { text } of lines) expect(stringWidth(text)).toBeLessThanOrEqual(columns);
    expect(lines.at(-1)?.text).toBe("q quits");
  });

  it("80 × 24 has room for both lists and what is slow about the slowest", () => {
    const text = topScreen(view, { columns: 80, rows: 24 }, texts).map((line) => line.text);
    expect(text.filter((line) => line.includes("danmaku.房间")).length).toBeGreaterThan(2);
    expect(text.filter((line) => line.includes("1.0 MB") && line.includes("4.3 s")).length).toBeGreaterThan(
      2,
    );
  });

  it("what is wrong stands at the top", () => {
    const missing = [{ worker: 1, reason: "no answer within 1500 ms" }];
    const lines = topScreen(
      { ...view, workersReady: 1, brokerReady: false, connectionPage: { ...view.connectionPage, missing } },
      { columns: 100, rows: 30 },
      texts,
    );
    expect(lines.filter(({ kind }) => kind === "alarm").map(({ text }) => text)).toEqual([
      "! a worker is not ready",
      "! the broker is away",
      "! worker 1 is missing in the lists: no answer within 1500 ms",
    ]);
  });

  it("writes numbers as people read them", () => {
    expect([null, 0, 999, 12_345, 1_234_567].map(count)).toEqual(["–", "0", "999", "12,345", "1.23M"]);
    expect([0, 0.25, 9.96, 12.3].map(rate)).toEqual(["0/s", "0.3/s", "10.0/s", "12/s"]);
    expect([0, 999, 1500, 2e6, 3e9].map(bytes)).toEqual(["0 B", "999 B", "1.5 kB", "2.0 MB", "3.00 GB"]);
    expect([0, 0.0015, 0.25, 12, 600, 90_000].map(seconds)).toEqual([
      "0",
      "1.5 ms",
      "250 ms",
      "12.0 s",
      "10 min",
      "25 h",
    ]);
  });
});
