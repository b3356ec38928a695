/**
 * Rows RS1 to RS9 of docs/ABUSE.md: what a peer can use up. Sized for a build that many share; ABUSE_SCALE=10 makes
 * the crowds ten times as large.
 */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { RawPeer } from "../connection/raw-peer.ts";
import { redisUrl, uniquePrefix } from "../setup/redis-url.ts";
import { onBothWorkers } from "../e2e/both-workers.ts";
import { get, publish, publishLines } from "../e2e/http.ts";
import { Peer, type WireMessage } from "../e2e/peer.ts";
import { cli, redisCli, Running } from "../e2e/run.ts";
import { onRedis, serveArguments, Server } from "../e2e/server.ts";
import { delay, until } from "../e2e/until.ts";
import { AbusedServer } from "./abused-server.ts";
import { answerTo, frame, handshake, scale, text } from "./raw.ts";

const prefix = uniquePrefix();
const megabyte = 2 ** 20;
let abused: AbusedServer;

beforeAll(async () => {
  abused = await AbusedServer.start({ sets: onRedis(redisUrl(), prefix) });
}, 60_000);
afterEach(() => abused.expectNobodyHurt());
afterAll(async () => {
  try {
    await abused.expectBackToStart();
  } finally {
    await abused.end();
  }
}, 60_000);

/** Readers of `topic` who have stopped to read. */
async function frozenReaders(server: Server, topic: string, count: number): Promise<RawPeer[]> {
  const peers: RawPeer[] = [];
  while (peers.length < count) {
    const peer = await RawPeer.upgrade(server.http, `/ws?topics=${topic}`);
    await peer.until(() => peer.events.length === 2);
    peer.socket.pause();
    peers.push(peer);
  }
  return peers;
}

/** Publishes `data` so many times, five at once. */
async function flood(server: Server, topic: string, data: string, count: number): Promise<void> {
  const lines = Array.from({ length: 5 }, () => `{"topic":"${topic}","data":"${data}"}`);
  for (let published = 0; published < count; published += lines.length) {
    expect((await publishLines(server.http, lines)).status).toBe(200);
  }
}

/** Files that each worker has open. */
function files(): number[] {
  return abused.server.workerPids().map((pid) => readdirSync(`/proc/${pid}/fd`).length);
}

function slowClosed(server: Server): Promise<number> {
  return server
    .metrics()
    .then((metrics) => metrics.sum("tapecast_connections_closed_total", { reason: "slow_consumer" }));
}

it(
  "RS1 a reader that stops for ever: closed as slow, and it held no more than 1.2 MB",
  { timeout: 60_000 },
  async () => {
    const before = await slowClosed(abused.server);
    const [peer] = await frozenReaders(abused.server, "trade.RS1", 1);
    const reader = await Peer.native(abused.server.ws, "?topics=trade.RS1");
    await reader.json();
    // More than the kernel takes.
    const published = 500;
    await flood(abused.server, "trade.RS1", "x".repeat(20_000), published);
    for (let seq = 1; seq <= published; seq++) expect((await reader.json()).seq).toBe(seq);
    expect((await abused.server.metrics()).sum("tapecast_pending_bytes")).toBeLessThan(1.2 * megabyte);
    await until("it to be closed", async () => (await slowClosed(abused.server)) > before);
    await until(
      "nothing to be pending",
      async () => (await abused.server.metrics()).sum("tapecast_pending_bytes") === 0,
    );
    await reader.close();
    peer?.socket.destroy();
  },
);

it("RS2 many such readers at once: the others get everything", { timeout: 120_000 }, async () => {
  const count = 30 * scale;
  const fast = await Promise.all(
    Array.from({ length: 8 }, () => Peer.native(abused.server.ws, "?topics=trade.RS2")),
  );
  for (const peer of fast) await peer.json();
  const residentBefore = abused.residentBytes();
  const closedBefore = await slowClosed(abused.server);
  const frozen = await frozenReaders(abused.server, "trade.RS2", count);
  const published = 200;
  await flood(abused.server, "trade.RS2", "x".repeat(40_000), published);
  let largest = 0;
  const areClosed = async (): Promise<boolean> => {
    largest = Math.max(largest, abused.residentBytes() - residentBefore);
    return (await slowClosed(abused.server)) - closedBefore >= count;
  };
  await until("all of them to be closed", areClosed, 40_000);
  for (const peer of fast) {
    for (let seq = 1; seq <= published; seq++) expect((await peer.json()).seq).toBe(seq);
    await peer.close();
  }
  // Both workers' logs of the topic and what is garbage for a moment are beside it.
  expect(largest).toBeLessThan(1.2 * megabyte * count + 128 * megabyte);
  for (const peer of frozen) peer.socket.destroy();
});

it(
  "RS3 a reader that is much too slow gets the newest values and not all the old ones",
  { timeout: 60_000 },
  async () => {
    const topics = Array.from({ length: 10 }, (_, index) => `quote.RS3${index}`);
    const peer = await Peer.native(abused.server.ws, `?topics=${topics.join(",")}`);
    await peer.json();
    peer.client.pause();
    const lines = topics.map((topic) => `{"topic":"${topic}","data":"${"x".repeat(5000)}"}`);
    const rounds = 200;
    for (let round = 0; round < rounds; round++)
      expect((await publishLines(abused.server.http, lines)).status).toBe(200);
    peer.client.resume();
    const resumedMs = performance.now();
    const newest = new Map<string, number>();
    let received = 0;
    while (topics.some((topic) => newest.get(topic) !== rounds)) {
      const { topic = "", seq = 0 } = await peer.json();
      expect(seq).toBeGreaterThan(newest.get(topic) ?? 0);
      newest.set(topic, seq);
      received += 1;
    }
    expect(performance.now() - resumedMs).toBeLessThan(5000);
    expect(received).toBeLessThan(rounds * topics.length);
    await peer.close();
  },
);

it(
  "RS4 a peer behind a dead link, which answers nothing: freed after interval and timeout",
  { timeout: 60_000 },
  async () => {
    await using server = await Server.start({
      sets: { workers: 1, "heartbeat.intervalMs": 1500, "heartbeat.timeoutMs": 1000 },
    });
    const peer = await RawPeer.upgrade(server.http, "/ws?topics=quote.RS4");
    peer.socket.pause();
    const startMs = performance.now();
    await until("it to be freed", async () => {
      return (
        (await server.metrics()).sum("tapecast_connections_closed_total", { reason: "heartbeat_timeout" }) ===
        1
      );
    });
    await until(
      "nothing to be left",
      async () => (await server.metrics()).sum("tapecast_subscriptions") === 0,
    );
    // 33 s with the defaults: 25 and 8.
    expect(performance.now() - startMs).toBeLessThan(8000);
    peer.socket.destroy();
  },
);

it(
  "RS5 connect, subscribe, reset, over and over: files, gauges and Redis subscriptions return",
  { timeout: 120_000 },
  async () => {
    const filesBefore = files();
    const subscription = text('{"id":1,"method":"subscribe","params":{"topics":["chat.rs5","quote.RS5"]}}');
    for (let round = 0; round < 40 * scale; round++) {
      await Promise.all(
        Array.from({ length: 20 }, async (_, index) => {
          const peer = await RawPeer.upgrade(abused.where, "/ws", subscription);
          if (index % 2 === 0) await peer.until(() => peer.events.length > 1);
          peer.socket.resetAndDestroy();
        }),
      );
    }
    await until("files to be closed", () =>
      files().every((count, index) => count <= (filesBefore[index] ?? 0) + 2),
    );
    await until("Redis to be left", async () => {
      const said = await redisCli(redisUrl(), "pubsub", "numsub", `${prefix}chat.rs5`, `${prefix}quote.RS5`);
      return /^0$/mu.test(said) && !/^[1-9]\d*$/mu.test(said);
    });
  },
);

it(
  "RS6 no files left: 503 and a metric; who is in stays in; /metrics answers; and then there is room again",
  { timeout: 90_000 },
  async () => {
    const shell = new Running("sh", [
      "-c",
      'ulimit -n 160 && exec "$0" "$@"',
      process.execPath,
      cli,
      ...serveArguments({}),
    ]);
    await using server = await Server.attach(shell);
    const inside = await Promise.all([1, 2, 3, 4].map(() => Peer.native(server.ws, "?topics=chat.rs6")));
    for (const peer of inside) await peer.json();
    const crowd = await Promise.all(Array.from({ length: 250 }, () => RawPeer.connect(server.http)));
    await until("refusals to be counted", async () => {
      return (await server.metrics()).sum("tapecast_handshakes_refused_total", { reason: "sockets" }) > 0;
    });
    await until("refusals to be told", () => crowd.some((peer) => peer.text.startsWith("HTTP/1.1 503 ")));
    expect((await get(`${server.admin}/healthz`)).status).toBe(200);
    const writer = inside[0];
    writer?.send("publish", { topic: "chat.rs6", data: "still here" });
    for (const peer of inside) {
      for (;;) if ((await peer.json()).data === "still here") break;
    }
    for (const peer of crowd) peer.socket.destroy();
    await until("room again", async () => (await answerTo(server.http, handshake({}))).status === 101);
    expect((await server.metrics()).sum("tapecast_worker_restarts_total")).toBe(0);
    for (const peer of inside) await peer.close();
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  },
);

it(
  "RS7 messages to many who read nothing: all pending bytes have a limit, who reads gets everything",
  { timeout: 120_000 },
  async () => {
    const count = 40 * scale;
    await using server = await Server.start({
      sets: {
        workers: 1,
        "limits.pendingBytesTotalMax": 4 * megabyte,
      },
    });
    const fast = await Peer.native(server.ws, "?topics=trade.RS7");
    await fast.json();
    const frozen = await frozenReaders(server, "trade.RS7", count);
    const shed = async (): Promise<number> => (await server.metrics()).sum("tapecast_connections_shed_total");
    let published = 0;
    while ((await shed()) === 0) {
      expect(published, "so many publications were not enough").toBeLessThan(2000);
      await flood(server, "trade.RS7", "x".repeat(60_000), 10);
      published += 10;
      expect((await server.metrics()).sum("tapecast_pending_bytes")).toBeLessThanOrEqual(4 * megabyte);
    }
    for (let seq = 1; seq <= published; seq++) expect((await fast.json()).seq).toBe(seq);
    await fast.close();
    for (const peer of frozen) peer.socket.destroy();
    await until(
      "nothing to be pending",
      async () => (await server.metrics()).sum("tapecast_pending_bytes") === 0,
    );
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  },
);

it(
  "RS8 errors of the protocol without end: counted, and at most ten lines a second in the log",
  { timeout: 60_000 },
  async () => {
    const lines = (): number => abused.server.process.stdout.split("\n").length;
    const linesBefore = lines();
    const bytesBefore = abused.server.process.stdout.length;
    const startMs = performance.now();
    const before = (await abused.server.metrics()).sum("tapecast_connections_closed_total", {
      reason: "protocol_error",
    });
    const count = 400 * scale;
    for (let first = 0; first < count; first += 40) {
      await Promise.all(
        Array.from({ length: 40 }, async () => {
          const peer = await RawPeer.upgrade(abused.where, "/ws", frame(0x83, "x"));
          await peer.until(() => peer.isEnded || peer.isClosed);
          peer.socket.destroy();
        }),
      );
    }
    // Whoever may write to Redis makes another kind.
    for (let n = 0; n < 5; n++) {
      const reader = await Peer.native(abused.server.ws, "?topics=quote.RS8");
      await reader.json();
      await Promise.all(
        Array.from({ length: 8 }, () => redisCli(redisUrl(), "publish", `${prefix}quote.RS8`, "not JSON")),
      );
      await reader.close();
    }
    const seconds = Math.ceil((performance.now() - startMs) / 1000) + 1;
    expect(lines() - linesBefore).toBeLessThanOrEqual(20 * seconds);
    expect(abused.server.process.stdout.length - bytesBefore).toBeLessThan(
      (megabyte / 60) * seconds + 10_000,
    );
    await abused.untilCounted(
      "tapecast_connections_closed_total",
      { reason: "protocol_error" },
      before + count,
    );
  },
);

describe("RS9 a worker that stands still", () => {
  const hooks = fileURLToPath(new URL("fixtures/worker-hooks.mjs", import.meta.url));

  it(
    "RS9 for 5 s: noticed, not ready, and then all is well again, with nothing lost",
    { timeout: 90_000 },
    async () => {
      await using server = await Server.start({
        sets: onRedis(redisUrl(), uniquePrefix()),
        env: { NODE_OPTIONS: `--import ${hooks}` },
      });
      const readers = await Promise.all([1, 2, 3, 4].map(() => Peer.native(server.ws, "?topics=chat.rs9")));
      for (const reader of readers) await reader.json();
      const [blocked = 0] = server.workerPids();
      process.kill(blocked, "SIGURG");
      await until("not ready", async () => (await get(`${server.admin}/readyz`)).status === 503, 5000);
      let published = 0;
      while ((await get(`${server.admin}/readyz`)).status === 503) {
        const answer = await Promise.race([
          publish(server.http, "chat.rs9", "1").catch(() => null),
          delay(300),
        ]);
        if (answer?.status === 200) published += 1;
        expect(published).toBeLessThan(1000);
      }
      await until("the publications to arrive", async () => {
        return (await get(`${server.http}/api/topics/chat.rs9`)).text.includes('"seq"');
      });
      const { seq = 0 } = JSON.parse((await get(`${server.http}/api/topics/chat.rs9`)).text) as {
        seq?: number;
      };
      expect(seq).toBeGreaterThanOrEqual(published);
      for (const reader of readers) {
        for (let next = 1; next <= seq; next++) expect((await reader.json()).seq).toBe(next);
        await reader.close();
      }
      expect((await server.metrics()).sum("tapecast_worker_restarts_total"), "5 s are forgiven").toBe(0);
      expect(await server.stop()).toEqual({ code: 0, signal: null });
    },
  );

  it(
    "RS9 for good: ended at 10 s, started anew, its readers come back and miss nothing",
    { timeout: 90_000 },
    async () => {
      await using server = await Server.start({ sets: onRedis(redisUrl(), uniquePrefix()) });
      const readers = await onBothWorkers(server, () => Peer.native(server.ws), 6);
      const { epoch } = await readers[0]!.subscribe("chat.resume");
      for (const reader of readers.slice(1)) await reader.subscribe("chat.resume");
      const lastSeq = readers.map(() => 0);
      const reading = readers.map(async (reader, index) => {
        for (;;) {
          const message: WireMessage | null = await reader.json(60_000).catch(() => null);
          if (message === null || message.event === "closing") return;
          expect(message.seq).toBe((lastSeq[index] ?? 0) + 1);
          lastSeq[index] = message.seq ?? 0;
        }
      });
      const [victim = 0] = server.workerPids();
      process.kill(victim, "SIGSTOP");
      const startMs = performance.now();
      let published = 0;
      const over = new AbortController();
      const publishing = (async () => {
        while (!over.signal.aborted) {
          // Half of the requests meet the worker that stands still.
          const answer = await Promise.race([
            publish(server.http, "chat.resume", "1").catch(() => null),
            delay(200),
          ]);
          if (answer?.status === 200) published += 1;
          await delay(100);
        }
      })();
      await until(
        "it to be replaced",
        async () => {
          return (await server.metrics()).sum("tapecast_worker_restarts_total", { cause: "stalled" }) === 1;
        },
        20_000,
      );
      expect(performance.now() - startMs).toBeLessThan(15_000);
      await until("all to be ready", async () => (await get(`${server.admin}/readyz`)).status === 200);
      over.abort();
      await publishing;
      const { seq: newest = 0 } = await (await Peer.native(server.ws)).subscribe("chat.resume");
      expect(newest).toBeGreaterThanOrEqual(published);
      expect(published).toBeGreaterThan(0);
      const ended = await Promise.all(
        readers.map((reader) => Promise.race([reader.ended.then(() => true), delay(200).then(() => false)])),
      );
      expect(ended, "readers of the one that was ended").toContain(true);
      expect(ended, "readers of the other").toContain(false);
      for (const [index, hasEnded] of ended.entries()) {
        if (!hasEnded) {
          await until("the other worker's reader to have everything", () => lastSeq[index] === newest);
          continue;
        }
        const seq = lastSeq[index] ?? 0;
        const back = await Peer.native(server.ws);
        const state = await back.subscribe("chat.resume", { since: { "chat.resume": { epoch, seq } } });
        expect(state.recovered).toBe(true);
        expect(state.messages?.map((message) => message.seq)).toEqual(
          Array.from({ length: newest - seq }, (_, offset) => seq + 1 + offset),
        );
      }
      expect(await server.stop()).toEqual({ code: 0, signal: null });
      await Promise.all(reading);
    },
  );
});
