/**
 * `npm run load -- publish`: does every accepted message arrive? autocannon publishes numbered messages over HTTP,
 * subscribers over WebSocket check that each one that was answered with a position arrives at each of them, in
 * order, once.
 */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { InvalidArgumentError, type Command } from "commander";

import { createProgress } from "../../src/cli/progress.ts";
import { DeliveryLedger, type LedgerReport } from "../delivery-ledger.ts";
import { HttpPublishers, type PublishSummary } from "../http-publishers.ts";
import { OwnServer } from "../own-server.ts";
import { printTable } from "../result-table.ts";
import { SubscriberSwarm } from "../subscriber-swarm.ts";

interface Flags {
  readonly seconds: number;
  readonly url?: string;
  readonly key?: string;
  readonly subscribers: number;
  readonly publishers: number;
  readonly rate: number;
  readonly batch: number;
  readonly fill: number;
  readonly workers: number;
  readonly json?: string;
}

/** What a run found, also the content of the file of `--json`. */
export interface PublishResult {
  readonly ok: boolean;
  readonly seconds: number;
  readonly subscribers: number;
  readonly publishing: Omit<PublishSummary, "refused"> & {
    readonly refused: Readonly<Record<string, number>>;
  };
  readonly deliveries: LedgerReport;
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly lostConnections: readonly string[];
}

/** As a shell reports SIGINT. */
const exitInterrupted = 130;
/** After the last answer the last publications have this long to arrive. */
const settleMsMax = 10_000;

/** Adds the scenario. @param result is given the exit code. */
export function addPublishScenario(program: Command, result: { exitCode: number }): void {
  program
    .command("publish")
    .summary("publish over HTTP, check that every accepted message arrives")
    .option("--seconds <n>", "how long to publish", atLeastOne, 10)
    .option("--url <url>", "a running server, http://host:port; without it one is started and ended here")
    .option("--key <key>", "publish key of that server")
    .option("--subscribers <n>", "WebSocket connections that check", atLeastOne, 20)
    .option("--publishers <n>", "HTTP connections; every other one sends NDJSON", atLeastOne, 4)
    .option("--rate <n>", "messages a second, all publishers together", atLeastOne, 500)
    .option("--batch <n>", "lines of an NDJSON request, at most 1000", atLeastOne, 10)
    .option("--fill <bytes>", "filling of each message", atLeastOne, 100)
    .option("--workers <n>", "workers of the server that is started", atLeastOne, 2)
    .option("--json <file>", "write the result there too")
    .action(async (flags: Flags) => {
      result.exitCode = await run(flags);
    });
}

async function run(flags: Flags): Promise<number> {
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort();
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  const server = flags.url === undefined ? await OwnServer.start([`workers=${flags.workers}`]) : null;
  try {
    const found = await publishAndCheck(flags, server?.url ?? flags.url ?? "", interruption.signal);
    if (interruption.signal.aborted) return exitInterrupted;
    report(found);
    if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(found, null, 2)}\n`);
    return found.ok ? 0 : 1;
  } finally {
    await server?.stop();
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}

async function publishAndCheck(flags: Flags, url: string, interrupted: AbortSignal): Promise<PublishResult> {
  const runId = randomBytes(4).toString("hex");
  const topics = Array.from({ length: flags.publishers }, (_, index) => `trade.load-${runId}.${index}`);
  const ledger = new DeliveryLedger(flags.subscribers);
  const swarm = new SubscriberSwarm(url, topics, ledger);
  const { seconds, rate: ratePerSec, batch: batchLines, fill: fillBytes, key = null } = flags;
  const publishers = new HttpPublishers(
    { url, key, seconds, topics, ratePerSec, batchLines, fillBytes },
    ledger,
  );
  interrupted.addEventListener("abort", () => publishers.stop());
  if (interrupted.aborted) publishers.stop();
  try {
    await swarm.open(flags.subscribers);
    console.log(`${flags.subscribers} subscribers at ${url}; publishing for ${seconds} s`);
    const publishing = await withProgress(seconds, () => publishers.run());
    await settled(ledger, () => interrupted.aborted || swarm.lost.length > 0);
    return resultOf(flags, publishing, ledger.close(), swarm);
  } finally {
    await swarm.close();
  }
}

async function withProgress<Result>(seconds: number, work: () => Promise<Result>): Promise<Result> {
  const progress = createProgress("publishing, seconds", seconds);
  const startMs = performance.now();
  const ticker = setInterval(() => progress.update(Math.round((performance.now() - startMs) / 1000)), 500);
  try {
    return await work();
  } finally {
    clearInterval(ticker);
    progress.stop();
  }
}

function resultOf(
  { seconds, subscribers }: Flags,
  publishing: PublishSummary,
  deliveries: LedgerReport,
  { latencyUs, lost }: SubscriberSwarm,
): PublishResult {
  return {
    ok: isClean(deliveries) && lost.length === 0,
    seconds,
    subscribers,
    publishing: { ...publishing, refused: Object.fromEntries(publishing.refused) },
    deliveries,
    latencyMs: {
      p50: inMs(latencyUs.percentile(50)),
      p99: inMs(latencyUs.percentile(99)),
      max: inMs(latencyUs.max),
    },
    lostConnections: lost.slice(0, 10),
  };
}

function inMs(us: number): number {
  return Math.round(us / 10) / 100;
}

/** A run in which nothing was accepted has shown nothing. */
function isClean({ accepted, missing, duplicates, reordered, moved }: LedgerReport): boolean {
  return accepted > 0 && missing + duplicates + reordered + moved === 0;
}

async function settled(ledger: DeliveryLedger, giveUp: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + settleMsMax;
  while (!ledger.isComplete() && !giveUp() && performance.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function report({
  ok,
  seconds,
  subscribers,
  publishing,
  deliveries,
  latencyMs,
  lostConnections,
}: PublishResult): void {
  const refused = Object.entries(publishing.refused).map(([why, count]) => `${count} ${why}`);
  printTable([
    ["messages offered", String(publishing.offered)],
    ["accepted", `${deliveries.accepted} (${Math.round(deliveries.accepted / seconds)}/s)`],
    ["refused", refused.length === 0 ? "0" : refused.join(", ")],
    ["request errors, timeouts", `${publishing.errors}, ${publishing.timeouts}`],
    ["answer p50, p99", `${publishing.requestP50Ms} ms, ${publishing.requestP99Ms} ms`],
    ["subscribers", String(subscribers)],
    ["deliveries expected", String(deliveries.expected)],
    ["delivered", `${deliveries.delivered} (${Math.round(deliveries.delivered / seconds)}/s)`],
    ["missing", String(deliveries.missing)],
    ["twice", String(deliveries.duplicates)],
    ["out of order", String(deliveries.reordered)],
    ["at another position", String(deliveries.moved)],
    ["arrived unconfirmed", String(deliveries.unconfirmed)],
    ["latency p50, p99, max", `${latencyMs.p50} ms, ${latencyMs.p99} ms, ${latencyMs.max} ms`],
  ]);
  for (const { kind, subscriber, topic, number, seq } of deliveries.examples) {
    console.log(`${kind}: subscriber ${subscriber}, ${topic}, message ${number}, seq ${seq ?? "none"}`);
  }
  for (const lost of lostConnections) console.log(`connection lost: ${lost}`);
  if (deliveries.accepted === 0) console.log("nothing was accepted, so nothing was checked");
  console.log(ok ? "every accepted message arrived, in order, once" : "FAILED");
}

function atLeastOne(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError("a whole number from 1");
  return number;
}
