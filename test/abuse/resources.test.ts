/**
 * Rows RS1 to RS9 of docs/ABUSE.md: what a peer can use up. Sized for a build that many share; ABUSE_SCALE=10 makes
 * the crowds ten times as large.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { RawPeer } from "../connection/raw-peer.ts";
import { selfSigned } from "../setup/certificate.ts";
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

/** Channels of topics of RS5 that somebody is subscribed to. */
async function rs5Channels(): Promise<number> {
  const said = await redisCli(redisUrl(), "pubsub", "channels", `${prefix}*.rs5*`);
  return said.split("\n").filter((line) => line !== "").length;
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

describe("RS1 at every endpoint and over TLS", () => {
  const folder = mkdtempSync(join(tmpdir(), "tapecast-rs1-"));
  const megabytes = "x".repeat(60_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each([
    { row: "/ws", target: "/ws?topics=trade.RS1B", isTls: false },
    { row: "/raw", target: "/raw/trade.RS1B", isTls: false },
    { row: "/ws?batch=1 over TLS", target: "/ws?batch=1&topics=trade.RS1B", isTls: true },
    { row: "/raw over TLS", target: "/raw/trade.RS1B", isTls: true },
  ])(
    "RS1 $row: ended within 10 s of the last byte taken, and never more pending than its limit",
    { timeout: 60_000 },
    async ({ target, isTls }) => {
      const files = { cert: join(folder, "cert.pem"), key: join(folder, "key.pem") };
      const { cert, key } = selfSigned();
      writeFileSync(files.cert, cert);
      writeFileSync(files.key, key);
      await using server = await Server.start({ sets: isTls ? { "listen.tls": files } : {} });
      const frozen = await RawPeer.upgrade(server.http, target);
      if (target.startsWith("/ws")) await frozen.until(() => frozen.events.length === 2);
      frozen.socket.pause();
      const lagging = async (): Promise<boolean> => {
        await publishLines(
          server.http,
          Array.from({ length: 5 }, () => `{"topic":"trade.RS1B","data":"${megabytes}"}`),
        );
        return (await server.metrics()).sum("tapecast_lagging_readers") === 1;
      };
      await until("the kernel to take no more", lagging, 30_000);
      const startMs = performance.now();
      expect((await server.metrics()).sum("tapecast_pending_bytes")).toBeLessThanOrEqual(1.2 * megabyte);
      await until("it to be closed", async () => (await slowClosed(server)) === 1, 20_000);
      // 10 s after the last byte was taken, which was before; figures come once a second.
      expect(performance.now() - startMs).toBeLessThan(13_000);
      await until("nothing to be left", async () => {
        const metrics = await server.metrics();
        return metrics.sum("tapecast_pending_bytes") + metrics.sum("tapecast_connections_open") === 0;
      });
      frozen.socket.destroy();
    },
  );

  it(
    "RS1 an answer of HTTP that nobody reads: its connection ends as well",
    { timeout: 60_000 },
    async () => {
      await using server = await Server.start({ sets: { "limits.pendingAgeMsMax": 1000 } });
      const lines = Array.from({ length: 200 }, () => `{"topic":"trade.RS1C","data":"${megabytes}"}`);
      expect((await publishLines(server.http, lines)).status).toBe(200);
      const frozen = await Promise.all(Array.from({ length: 5 }, () => RawPeer.connect(server.http)));
      for (const peer of frozen) {
        peer.socket.pause();
        peer.send("GET /api/topics/trade.RS1C/history?limit=200 HTTP/1.1\r\nHost: a\r\n\r\n");
      }
      const held = async (): Promise<number> => (await server.metrics()).sum("tapecast_http_answer_bytes");
      await until("the answers to wait", async () => (await held()) > 5 * 8 * megabyte);
      await until("them to be given up", async () => (await held()) === 0);
      expect(
        (await server.metrics()).sum("tapecast_limits_reached_total", { limit: "pendingAgeMsMax" }),
      ).toBe(5);
      for (const peer of frozen) peer.socket.destroy();
    },
  );
});

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
  "RS3 a reader of 1 KB a second on a channel of 50 KB a second holds nothing of the server's, and ends with the newest",
  { timeout: 60_000 },
  async () => {
    await using server = await Server.start();
    const topics = Array.from({ length: 10 }, (_, index) => `quote.SLOW${index}`);
    const peer = await RawPeer.upgrade(server.http, `/ws?topics=${topics.join(",")}`);
    await peer.until(() => peer.events.length === 2);
    peer.socket.pause();
    // The kernels' own buffers come first: what is in them is old and nobody can take it back.
    const filler = topics.map((topic) => `{"topic":"${topic}","data":"${"f".repeat(60_000)}"}`);
    const isLagging = async (): Promise<boolean> => {
      await publishLines(server.http, filler);
      return (await server.metrics()).sum("tapecast_lagging_readers") === 1;
    };
    await until("the kernel to take no more", isLagging, 30_000);
    let read = 0;
    const slowly = setInterval(() => {
      const chunk: Buffer | null = peer.socket.read(1024) ?? peer.socket.read();
      read += chunk?.length ?? 0;
    }, 1000);
    for (let round = 1; round <= 50; round++) {
      const lines = topics.map((topic) => `{"topic":"${topic}","data":"${round} ${"x".repeat(500)}"}`);
      expect((await publishLines(server.http, lines)).status).toBe(200);
      await delay(100);
    }
    clearInterval(slowly);
    expect(read).toBeGreaterThan(0);
    expect((await server.metrics()).sum("tapecast_pending_bytes")).toBeLessThan(megabyte);
    const resumedMs = performance.now();
    peer.socket.resume();
    const isNewest = (topic: string): boolean =>
      peer.events.some(({ text: said }) => said.includes(`"${topic}"`) && said.includes('"50 x'));
    await peer.until(() => topics.every(isNewest), 10_000);
    expect(performance.now() - resumedMs).toBeLessThan(5000);
    const before = (topic: string): number =>
      peer.events.filter(({ text: said }) => said.includes(`"${topic}"`) && /"\d+ x/u.test(said)).length;
    for (const topic of topics) expect(before(topic), "of 50 values").toBeLessThan(50);
    peer.socket.destroy();
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
  "RS4 with the limits as they come, at every endpoint: freed between 28 and 33 s",
  { timeout: 90_000 },
  async () => {
    await using server = await Server.start();
    const startMs = performance.now();
    const targets = ["/ws?topics=quote.RS4", "/raw/quote.RS4", "/echo", "/ws?batch=1"];
    const peers = await Promise.all(targets.map((target) => RawPeer.upgrade(server.http, target)));
    const openedMs = performance.now() - startMs;
    for (const peer of peers) peer.socket.pause();
    const count = async (): Promise<number> =>
      (await server.metrics()).sum("tapecast_connections_closed_total", { reason: "heartbeat_timeout" });
    await until("the first to be freed", async () => (await count()) > 0, 60_000);
    // The ping comes up to a fifth of 25 s early, so that a herd is not pinged all at once.
    expect(performance.now() - startMs).toBeGreaterThan(20_000 + 8000 - 200);
    await until("all to be freed", async () => (await count()) === peers.length);
    // Figures come once a second; deadlines are a tick late at most.
    expect(performance.now() - startMs - openedMs).toBeLessThan(33_000 + 3000);
    const metrics = await server.metrics();
    expect(metrics.sum("tapecast_subscriptions") + metrics.sum("tapecast_connections_open")).toBe(0);
    for (const peer of peers) peer.socket.destroy();
  },
);

it(
  "RS5 connect, subscribe, reset, over and over, each on topics of its own: files, gauges, memory and Redis return",
  { timeout: 240_000 },
  async () => {
    const filesBefore = files();
    const keptBefore = await abused.keptBytes();
    const gauges = ["tapecast_broker_topics_open", "tapecast_connections_open", "tapecast_subscriptions"];
    const metricsBefore = await abused.server.metrics();
    const gaugesBefore = gauges.map((name) => metricsBefore.sum(name));
    const count = 3000 * scale;
    let opened = 0;
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        while (opened < count) {
          opened += 1;
          const names = [`chat.rs5-${opened}`, `quote.rs5-${opened % 50}`];
          const subscription = text(
            JSON.stringify({ id: 1, method: "subscribe", params: { topics: names } }),
          );
          const target = opened % 5 === 0 ? `/raw/${names[0]}` : "/ws";
          const peer = await RawPeer.upgrade(
            abused.where,
            target,
            target === "/ws" ? subscription : undefined,
          );
          // Some wait for the answer, some are gone before.
          if (index % 2 === 0 && target === "/ws") await peer.until(() => peer.events.length > 1, 10_000);
          peer.socket.resetAndDestroy();
        }
      }),
    );
    await until("files to be closed", () =>
      files().every((now, index) => now <= (filesBefore[index] ?? 0) + 2),
    );
    await until("Redis to be left", async () => (await rs5Channels()) === 0, 60_000);
    await until("topics and connections to be closed", async () => {
      const metrics = await abused.server.metrics();
      return gauges.every((name, index) => metrics.sum(name) <= (gaugesBefore[index] ?? 0));
    });
    const isBack = async (): Promise<boolean> =>
      [...(await abused.keptBytes())].every(
        ([pid, bytes]) => bytes < (keptBefore.get(pid) ?? 0) * 1.05 + 3 * megabyte,
      );
    await until("memory to be back", isBack, 60_000);
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
    for (const peer of crowd) if (!peer.isClosed) peer.send(handshake({}));
    await until("refusals to be counted", async () => {
      return (await server.metrics()).sum("tapecast_handshakes_refused_total", { reason: "sockets" }) > 0;
    });
    await until("refusals to be told", () => crowd.some((peer) => peer.text.startsWith("HTTP/1.1 503 ")));
    expect((await get(`${server.admin}/healthz`)).status).toBe(200);
    const isAlive = () =>
      get(`${server.http}/healthz`).then(
        ({ status }) => status === 200,
        () => false,
      );
    await until("it to be said on the public port too", isAlive);
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
      // Before more comes: a reader that is behind as far as the frozen ones may be the one that waited longest.
      for (const end = published + 10; published < end;) expect((await fast.json()).seq).toBe(++published);
      expect((await server.metrics()).sum("tapecast_pending_bytes")).toBeLessThanOrEqual(4 * megabyte);
    }
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
  "RS8 errors of all kinds without end, logged at debug: each counted, ten lines a second and 1 MB a minute at most",
  { timeout: 120_000 },
  async () => {
    await using server = await Server.start({
      sets: { ...onRedis(redisUrl(), uniquePrefix()), "log.level": "debug" },
    });
    const linesOf = (): number => server.process.stdout.split("\n").length;
    const [linesBefore, bytesBefore] = [linesOf(), server.process.stdout.length];
    const each = 100 * scale;
    const startMs = performance.now();
    const closed = async (bytes: Uint8Array, target = "/ws"): Promise<void> => {
      const peer = await RawPeer.upgrade(server.http, target, bytes);
      await peer.until(() => peer.isEnded || peer.isClosed, 10_000);
      peer.socket.destroy();
    };
    const kinds: readonly (() => Promise<unknown>)[] = [
      () => closed(frame(0x83, "x")),
      () => closed(frame(0x81, Buffer.of(0xff)), "/echo"),
      () => closed(frame(0x81, "", { claims: 2n ** 40n }), "/raw/quote.A"),
      () => closed(Buffer.concat([1, 2, 3].map(() => text("no command")))),
      () => answerTo(server.http, handshake({ "Sec-WebSocket-Key": "x" }), 50),
      () => answerTo(server.http, "\u0016\u0003\u0001 no HTTP\r\n\r\n", 50),
      () => get(`${server.http}/api/topics/no such topic`.replaceAll(" ", "%20")),
      () => publish(server.http, "quote.A", "{not json"),
    ];
    const queue = Array.from({ length: each }, () => kinds).flat();
    await Promise.all(
      Array.from({ length: 40 }, async () => {
        for (let act = queue.shift(); act !== undefined; act = queue.shift()) await act();
      }),
    );
    const seconds = Math.ceil((performance.now() - startMs) / 1000) + 1;
    expect(linesOf() - linesBefore).toBeLessThanOrEqual(10 * seconds);
    expect(server.process.stdout.length - bytesBefore).toBeLessThan((megabyte / 60) * seconds + 10_000);
    await until("all to be counted", async () => {
      const metrics = await server.metrics();
      const closedFor = (reason: string): number =>
        metrics.sum("tapecast_connections_closed_total", { reason });
      return (
        closedFor("protocol_error") >= each &&
        closedFor("invalid_payload") >= each &&
        closedFor("too_big") >= each &&
        closedFor("too_many_errors") >= each &&
        metrics.sum("tapecast_handshakes_refused_total", { reason: "bad_key" }) >= each &&
        metrics.sum("tapecast_http_client_errors_total") >= each &&
        metrics.sum("tapecast_http_publishes_refused_total", { code: "bad_request" }) >= each
      );
    });
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
