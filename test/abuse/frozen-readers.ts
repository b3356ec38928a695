/**
 * Frozen readers among healthy ones (rows RS1 and RS2 of docs/ABUSE.md), at a size to choose. By hand:
 * `npm run abuse:frozen -- [--healthy 9000] [--frozen 1000]`. The readers are those of load/peers/swarm.cpp, which cost
 * less than the server that they measure. Prints what a frozen reader cost the workers, how long each was kept after
 * the kernel took nothing more of it, and the healthy ones' delay before and meanwhile.
 */
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
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(
    "usage: npm run abuse:frozen -- [--healthy 9000] [--frozen 1000] [--seconds 15]\n\nHow many of each, and how long the healthy ones are measured before and meanwhile. Needs g++.",
  );
  process.exit(0);
}
const healthyCount = Number(values.healthy);
const frozenCount = Number(values.frozen);
const seconds = Number(values.seconds);
/** Publications a second on the topic of the healthy ones, and on the heavy one. */
const lightPerSec = 5;
const heavyPerSec = 5;
const heavyBytes = 60_000;

const { swarm } = await buildTools((line) => console.log(line));
// The swarm opens faster than a worker lets strangers.
await using server = await Server.start({ sets: { "limits.handshakesPerSecMax": null } });
const agent = new Agent({ keepAlive: true, maxSockets: 4 });
const stopped = new AbortController();

/** Readers of one topic on /raw. They are measured, once, when they are told to. */
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

// Half of the healthy ones are measured before, the other half meanwhile; all read all the time.
const before = await openSwarm("quote.light", Math.ceil(healthyCount / 2), []);
const meanwhile = await openSwarm("quote.light", Math.floor(healthyCount / 2), []);
const heavy = JSON.stringify("x".repeat(heavyBytes));
const feeds = [
  feed("quote.light", lightPerSec, (count) => `{"t":${process.hrtime.bigint()},"s":0,"n":${count}}`),
  feed("trade.heavy", heavyPerSec, () => heavy),
];
await delay(2000);
const calm = await measure("before", before);
const residentBefore = residentBytes();
const frozen = await openSwarm("trade.heavy", frozenCount, ["--stalled", String(frozenCount)]);
const cameMs = performance.now();
const counting = measure("meanwhile", meanwhile);
let peakBytes = 0;
let pendingMs: number | null = null;
await until(
  "the frozen ones to be closed",
  async () => {
    peakBytes = Math.max(peakBytes, residentBytes() - residentBefore);
    const metrics = await server.metrics();
    if (pendingMs === null && metrics.sum("tapecast_lagging_readers") >= frozenCount * 0.99)
      pendingMs = performance.now();
    return metrics.sum("tapecast_connections_closed_total", { reason: "slow_consumer" }) >= frozenCount;
  },
  120_000,
);
const goneMs = performance.now();
const disturbed = await counting;
const shown = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const metrics = await server.metrics();
console.log(
  `all ${frozenCount} frozen readers closed ${shown(goneMs - cameMs)} after the last came, ` +
    `${pendingMs === null ? "-" : shown(goneMs - pendingMs)} after the kernel took no more of 99 in 100 (figures come each second); ` +
    `by limits.pendingAgeMsMax ${metrics.sum("tapecast_limits_reached_total", { limit: "pendingAgeMsMax" })}, ` +
    `by limits.pendingBytesMax ${metrics.sum("tapecast_limits_reached_total", { limit: "pendingBytesMax" })}; ` +
    `the workers grew by ${(peakBytes / frozenCount / 1e6).toFixed(3)} MB for each at most; ` +
    `p99 of the others ${((disturbed.p99Us / calm.p99Us - 1) * 100).toFixed(0)} % higher; ` +
    `${metrics.sum("tapecast_worker_restarts_total")} workers ended`,
);
stopped.abort();
await Promise.all(feeds);
for (const program of [before, meanwhile, frozen]) await program.stop(true);
agent.destroy();
