/**
 * Frozen readers among healthy ones (rows RS1 and RS2 of docs/ABUSE.md), at a size to choose. By hand:
 * `npm run abuse:frozen -- [--healthy 1000] [--frozen 100]`. Prints what a frozen reader cost the workers, how long it
 * was kept after the kernel took nothing more of it, and the healthy ones' delay before and meanwhile.
 */
import { Agent } from "node:http";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { parseArgs } from "node:util";

import { publish } from "../e2e/http.ts";
import { Server } from "../e2e/server.ts";
import { delay, until } from "../e2e/until.ts";
import { handshake } from "./raw.ts";

const { values } = parseArgs({
  options: {
    healthy: { type: "string", default: "1000" },
    frozen: { type: "string", default: "100" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log("usage: npm run abuse:frozen -- [--healthy 1000] [--frozen 100]\n\nHow many of each.");
  process.exit(0);
}
const healthyCount = Number(values.healthy);
const frozenCount = Number(values.frozen);

/** Delays of the phase that is going on, in milliseconds. */
let delays: number[] = [];

function open(server: Server, target: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(server.port, "127.0.0.1");
    const fail = (error: Error): void => reject(new Error(`${target}: ${error.message}`));
    socket.once("error", fail);
    socket.once("data", () => {
      socket.off("error", fail);
      socket.on("error", () => undefined);
      resolve(socket);
    });
    socket.write(handshake({}, `GET ${target} HTTP/1.1`));
  });
}

/** A reader on /raw: a frame is two bytes and the time at which it was published. */
async function openHealthy(server: Server): Promise<Socket> {
  const socket = await open(server, "/raw/quote.light");
  socket.on("data", (chunk: Buffer) => {
    const nowMs = performance.now();
    for (const [sentMs] of chunk.toString("latin1").matchAll(/\d+\.\d+/gu))
      delays.push(nowMs - Number(sentMs));
  });
  return socket;
}

function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

function report(phase: string): void {
  const sorted = delays.toSorted((a, b) => a - b);
  const [p50, p99] = [percentile(sorted, 0.5), percentile(sorted, 0.99)];
  console.log(`${phase}: ${sorted.length} deliveries, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`);
  delays = [];
}

function residentBytes(server: Server): number {
  let bytes = 0;
  for (const pid of server.workerPids()) {
    bytes += Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * 4096;
  }
  return bytes;
}

async function closedAsSlow(server: Server): Promise<number> {
  return (await server.metrics()).sum("tapecast_connections_closed_total", { reason: "slow_consumer" });
}

await using server = await Server.start();
const agent = new Agent({ keepAlive: true, maxSockets: 2 });
const stopped = new AbortController();
/** Publishes what `data` gives, `perSec` times a second, until the run ends. */
async function feed(topic: string, perSec: number, data: () => string): Promise<void> {
  while (!stopped.signal.aborted) {
    const answer = await publish(server.http, topic, data(), { agent }).catch((error: unknown) =>
      String(error),
    );
    if (typeof answer === "string") console.log(`a publication on ${topic} failed: ${answer}`);
    await delay(1000 / perSec);
  }
}

const sockets: Socket[] = [];
while (sockets.length < healthyCount) sockets.push(await openHealthy(server));
const feeds = [feed("quote.light", 10, () => performance.now().toFixed(3))];
const large = JSON.stringify("x".repeat(60_000));
feeds.push(feed("trade.heavy", 10, () => large));
await delay(3000);
delays = [];
await delay(8000);
report("before");
const before = residentBytes(server);
const startMs = performance.now();
for (let count = 0; count < frozenCount; count++) {
  const socket = await open(server, "/raw/trade.heavy");
  socket.pause();
  sockets.push(socket);
}
let peak = 0;
let fullMs: number | null = null;
await until(
  "the frozen ones to be closed",
  async () => {
    peak = Math.max(peak, residentBytes(server) - before);
    const metrics = await server.metrics();
    if (fullMs === null && metrics.sum("tapecast_lagging_readers") >= frozenCount * 0.9)
      fullMs = performance.now();
    return metrics.sum("tapecast_connections_closed_total", { reason: "slow_consumer" }) >= frozenCount;
  },
  120_000,
);
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
report("meanwhile");
console.log(
  `${await closedAsSlow(server)} of ${frozenCount} frozen readers closed ${seconds(performance.now() - startMs)} after ` +
    `they came, ${fullMs === null ? "-" : seconds(performance.now() - fullMs)} after the kernel was full for nine of ten; ` +
    `the workers grew by ${(peak / frozenCount / 1e6).toFixed(2)} MB for each at most`,
);
console.log(`${(await server.metrics()).sum("tapecast_worker_restarts_total")} workers ended`);
stopped.abort();
await Promise.all(feeds);
for (const socket of sockets) socket.destroy();
agent.destroy();
