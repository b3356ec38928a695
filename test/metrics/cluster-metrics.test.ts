import { describe, expect, it } from "vitest";

import { ClusterMetrics } from "../../src/metrics/cluster-metrics.ts";
import type { MetricsSnapshot } from "../../src/metrics/snapshot.ts";

function snapshotOf(slot: number, total: number, open: number): MetricsSnapshot {
  const labels = { worker: String(slot) };
  return [
    { name: "x_total", help: "t", type: "counter", aggregator: "sum", values: [{ value: total, labels }] },
    { name: "x_open", help: "o", type: "gauge", aggregator: "sum", values: [{ value: open, labels }] },
    {
      name: "x_ready",
      help: "r",
      type: "gauge",
      aggregator: "min",
      values: [{ value: open > 0 ? 1 : 0, labels }],
    },
    {
      name: "x_seconds",
      help: "h",
      type: "histogram",
      aggregator: "sum",
      values: [
        { metricName: "x_seconds_bucket", labels: { le: 1, ...labels }, value: total },
        { metricName: "x_seconds_bucket", labels: { le: "+Inf", ...labels }, value: total },
        { metricName: "x_seconds_sum", labels, value: total / 2 },
        { metricName: "x_seconds_count", labels, value: total },
      ],
    },
  ];
}

async function series(cluster: ClusterMetrics): Promise<Map<string, number>> {
  const text = await cluster.exposition([]);
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

describe("DESIGN §6: the metrics of the cluster", () => {
  it("is the primary's own figures while no worker has reported", async () => {
    const own = [
      { name: "own", help: "o", type: "gauge", aggregator: "sum", values: [{ value: 1, labels: {} }] },
    ];
    expect(await new ClusterMetrics().exposition(own)).toBe("# HELP own o\n# TYPE own gauge\nown 1\n");
  });

  it("keeps the workers apart by their slot", async () => {
    const cluster = new ClusterMetrics();
    cluster.update(1, snapshotOf(0, 10, 2));
    cluster.update(2, snapshotOf(1, 20, 3));
    const shown = await series(cluster);
    expect(shown.get('x_total{worker="0"}')).toBe(10);
    expect(shown.get('x_total{worker="1"}')).toBe(20);
  });

  it("keeps the totals of the dead, forgets their gauges, and adds their successors'", async () => {
    const cluster = new ClusterMetrics();
    cluster.update(1, snapshotOf(0, 10, 2));
    cluster.retire(1);
    let shown = await series(cluster);
    expect(shown.get('x_total{worker="0"}')).toBe(10);
    expect(shown.get('x_seconds_count{worker="0"}')).toBe(10);
    expect(shown.has('x_open{worker="0"}')).toBe(false);

    cluster.update(2, snapshotOf(0, 1, 5));
    shown = await series(cluster);
    expect(shown.get('x_total{worker="0"}')).toBe(11);
    expect(shown.get('x_seconds_bucket{le="+Inf",worker="0"}')).toBe(11);
    expect(shown.get('x_seconds_sum{worker="0"}')).toBe(5.5);
    expect(shown.get('x_open{worker="0"}')).toBe(5);

    cluster.retire(2);
    cluster.update(3, snapshotOf(0, 100, 5));
    expect((await series(cluster)).get('x_total{worker="0"}')).toBe(111);
  });

  it("joins two processes of one slot while one replaces the other", async () => {
    const cluster = new ClusterMetrics();
    cluster.update(1, snapshotOf(0, 10, 2));
    cluster.update(2, snapshotOf(0, 1, 0));
    const shown = await series(cluster);
    expect(shown.get('x_total{worker="0"}')).toBe(11);
    expect(shown.get('x_open{worker="0"}')).toBe(2);
    expect(shown.get('x_ready{worker="0"}')).toBe(0);
  });

  it("a total never goes back over a life and a death", async () => {
    const cluster = new ClusterMetrics();
    let before = 0;
    for (let life = 1; life <= 5; life++) {
      for (const total of [0, 3, 9]) {
        cluster.update(life, snapshotOf(0, total, 1));
        const now = (await series(cluster)).get('x_total{worker="0"}') ?? -1;
        expect(now).toBeGreaterThanOrEqual(before);
        before = now;
      }
      cluster.retire(life);
    }
    expect(before).toBe(45);
  });
});
