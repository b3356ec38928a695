import { afterEach, describe, expect, it } from "vitest";

import { workerCatalogue } from "../../src/metrics/catalogue.ts";
import type { MetricsSnapshot } from "../../src/metrics/snapshot.ts";
import { WorkerMetrics } from "../../src/metrics/worker-metrics.ts";
import { realCounters, sourcesOf } from "./worker-sources.ts";

const made: WorkerMetrics[] = [];

function metricsOf(counters: ReturnType<typeof realCounters>, slot = 0): WorkerMetrics {
  const metrics = new WorkerMetrics(slot, sourcesOf(counters));
  made.push(metrics);
  return metrics;
}

function valuesOf(snapshot: MetricsSnapshot, name: string) {
  return snapshot.find((metric) => metric.name === name)?.values;
}

afterEach(() => {
  for (const metrics of made.splice(0)) metrics.stop();
});

describe("a worker's metrics", () => {
  it("report every metric of the catalogue, each series with the slot", () => {
    const snapshot = metricsOf(realCounters(), 3).snapshot();
    expect(snapshot.map(({ name }) => name)).toEqual(Object.values(workerCatalogue).map(({ name }) => name));
    for (const { values } of snapshot) {
      expect(values.length).toBeGreaterThan(0);
      for (const { labels, value } of values) {
        expect(labels["worker"]).toBe("3");
        expect(Number.isFinite(value)).toBe(true);
      }
    }
  });

  it("carry the labels of the catalogue and no others", () => {
    const snapshot = metricsOf(realCounters()).snapshot();
    for (const definition of Object.values(workerCatalogue)) {
      for (const { labels, metricName } of valuesOf(snapshot, definition.name) ?? []) {
        const expected = ["worker", ...definition.labels, ...(metricName?.endsWith("_bucket") ? ["le"] : [])];
        expect(Object.keys(labels).toSorted()).toEqual(expected.toSorted());
      }
    }
  });

  it("read the integers at the moment of the snapshot", () => {
    const counters = realCounters();
    const metrics = metricsOf(counters);
    counters.hub.deliveries = 7;
    counters.connections.closed.set("slow_consumer", 2);
    counters.sessions.errorsByCode.rate_limited = 4;
    counters.http.requests.publish["4xx"] = 5;
    const snapshot = metrics.snapshot();
    expect(valuesOf(snapshot, "tapecast_deliveries_total")).toEqual([{ value: 7, labels: { worker: "0" } }]);
    expect(valuesOf(snapshot, "tapecast_connections_closed_total")).toContainEqual({
      value: 2,
      labels: { worker: "0", reason: "slow_consumer" },
    });
    expect(valuesOf(snapshot, "tapecast_command_errors_total")).toEqual([
      { value: 4, labels: { worker: "0", code: "rate_limited" } },
    ]);
    expect(valuesOf(snapshot, "tapecast_http_requests_total")).toContainEqual({
      value: 5,
      labels: { worker: "0", route: "publish", status: "4xx" },
    });
    counters.hub.deliveries = 8;
    expect(valuesOf(metrics.snapshot(), "tapecast_deliveries_total")?.[0]?.value).toBe(8);
  });

  it("turn a histogram of milliseconds into cumulative buckets of seconds", () => {
    const counters = realCounters();
    for (const ms of [0.05, 0.1, 3, 4, 9999]) counters.hub.flushDurationMs.observe(ms);
    const values = valuesOf(metricsOf(counters).snapshot(), "tapecast_flush_duration_seconds") ?? [];
    const bucket = (le: number | string) => values.find(({ labels }) => labels["le"] === le)?.value;
    expect(bucket(0.0001)).toBe(2);
    expect(bucket(0.005)).toBe(4);
    expect(bucket(0.25)).toBe(4);
    expect(bucket("+Inf")).toBe(5);
    expect(values.find(({ metricName }) => metricName?.endsWith("_count"))?.value).toBe(5);
    expect(values.find(({ metricName }) => metricName?.endsWith("_sum"))?.value).toBeCloseTo(10.00615);
  });

  it("stay below 500 series a worker, whatever happens (ABUSE HT7)", () => {
    const snapshot = metricsOf(realCounters()).snapshot();
    expect(snapshot.reduce((sum, { values }) => sum + values.length, 0)).toBeLessThan(500);
  });
});
