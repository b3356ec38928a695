import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { InsightPage, ListedConnection, ListedTopic } from "../../src/primary/inspector.ts";
import type { WorkerList } from "../../src/primary/worker-list.ts";
import { runCli } from "../cli/run-cli.ts";
import { onBothWorkers } from "./both-workers.ts";
import { get } from "./http.ts";
import { Peer } from "./peer.ts";
import { Server } from "./server.ts";
import { until } from "./until.ts";

// An operator's view of a whole server: real workers, real readers, one of which reads nothing.

let server: Server;
const peers: Peer[] = [];
let frozen: Socket;
let publishing: NodeJS.Timeout;

async function ask<Body>(path: string): Promise<Body> {
  const { status, text } = await get(server.admin + path);
  expect(status).toBe(200);
  return JSON.parse(text);
}

beforeAll(async () => {
  server = await Server.start({
    sets: { "limits.pendingAgeMsMax": 60_000, "limits.pendingBytesMax": 16_777_216 },
  });
  let opened = 0;
  const open = (): Promise<Peer> => Peer.native(server.ws, opened++ === 0 ? "?batch=1" : "");
  peers.push(...(await onBothWorkers(server, open, 6)));
  for (const [index, peer] of peers.entries()) {
    const topics = [
      "quote.AAPL",
      ...Array.from({ length: Math.min(index, 5) }, (_, topic) => `trade.t${topic}`),
    ];
    await peer.command("subscribe", { topics, intervalMs: index % 2 === 0 ? 0 : 250 });
  }
  frozen = await frozenReader(server.port, "trade.flood");
  const line = JSON.stringify({ topic: "trade.flood", data: "x".repeat(30_000) });
  const body = Array.from({ length: 20 }, () => line).join("\n");
  publishing = setInterval(() => {
    const headers = { "content-type": "application/x-ndjson" };
    fetch(`${server.http}/api/publish`, { method: "POST", headers, body }).catch(() => undefined);
  }, 100);
}, 60_000);

afterAll(async () => {
  clearInterval(publishing);
  frozen.destroy();
  for (const peer of peers) peer.client.destroy();
  await server[Symbol.asyncDispose]();
});

describe("the admin port's view of connections and topics", () => {
  it("puts a reader that takes nothing first, with what waits for it and since when", async () => {
    let first: ListedConnection | undefined;
    await until("the frozen reader to be seen", async () => {
      const page = await ask<InsightPage<ListedConnection>>("/connections?sort=lag&limit=1");
      first = page.items[0];
      return (first?.pendingAgeMs ?? 0) > 500;
    });
    expect(first).toMatchObject({ address: "127.0.0.1", endpoint: "ws", topics: 1, lagging: true });
    expect(first?.pendingBytes).toBeGreaterThan(0);
    const pending = await ask<InsightPage<ListedConnection>>("/connections?sort=pending&limit=1");
    expect(pending.items[0]?.id).toBe(first?.id);
    const topics = await ask<InsightPage<ListedTopic>>("/topics?sort=lag&limit=1");
    expect(topics.items[0]).toMatchObject({
      topic: "trade.flood",
      subscribers: 1,
      lagging: 1,
      delivery: "every",
    });
  });

  it("counts all connections and topics of all workers", async () => {
    const page = await ask<InsightPage<ListedConnection>>("/connections?sort=topics&limit=100");
    expect(page).toMatchObject({ total: peers.length + 1, missing: [] });
    expect(page.items).toHaveLength(peers.length + 1);
    expect(new Set(page.items.map(({ worker }) => worker)).size).toBe(2);
    const counts = page.items.map(({ topics }) => topics);
    expect(counts).toEqual(counts.toSorted((left, right) => right - left));
    expect(counts[0]).toBe(6);
    const topics = await ask<InsightPage<ListedTopic>>("/topics?sort=subscribers");
    const quote = topics.items[0];
    expect(quote).toMatchObject({ topic: "quote.AAPL", subscribers: peers.length, workers: 2 });
    expect(Object.keys(quote?.byRateClassMs ?? {}).toSorted()).toEqual(["0", "250"]);
    // A rate is 0 until the topic was looked at twice, which is once a second.
    await until("the flood to have the highest rate", async () => {
      const [fastest] = (await ask<InsightPage<ListedTopic>>("/topics?sort=rate&limit=1")).items;
      return fastest?.topic === "trade.flood" && fastest.ratePerSec > 0;
    });
  });

  it("tells what is documented of a connection and nothing else: no token, no header", async () => {
    const { items } = await ask<InsightPage<ListedConnection>>("/connections?limit=100");
    for (const item of items) {
      expect(Object.keys(item).toSorted()).toEqual([
        "address",
        "ageMs",
        "compressed",
        "endpoint",
        "id",
        "lagging",
        "pendingAgeMs",
        "pendingBytes",
        "rateClassesMs",
        "receivedBytes",
        "sentBytes",
        "silentMs",
        "topics",
        "worker",
      ]);
    }
  });

  it("lists the workers with their figures", async () => {
    const { configured, ready, items } = await ask<WorkerList>("/workers");
    expect({ configured, ready }).toEqual({ configured: 2, ready: 2 });
    expect(new Set(items.map(({ pid }) => pid))).toEqual(new Set(server.workerPids()));
    for (const { state, problem, figures } of items) {
      expect({ state, problem }).toEqual({ state: "ready", problem: null });
      expect(figures?.residentMemoryBytes).toBeGreaterThan(10_000_000);
    }
  });
});

describe("tapecast top", () => {
  it("--once prints rates, workers, topics and the slowest connection", async () => {
    const { code, stdout } = await runCli(["top", "--once", "--interval", "1.5", "--url", server.admin]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^tapecast \d+\.\d+\.\d+ {2}http:\/\/127\.0\.0\.1:\d+/u);
    expect(stdout).toContain("workers 2 of 2");
    expect(stdout).toMatch(/publications [1-9]\S*\/s/u);
    expect(stdout).toContain("trade.flood");
    expect(stdout).toContain(`${peers.length + 1} connections, by lag\nADDRESS`);
    expect(stdout).not.toContain("\u001b");
  });

  it("says what is wrong when nobody answers, and with another port", async () => {
    const [nobody, wrong, nonsense] = await Promise.all([
      runCli(["top", "--once", "--url", "http://127.0.0.1:1"]),
      runCli(["top", "--once", "--url", server.http]),
      runCli(["top", "--url", "nonsense"]),
    ]);
    expect(nobody.code).toBe(69);
    expect(nobody.stderr).toContain("cannot reach http://127.0.0.1:1: connection refused");
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain("is this the admin port");
    expect(nonsense.code).toBe(2);
  }, 60_000);
});

describe("a worker that stands still", () => {
  it("is named as missing and not waited for", async () => {
    const { items } = await ask<WorkerList>("/workers");
    const pid = items.find(({ worker }) => worker === 1)?.pid ?? 0;
    process.kill(pid, "SIGSTOP");
    try {
      const startMs = performance.now();
      const page = await ask<InsightPage<ListedConnection>>("/connections?sort=received");
      expect(performance.now() - startMs).toBeLessThan(8000);
      expect(page.missing).toEqual([{ worker: 1, reason: expect.stringContaining("no answer within") }]);
      expect(page.items.every(({ worker }) => worker === 0)).toBe(true);
      expect(page.items.length).toBeGreaterThan(0);
    } finally {
      process.kill(pid, "SIGCONT");
    }
  });
});

/** Subscribes and never reads. */
function frozenReader(port: number, topic: string): Promise<Socket> {
  const head = [
    `GET /ws?topics=${topic} HTTP/1.1`,
    "Host: x",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  ];
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.pause();
      socket.write(`${head.join("\r\n")}\r\n\r\n`);
      resolve(socket);
    });
    socket.on("error", reject);
  });
}
