/** What a run found, three times: for the terminal, as Markdown, and as JSON for machines. */
import { machineFacts, type MachineFacts } from "../bench/machine.ts";
import { markdownTable } from "../bench/markdown-table.ts";
import type { Findings } from "./findings.ts";
import type { Fault } from "./fault.ts";
import type { RunOutcome, RunPlan } from "./run.ts";
import type { Subject } from "./subject.ts";
import { inMs, type FaultFigures } from "./timeline.ts";

/** The figures of one server. */
export interface SubjectReport {
  readonly name: string;
  readonly clients: number;
  readonly findings: Findings;
  readonly faults: readonly FaultFigures[];
  readonly longestGapMs: number;
  readonly latencyP50Ms: number;
  readonly latencyP99Ms: number;
  readonly latencyMaxMs: number;
  /** How connections ended, by reason. */
  readonly ends: Readonly<Record<string, number>>;
  readonly connectionsRefused: number;
  readonly publishing: {
    readonly offered: number;
    readonly attempts: number;
    readonly refusals: Readonly<Record<string, number>>;
    readonly longestRefusalMs: number;
    readonly cutOff: number;
    readonly sentAgain: number;
    readonly connectionsRefused: number;
  };
}

export interface RunReport {
  readonly ok: boolean;
  readonly command: string;
  readonly date: string;
  readonly seconds: number;
  readonly seed: number;
  readonly broker: string;
  readonly workers: number;
  readonly topics: number;
  readonly ratePerSec: number;
  readonly machine: MachineFacts;
  /** Faults that did not do what they should, clients that were sent away for good. */
  readonly problems: readonly string[];
  readonly remarks: readonly string[];
  readonly subjects: readonly SubjectReport[];
}

export function makeReport(plan: RunPlan, outcome: RunOutcome, command: string): RunReport {
  const subjects = outcome.subjects.map(describe);
  const own = subjects[0];
  return {
    // A run in which nothing arrived, or that was to have faults and had none, has shown nothing. One that was too
    // short for some of them is said to be.
    ok:
      own !== undefined &&
      isClean(own.findings) &&
      outcome.problems.length === 0 &&
      (own.faults.length > 0 || plan.faults.length === 0),
    command,
    date: new Date().toISOString().slice(0, 16).replace("T", " "),
    seconds: Math.round(outcome.publishedMs / 1000),
    seed: plan.seed,
    broker: plan.broker,
    workers: plan.workers,
    topics: plan.topics,
    ratePerSec: plan.ratePerSec,
    machine: machineFacts(),
    problems: outcome.problems,
    remarks: plan.faults
      .filter(({ name }) => !own?.faults.some(({ fault }) => fault === name))
      .map(({ name }) => `${name} did not happen: the run was too short`),
    subjects,
  };
}

function describe(subject: Subject): SubjectReport {
  const { timeline, publishing } = subject;
  return {
    name: subject.name,
    clients: subject.clients.length,
    findings: subject.books.close(),
    faults: timeline.figures(),
    longestGapMs: Math.round(timeline.longestGapMs),
    latencyP50Ms: inMs(timeline.latencyUs.percentile(50)),
    latencyP99Ms: inMs(timeline.latencyUs.percentile(99)),
    latencyMaxMs: inMs(timeline.latencyUs.max),
    ends: Object.fromEntries(subject.ends),
    connectionsRefused: subject.connectionsRefused,
    publishing: {
      offered: publishing.offered,
      attempts: publishing.attempts,
      refusals: Object.fromEntries(publishing.refusals),
      longestRefusalMs: Math.round(publishing.longestRefusalMs),
      cutOff: publishing.cutOff,
      sentAgain: publishing.sentAgain,
      connectionsRefused: publishing.connectionsRefused,
    },
  };
}

/** Every promise that the books can judge. */
export function isClean(findings: Findings): boolean {
  const { lost, duplicated, reordered, holes, wrongRecovered, fell, moved, stale } = findings;
  const { unreadable, unstored } = findings;
  const broken =
    lost + duplicated + reordered + holes + wrongRecovered + fell + moved + stale + unreadable + unstored;
  return findings.accepted > 0 && findings.delivered > 0 && broken === 0;
}

/** Rows of what and how much, a column for each server. */
export function resultRows({ subjects }: RunReport): string[][] {
  const row = (what: string, figure: (subject: SubjectReport) => number | string): string[] => [
    what,
    ...subjects.map((subject) => withCommas(figure(subject))),
  ];
  return [
    row("clients", ({ clients }) => clients),
    row("published (answered 200)", ({ findings }) => findings.accepted),
    row(
      "answers cut off on purpose, sent again after 200",
      ({ publishing }) => `${publishing.cutOff}, ${publishing.sentAgain}`,
    ),
    row("delivered", ({ findings }) => findings.delivered),
    row("lost in silence", ({ findings }) => findings.lost),
    row("duplicated", ({ findings }) => findings.duplicated),
    row("reordered", ({ findings }) => findings.reordered),
    row("holes in seq, seq that fell", ({ findings }) => `${findings.holes}, ${findings.fell}`),
    row("`recovered: true` that was wrong", ({ findings }) => findings.wrongRecovered),
    row("stored at another place than answered", ({ findings }) => findings.moved),
    row("`latest` that did not end on the newest", ({ findings }) => findings.stale),
    row("answered 200 and not in the store", ({ findings }) => findings.unstored),
    row("messages that are none", ({ findings }) => findings.unreadable),
    row("missed, and told by `recovered: false`", ({ findings }) => findings.told),
    row(
      "doubtful: lost by the store in a failover (messages), missed by clients and not told",
      ({ findings }) => `${findings.gone}, ${findings.doubtful}`,
    ),
    row("twice, in two epochs, after a loss of the store", ({ findings }) => findings.again),
    row("left out of a sample", ({ findings }) => findings.sampledOut),
    row(
      "topics resumed (not `latest`): recovered, not recovered",
      ({ findings }) => `${findings.recoveries}, ${findings.refusedRecoveries}`,
    ),
    row("connections that ended", ({ ends }) => Object.values(ends).reduce((sum, count) => sum + count, 0)),
    row(
      "connections refused (clients, publishers)",
      ({ connectionsRefused, publishing }) => `${connectionsRefused}, ${publishing.connectionsRefused}`,
    ),
    row("publishes refused", ({ publishing }) =>
      Object.values(publishing.refusals).reduce((sum, count) => sum + count, 0),
    ),
    row("longest wait for a 503", ({ publishing }) => seconds(publishing.longestRefusalMs)),
    row("longest gap in delivery to a client", ({ longestGapMs }) => seconds(longestGapMs)),
    row(
      "latency p50, p99, max",
      ({ latencyP50Ms, latencyP99Ms, latencyMaxMs }) =>
        `${latencyP50Ms} ms, ${latencyP99Ms} ms, ${latencyMaxMs} ms`,
    ),
  ];
}

const faultHead = [
  "fault",
  "times",
  "lasted: median, longest",
  "served again: median, longest",
  "longest gap",
  "p99 of the others",
];

function faultRows(subject: SubjectReport, faults: readonly Fault[]): string[][] {
  return subject.faults.map((each) => {
    const title = faults.find(({ name }) => name === each.fault)?.title ?? each.fault;
    const unfinished = each.unfinished === 0 ? "" : ` (${each.unfinished} not at all)`;
    return [
      `${each.fault}: ${title}`,
      String(each.times),
      `${seconds(each.lastedMsMedian)}, ${seconds(each.lastedMsMax)}`,
      `${seconds(each.backMsMedian)}, ${seconds(each.backMsMax)}${unfinished}`,
      seconds(each.longestGapMs),
      `${each.latencyP99Ms} ms`,
    ];
  });
}

/** For a terminal. */
export function printReport(report: RunReport, faults: readonly Fault[]): void {
  const [own] = report.subjects;
  if (own === undefined) return;
  printColumns([["", ...report.subjects.map(({ name }) => name)], ...resultRows(report)]);
  for (const subject of report.subjects) {
    if (subject.faults.length === 0) continue;
    console.log(`\nfaults, as clients of ${subject.name} met them`);
    printColumns([faultHead, ...faultRows(subject, faults)]);
  }
  for (const example of own.findings.examples) console.log(example);
  for (const problem of report.problems) console.log(`problem: ${problem}`);
  for (const remark of report.remarks) console.log(remark);
  console.log(
    report.ok
      ? "\nnothing was lost, duplicated or reordered, and everything that was said of recovery is true"
      : "\nFAILED",
  );
}

/** The same, to be kept. */
export function markdownReport(report: RunReport, faults: readonly Fault[]): string {
  const parts = [
    "# Verification run",
    `${report.ok ? "Passed" : "**Failed**"}: ${report.date} UTC, ${report.seconds} s, broker ${report.broker}, ` +
      `${report.workers} workers, ${report.topics} topics, ${report.ratePerSec} messages a second, seed ${report.seed}.`,
    `\`\`\`sh\n${report.command}\n\`\`\``,
    markdownTable(["", ...report.subjects.map(({ name }) => name)], resultRows(report), new Set([1, 2])),
    ...report.subjects.flatMap((subject) =>
      subject.faults.length === 0
        ? []
        : [
            `## Faults, as clients of ${subject.name} met them`,
            markdownTable(faultHead, faultRows(subject, faults), new Set([1, 2, 3, 4, 5])),
          ],
    ),
    ...report.subjects.flatMap(({ name, ends, publishing }) => [
      `## How connections of ${name} ended`,
      markdownTable(["", "times"], countRows(ends), new Set([1])),
      `## How publishes of ${name} were refused`,
      markdownTable(["", "times"], countRows(publishing.refusals), new Set([1])),
    ]),
    "## The machine",
    markdownTable(["", ""], Object.entries(report.machine)),
    ...listOf("## Problems", report.problems),
    ...listOf("## Remarks", report.remarks),
    ...report.subjects.flatMap(({ name, findings }) =>
      listOf(`## The first violations of ${name}`, findings.examples),
    ),
  ];
  return `${parts.join("\n\n")}\n`;
}

function listOf(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [title, lines.map((line) => `- ${line}`).join("\n")];
}

function countRows(counts: Readonly<Record<string, number>>): string[][] {
  const rows = Object.entries(counts).toSorted(([, a], [, b]) => b - a);
  return rows.length === 0 ? [["none", "0"]] : rows.map(([what, count]) => [what, withCommas(count)]);
}

function printColumns(rows: readonly (readonly string[])[]): void {
  const widths =
    rows[0]?.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length))) ?? [];
  for (const row of rows)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    );
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function withCommas(figure: number | string): string {
  return typeof figure === "string" ? figure : figure.toLocaleString("en-US");
}
