/**
 * Frozen readers among healthy ones (rows RS1 and RS2 of docs/ABUSE.md), at a size to choose. By hand:
 * `npm run abuse:frozen -- --help`. The readers are those of load/peers/swarm.cpp, which cost
 * less than the server that they measure. Prints what a frozen reader cost the workers, how long each was kept after
 * the kernel took nothing more of it, and the healthy ones' delay without them and meanwhile.
 */
import { spawnSync } from "node:child_process";
import { Agent } from "node:http";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { Program } from "../../load/peers/processes.ts";
import { swarmOpen, swarmResult, type SwarmResult } from "../../load/peers/swarm-lines.ts";
import { buildTools } from "../../load/peers/tools.ts";
import { publish } from "../e2e/http.ts";
import { Server } from "../e2e/server.ts";
import { delay, until } from "../e2e/until.ts";

const { values } = parseArgs({
  options: {
    healthy: { type: "string", default: "9000" },
    frozen: { type: "string", default: "1000" },
    seconds: { type: "string", default: "15" },
    rounds: { type: "string", default: "1" },
    control: { type: "boolean", default: false },
    "notsent-lowat": { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(`usage: npm run abuse:frozen -- [options]

  --healthy 9000       readers of small messages, who are measured
  --frozen 1000        readers of large messages, who read nothing
  --seconds 15         of each measurement
  --rounds 1           of measurements without and with the frozen ones
  --control            each round also beside as many who read what they are sent
  --notsent-lowat N    with this net.ipv4.tcp_notsent_lowat, in a network namespace of its own (needs root)

Needs g++.`);
  process.exit(0);
}
if (values["notsent-lowat"] !== undefined) moveToNamespace(values["notsent-lowat"]);
const healthyCount = Number(values.healthy);
const frozenCount = Number(values.frozen);
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);
/** Publications a second on the topic of the healthy ones, and on the heavy one. */
const lightPerSec = 5;
const heavyPerSec = 5;
const heavyBytes = 60_000;

const { swarm } = await buildTools((line) => console.log(line));
// The swarm opens faster than a worker lets strangers.
await using server = await Server.start({ sets: { "limits.handshakesPerSecMax": null } });
const agent = new Agent({ keepAlive: true, maxSockets: 4 });
const stopped = new AbortController();

/** Runs this program again where the setting is its own, and ends as that does. */
function moveToNamespace(lowat: string): never {
  const script = `ip link set lo up && sysctl -qw net.ipv4.tcp_notsent_lowat=${Number(lowat)} && exec "$@"`;
  const index = process.argv.findIndex((each) => each.startsWith("--notsent-lowat"));
  const rest = process.argv.slice(1);
  rest.splice(index - 1, process.argv[index]?.includes("=") === true ? 1 : 2);
  const command = ["-n", "sh", "-c", script, "sh", process.execPath, ...process.execArgv, ...rest];
  const { status, error } = spawnSync("unshare", command, { stdio: "inherit" });
  if (error !== undefined) console.error(`no network namespace: ${error.message}`);
  process.exit(status ?? 1);
}

/** Readers of one topic on /raw. They are measured when they are told to. */
async function openSwarm(topic: string, connections: number, more: readonly string[]): Promise<Program> {
  const program = new Program(
    `readers of ${topic}`,
    [swarm, "--port", String(server.port), "--path", `/raw/${topic}`, "--connections", String(connections), "--topics", "quote.light,1,1", "--sources", "4", "--warmup", "1", "--duration", String(seconds), ...more],
    null,
  ); // prettier-ignore
  const { open, dead } = swarmOpen(await program.line(/^\{"event":"open".*$/u, 60_000));
  if (open !== connections || dead > 0) throw new Error(`${open} of ${connections} opened, ${dead} ended`);
  return program;
}

function secondsOf(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function ms(us: number): string {
  return (us / 1000).toFixed(1);
}

async function measure(phase: string, program: Program): Promise<SwarmResult> {
  program.say("go");
  const result = swarmResult(await program.line(/^\{"event":"result".*$/u, (seconds + 30) * 1000));
  console.log(
    `${phase}: ${result.messages} deliveries to ${result.open}, p50 ${ms(result.p50Us)} ms, p99 ${ms(result.p99Us)} ms, ${result.missing} missing`,
  );
  return result;
}

/** Publishes what `data` gives, `perSec` times a second, until the run ends. */
async function feed(topic: string, perSec: number, data: (count: number) => string): Promise<void> {
  const startMs = performance.now();
  for (let count = 1; !stopped.signal.aborted; count++) {
    const answer = await publish(server.http, topic, data(count), { agent }).catch((error: unknown) =>
      String(error),
    );
    if (typeof answer === "string") console.log(`a publication on ${topic} failed: ${answer}`);
    await delay(Math.max(0, startMs + (count / perSec) * 1000 - performance.now()));
  }
}

function residentBytes(): number {
  let bytes = 0;
  for (const pid of server.workerPids()) {
    bytes += Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * 4096;
  }
  return bytes;
}

// All healthy ones read all the time, and are measured by turns: nobody else there, as many others who read what they
// are sent, as many who read nothing.
const healthy = await openSwarm("quote.light", healthyCount, []);
const heavy = JSON.stringify("x".repeat(heavyBytes));
const feeds = [
  feed("quote.light", lightPerSec, (count) => `{"t":${process.hrtime.bigint()},"s":0,"n":${count}}`),
  feed("trade.heavy", heavyPerSec, () => heavy),
];
const calm: SwarmResult[] = [];
const beside: SwarmResult[] = [];
const disturbed: SwarmResult[] = [];
await delay(3000);
for (let round = 0; round < rounds; round++) {
  calm.push(await measure("nobody else", healthy));
  if (values.control) beside.push(await measureBesideReaders());
  disturbed.push(await measureBesideFrozen());
  await delay(2000);
}
const metrics = await server.metrics();
console.log(
  `p99 of the others: ${shownP99(calm)} alone${values.control ? `, ${shownP99(beside)} beside as many who read` : ""}, ` +
    `${shownP99(disturbed)} beside frozen ones, ${((p99Of(disturbed) / p99Of(calm) - 1) * 100).toFixed(0)} % more; ` +
    `${metrics.sum("tapecast_worker_restarts_total")} workers ended`,
);
stopped.abort();
await Promise.all(feeds);
await healthy.stop(true);
agent.destroy();

async function measureBesideReaders(): Promise<SwarmResult> {
  const readers = await openSwarm("trade.heavy", frozenCount, []);
  try {
    return await measure("beside readers", healthy);
  } finally {
    await readers.stop(true);
  }
}

async function closedOf(): Promise<number> {
  return (await server.metrics()).sum("tapecast_connections_closed_total", { reason: "slow_consumer" });
}

async function measureBesideFrozen(): Promise<SwarmResult> {
  const [closedBefore, residentBefore] = [await closedOf(), residentBytes()];
  const frozen = await openSwarm("trade.heavy", frozenCount, ["--stalled", String(frozenCount)]);
  const cameMs = performance.now();
  const counting = measure("beside frozen", healthy);
  let peakBytes = 0;
  let pendingMs: number | null = null;
  await until(
    "the frozen ones to be closed",
    async () => {
      // Each look costs the primary, through which publications go, some milliseconds.
      await delay(500);
      peakBytes = Math.max(peakBytes, residentBytes() - residentBefore);
      const lagging = (await server.metrics()).sum("tapecast_lagging_readers");
      if (pendingMs === null && lagging >= frozenCount * 0.99) pendingMs = performance.now();
      return (await closedOf()) >= closedBefore + frozenCount;
    },
    120_000,
  );
  const goneMs = performance.now();
  const result = await counting;
  console.log(
    `all ${frozenCount} frozen readers closed ${secondsOf(goneMs - cameMs)} after the last came, ` +
      `${pendingMs === null ? "-" : secondsOf(goneMs - pendingMs)} after the kernel took no more of 99 in 100 (figures come each second); ` +
      `the workers grew by ${(peakBytes / frozenCount / 1e6).toFixed(3)} MB for each at most`,
  );
  await frozen.stop(true);
  return result;
}

/** The middle one of the rounds. */
function p99Of(results: readonly SwarmResult[]): number {
  const sorted = results.map(({ p99Us }) => p99Us).sort((a, b) => a - b);
  return ((sorted[(sorted.length - 1) >> 1] ?? 0) + (sorted[sorted.length >> 1] ?? 0)) / 2;
}

function shownP99(results: readonly SwarmResult[]): string {
  const all = results.map(({ p99Us }) => ms(p99Us)).join(", ");
  return `${ms(p99Of(results))} ms${results.length > 1 ? ` (${all})` : ""}`;
}
