import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";

// promtool runs every alert over figures that must wake somebody, and over those of a good day, which must not.

const rulesFile = fileURLToPath(new URL("../../config/prometheus-rules.yml", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "tapecast-alerts-"));

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const rules: Rule[] = parse(readFileSync(rulesFile, "utf8")).groups.flatMap(
  (group: { rules: Rule[] }) => group.rules,
);

/** Values of a minute each, in promtool's notation: `0+600x30` grows by 600 a minute. */
interface Series {
  readonly name: string;
  readonly values: string;
}

interface Case {
  readonly alert: string;
  /** Labels that the alert has, besides its severity. */
  readonly labels: Readonly<Record<string, string>>;
  readonly firing: readonly Series[];
  readonly calm: readonly Series[];
}

const instance = "server:9464";
const own = { instance };
const worker0 = { instance, worker: "0" };
const ofServer = `instance="${instance}"`;
const ofWorker = `${ofServer},worker="0"`;
const slowBuckets = (le: string): string =>
  `tapecast_publish_to_write_seconds_bucket{${ofWorker},le="${le}"}`;

/** One series that says it all. */
function one(alert: string, labels: Case["labels"], name: string, firing: string, calm: string): Case {
  return { alert, labels, firing: [{ name, values: firing }], calm: [{ name, values: calm }] };
}

const cases: readonly Case[] = [
  one("TapecastDown", { ...own, job: "tapecast" }, `up{job="tapecast",${ofServer}}`, "1x10 0x20", "1x30"),
  {
    alert: "TapecastWorkersMissing",
    labels: own,
    firing: [
      { name: `tapecast_workers_ready{${ofServer}}`, values: "3x30" },
      { name: `tapecast_workers_configured{${ofServer}}`, values: "4x30" },
    ],
    calm: [
      { name: `tapecast_workers_ready{${ofServer}}`, values: "4x30" },
      { name: `tapecast_workers_configured{${ofServer}}`, values: "4x30" },
    ],
  },
  one(
    "TapecastWorkerRestarts",
    own,
    `tapecast_worker_restarts_total{${ofWorker},cause="exited"}`,
    "0+1x30",
    "2x30",
  ),
  one("TapecastWorkerSilent", worker0, `tapecast_worker_snapshot_age_seconds{${ofWorker}}`, "7x30", "1x30"),
  one("TapecastBrokerAway", own, `tapecast_broker_ready{${ofWorker}}`, "1x10 0x20", "1x30"),
  one("TapecastBrokerSlow", own, `tapecast_broker_lag_seconds{${ofWorker}}`, "0.4x30", "0.002x30"),
  one(
    "TapecastPublishFailures",
    own,
    `tapecast_broker_publish_failures_total{${ofWorker}}`,
    "0+60x30",
    "5x30",
  ),
  one("TapecastMessagesRejected", own, `tapecast_broker_rejected_total{${ofWorker}}`, "0+60x30", "5x30"),
  one(
    "TapecastGapsUnrepaired",
    own,
    `tapecast_broker_gaps_unrepaired_total{${ofWorker}}`,
    "0x24 2x6",
    "2x30",
  ),
  one(
    "TapecastStale",
    { ...own, rule: "quote.**" },
    `tapecast_rule_freshness_seconds{${ofWorker},rule="quote.**"}`,
    "0+60x30",
    "3x30",
  ),
  {
    alert: "TapecastLatencyHigh",
    labels: own,
    firing: [
      { name: slowBuckets("0.25"), values: "0+900x30" },
      { name: slowBuckets("1"), values: "0+1000x30" },
      { name: slowBuckets("+Inf"), values: "0+1000x30" },
    ],
    calm: [
      { name: slowBuckets("0.25"), values: "0+1000x30" },
      { name: slowBuckets("1"), values: "0+1000x30" },
      { name: slowBuckets("+Inf"), values: "0+1000x30" },
    ],
  },
  one(
    "TapecastEventLoopSlow",
    worker0,
    `tapecast_event_loop_delay_seconds{${ofWorker},quantile="0.99"}`,
    "0.2x30",
    "0.01x30",
  ),
  one(
    "TapecastSaturated",
    worker0,
    `tapecast_event_loop_utilization_ratio{${ofWorker}}`,
    "0.97x30",
    "0.5x30",
  ),
  one(
    "TapecastSlowConsumers",
    own,
    `tapecast_connections_closed_total{${ofWorker},reason="slow_consumer"}`,
    "0+120x30",
    "0+6x30",
  ),
  one("TapecastHistoryGaps", own, `tapecast_history_gaps_total{${ofWorker}}`, "0+120x30", "0+6x30"),
  one(
    "TapecastHandshakesRefused",
    { ...own, reason: "rate" },
    `tapecast_handshakes_refused_total{${ofWorker},reason="rate"}`,
    "0+900x30",
    "0+60x30",
  ),
  one("TapecastMemoryHigh", worker0, `tapecast_resident_memory_bytes{${ofWorker}}`, "4e9x30", "1e9x30"),
];

afterAll(() => rmSync(folder, { recursive: true }));

describe("config/prometheus-rules.yml", () => {
  it("passes promtool", () => {
    expect(execFileSync("promtool", ["check", "rules", rulesFile], { encoding: "utf8" })).toContain(
      `${rules.length} rules found`,
    );
  });

  it("every alert has a case here", () => {
    expect(cases.map(({ alert }) => alert).toSorted()).toEqual(rules.map(({ alert }) => alert).toSorted());
  });

  it("each wakes somebody when it should, and nobody on a good day", () => {
    const { status, output } = runUnitTests(rulesFile);
    expect(output).toContain("SUCCESS");
    expect(status).toBe(0);
  });

  it("and this is noticed: with another threshold the same cases fail", () => {
    const changed = join(folder, "changed-rules.yml");
    writeFileSync(changed, readFileSync(rulesFile, "utf8").replace("> 3e9", "> 5e9"));
    const { status, output } = runUnitTests(changed);
    expect(status).not.toBe(0);
    expect(output).toContain("TapecastMemoryHigh");
    expect(output).not.toContain("TapecastStale");
  });
});

function runUnitTests(file: string): { status: number | null; output: string } {
  const tests = cases.flatMap(({ alert, labels, firing, calm }) => {
    const rule = rules.find((each) => each.alert === alert);
    if (rule === undefined) throw new Error(`no rule ${alert}`);
    const all = { ...labels, ...rule.labels };
    const expected = {
      exp_labels: all,
      exp_annotations: Object.fromEntries(
        Object.entries(rule.annotations).map(([key, text]) => [key, filledIn(text, all)]),
      ),
    };
    return [
      unitTest(`${alert} fires`, alert, firing, [expected]),
      unitTest(`${alert} is calm`, alert, calm, []),
    ];
  });
  const path = join(folder, "tests.yml");
  writeFileSync(path, stringify({ rule_files: [file], evaluation_interval: "1m", tests }));
  const run = spawnSync("promtool", ["test", "rules", path], { encoding: "utf8" });
  return { status: run.status, output: run.stdout + run.stderr };
}

function unitTest(
  name: string,
  alertname: string,
  series: readonly Series[],
  expected: readonly object[],
): object {
  return {
    name,
    interval: "1m",
    input_series: series.map((each) => ({ series: each.name, values: each.values })),
    alert_rule_test: [{ eval_time: "28m", alertname, exp_alerts: expected }],
  };
}

function filledIn(text: string, labels: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\{\{ \$labels\.(\w+) \}\}/gu, (_, label: string) => labels[label] ?? "");
}
