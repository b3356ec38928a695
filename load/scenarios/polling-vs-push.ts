/**
 * `npm run load -- polling-vs-push`: the same symbols for the same users by HTTP polling, once a second, and by push.
 * The polling server is made as cheap as polling gets (polling-server.ts); nothing is compressed on either side.
 */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import type { Command } from "commander";

import { CliError, exitCode } from "../../src/cli/exit-code.ts";
import { createProgress } from "../../src/cli/progress.ts";
import { machineFacts } from "../bench/machine.ts";
import { pollingChartSvg } from "../polling/polling-chart.ts";
import { pollingVariant } from "../polling/polling-variants.ts";
import { pushVariant, type PushWishes } from "../polling/push-variants.ts";
import { wireBytes, type Variant, type VariantSecond } from "../polling/variant.ts";
import { numberText, resultFormat, type Figure, type LoadResult, type Plot } from "../run/load-result.ts";
import { checkOpenFiles } from "../run/open-files.ts";
import { prepareOutput, publishResult } from "../run/publish-result.ts";
import { interruptible, serverSettings } from "../run/run-scenario.ts";
import { addServerOptions, atLeastOne, type CommonFlags } from "../run/scenario-flags.ts";
import { numberedTopics } from "../run/scenario.ts";

interface Flags extends CommonFlags {
  readonly users: number;
  readonly symbols: number;
  readonly rate: number;
  readonly fill: number;
  readonly svg?: string;
}

/** Adds the scenario. @param result is given the exit code. */
export function addPollingVsPushScenario(program: Command, result: { exitCode: number }): void {
  const command = program
    .command("polling-vs-push")
    .summary("the same quotes by HTTP polling each second, and by push: bytes, CPU, age");
  addServerOptions(command, 15, 1)
    .option("--users <n>", "users, each watches all symbols", atLeastOne, 1000)
    .option("--symbols <n>", "symbols", atLeastOne, 100)
    .option("--rate <n>", "changes a second, all symbols together", atLeastOne, 50)
    .option("--fill <bytes>", "filling of each value", atLeastOne, 20)
    .option("--svg <file>", "draw the comparison there")
    .action(async (flags: Flags) => {
      result.exitCode = await interruptible((interrupted) => run(flags, interrupted));
    });
}

async function run(flags: Flags, interrupted: AbortSignal): Promise<number> {
  const server = ownOrGiven(flags);
  checkOpenFiles(flags.users);
  prepareOutput(flags);
  const startedAt = new Date().toISOString();
  const { users, symbols, rate, fill, seconds, workers, processes, settleSec } = flags;
  const topics = numberedTopics("quote", "latest", randomBytes(4).toString("hex"), symbols);
  const progress = createProgress("polling-vs-push, seconds", 4 * seconds);
  const variants: Variant[] = [];
  const wishes = {
    users,
    topics,
    ratePerSec: rate,
    fillBytes: fill,
    seconds,
    interrupted,
    onSecond: (second: number) => progress.update(variants.length * seconds + Math.min(second, seconds)),
    server,
    processes,
    settleSec,
  };
  const steps = [
    () => pollingVariant(false, wishes),
    () => pollingVariant(true, wishes),
    () => pushVariant("push-second", "push, once a second", "interval=1000&batch=1", wishes),
    () => pushVariant("push", "push, at once", "", wishes),
  ];
  try {
    for (const step of steps) if (!interrupted.aborted) variants.push(await step());
  } finally {
    progress.stop();
  }
  if (interrupted.aborted) return 0;
  const problems = variants.flatMap((variant) => variant.problems.map((what) => `${variant.label}: ${what}`));
  const found: LoadResult = {
    format: resultFormat,
    scenario: "polling-vs-push",
    startedAt,
    command: `npm run load -- ${process.argv.slice(2).join(" ")}`,
    seconds,
    options: { users, symbols, rate, fill, workers },
    machine: machineFacts(),
    ok: problems.length === 0,
    problems,
    figures: variants.flatMap((variant) => variantFigures(variant)),
    publishing: null,
    deliveries: null,
    atSeconds: Array.from({ length: Math.max(...lengths(variants)) }, (_, index) => index + 1),
    plots: plots(variants),
    moments: [],
    table: { columns: tableColumns, rows: variants.map((variant) => tableRow(variant, users)) },
  };
  publishResult(found, flags);
  if (flags.svg !== undefined) {
    const title = `${users} users watch ${symbols} symbols, ${rate} changes a second`;
    writeFileSync(flags.svg, pollingChartSvg(variants, title));
  }
  return found.ok ? 0 : 1;
}

/** Push is measured at a server of its own, or at one that runs: then its CPU must be known, too. */
function ownOrGiven(flags: Flags): PushWishes["server"] {
  const { url, pid, redis = null } = flags;
  if (url === undefined) return { settings: serverSettings(flags, { settings: [] }), redis };
  if (pid === undefined)
    throw new CliError(
      exitCode.usage,
      "--url needs --pid, the server's primary process: its CPU is compared",
    );
  return { url, pid };
}

const tableColumns = [
  "",
  "age p50",
  "age p99",
  "on the wire",
  "server CPU",
  "memory",
  "requests",
  "TCP connections",
  "changes seen per user",
];

function tableRow(variant: Variant, users: number): string[] {
  const { label, elapsedSec, age, cpuSec, residentMib, requests, connections, changesSeen } = variant;
  return [
    label,
    `${numberText(age.p50)} ms`,
    `${numberText(age.p99)} ms`,
    `${numberText(wireBytes(variant) / elapsedSec / 1_000_000)} MB/s`,
    `${numberText((cpuSec / elapsedSec) * 100)} % of a core`,
    `${numberText(residentMib)} MiB`,
    numberText(requests),
    numberText(connections),
    numberText(changesSeen / users),
  ];
}

function variantFigures(variant: Variant): Figure[] {
  const { name, label, elapsedSec, age, cpuSec, residentMib, requests, payloadBytes, segments } = variant;
  const figure = (what: string, text: string, value: number, unit: string, isInfo = false): Figure => ({
    name: `${name}-${what}`,
    label: `${label}: ${text}`,
    value,
    unit,
    better: isInfo ? null : "lower",
  });
  return [
    figure("age-p50", "age p50", age.p50, "ms"),
    figure("age-p99", "age p99", age.p99, "ms"),
    figure("wire", "on the wire, headers included", wireBytes(variant) / elapsedSec / 1_000_000, "MB/s"),
    figure("payload", "on the sockets", payloadBytes / elapsedSec / 1_000_000, "MB/s"),
    figure("segments", "TCP segments", segments / elapsedSec, "/s", true),
    figure("cpu", "server CPU", (cpuSec / elapsedSec) * 100, "% of a core"),
    figure("memory", "server memory", residentMib, "MiB"),
    figure("requests", "requests", requests, "", true),
  ];
}

function lengths(variants: readonly Variant[]): number[] {
  return variants.map(({ everySecond }) => everySecond.length);
}

function plots(variants: readonly Variant[]): Plot[] {
  const longest = Math.max(...lengths(variants));
  const lines = (pick: (second: VariantSecond) => number | null): Plot["lines"] =>
    variants.map(({ label, everySecond }) => ({
      label,
      values: Array.from({ length: longest }, (_, index) => {
        const second = everySecond[index];
        return second === undefined ? null : pick(second);
      }),
    }));
  return [
    { title: "Age on arrival, median", unit: "ms", lines: lines(({ ageP50Ms }) => ageP50Ms) },
    { title: "Age on arrival, p99", unit: "ms", lines: lines(({ ageP99Ms }) => ageP99Ms) },
    { title: "Server CPU", unit: "% of one core", lines: lines(({ cpuPercent }) => cpuPercent) },
  ];
}
