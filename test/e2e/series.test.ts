import { SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";

import { publishLines } from "./http.ts";
import { Server } from "./server.ts";
import { until } from "./until.ts";

// ABUSE HT7: whatever peers and publishers bring, the number of series stays what the catalogue says.

const secret = "a secret of at least thirty-two bytes";
const seriesPerWorkerMax = 500;
const topics = Array.from({ length: 600 }, (_, index) => `trade.t${index}`);
let server: Server;
const sockets: WebSocket[] = [];

beforeAll(async () => {
  const rules = Array.from({ length: 60 }, (_, index) => ({ match: `rule${index}.**`, delivery: "latest" }));
  server = await Server.start({
    sets: {
      topics: [...rules, { match: "trade.**", delivery: "every", history: { size: 10, ttlMs: 60_000 } }],
      "auth.jwt": { algorithms: ["HS256"], secret },
    },
  });
}, 60_000);

afterAll(async () => {
  for (const socket of sockets) socket.terminate();
  await server[Symbol.asyncDispose]();
});

describe("series of a worker", () => {
  it("are at most 500 and no more after many users, addresses and topics than before", async () => {
    await until("both workers' first figures", async () => {
      return (await server.metrics()).byWorker("tapecast_topics").size === 2;
    });
    const before = seriesByWorker((await server.metrics()).text);
    await Promise.all(Array.from({ length: 60 }, (_, index) => connectAs(index)));
    await until(
      "all subscriptions",
      async () => (await server.metrics()).sum("tapecast_subscriptions") === 60 * 61,
    );
    const lines = topics.map((topic) => JSON.stringify({ topic, data: 1 }));
    expect((await publishLines(server.http, lines)).status).toBe(200);
    await until("deliveries", async () => (await server.metrics()).sum("tapecast_deliveries_total") > 1000);
    const { text } = await server.metrics();
    const after = seriesByWorker(text);
    expect([...after.keys()].toSorted()).toEqual(["0", "1"]);
    for (const [worker, names] of after) {
      expect(names.size).toBeLessThanOrEqual(seriesPerWorkerMax);
      // Freshness appears with the first publication of a rule; nothing else does.
      const fresh = [...names].filter((name) => before.get(worker)?.has(name) === false);
      expect(fresh.filter((name) => !name.startsWith("tapecast_rule_freshness_seconds"))).toEqual([]);
    }
    expect(text).not.toMatch(/user-\d|127\.0\.\d+\.\d+|trade\.t\d/u);
  }, 60_000);
});

/** A user of its own, at an address of its own, with a share of the topics. */
async function connectAs(index: number): Promise<void> {
  const token = await new SignJWT({ subscribe: ["**"], publish: [] })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(`user-${index}`)
    .setExpirationTime("5m")
    .sign(Buffer.from(secret));
  const socket = new WebSocket(`${server.ws}/ws?token=${token}`, { localAddress: `127.0.1.${index + 1}` });
  sockets.push(socket);
  await new Promise<void>((resolve, reject) => {
    socket.once("open", () => resolve());
    socket.once("error", reject);
  });
  const own = ["rule1.shared", ...topics.slice(index * 9, index * 9 + 60)];
  socket.send(JSON.stringify({ id: 1, method: "subscribe", params: { topics: own } }));
}

function seriesByWorker(text: string): Map<string, Set<string>> {
  const byWorker = new Map<string, Set<string>>();
  for (const line of text.split("\n")) {
    const worker = /\bworker="(\d+)"/u.exec(line)?.[1];
    if (line.startsWith("#") || worker === undefined) continue;
    const names = byWorker.get(worker) ?? new Set();
    byWorker.set(worker, names.add(line.slice(0, line.lastIndexOf(" "))));
  }
  return byWorker;
}
