/**
 * Redis goes away in four ways under a running server. Whatever the way: publishes are answered 503 within 2 s, clients
 * stay connected, memory stays flat, /readyz says why within 5 s, and delivery is back within 5 s of Redis's return.
 * How the broker itself takes these faults is in test/broker/redis-faults.test.ts.
 */
import { Agent } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { ask, get, publish } from "../e2e/http.ts";
import { Peer } from "../e2e/peer.ts";
import { redisCli } from "../e2e/run.ts";
import { onRedis, Server } from "../e2e/server.ts";
import { delay, until } from "../e2e/until.ts";
import { startRedisServer, type RedisServer } from "../setup/redis-server.ts";
import { TcpProxy } from "./tcp-proxy.ts";

let redis: RedisServer | null = null;
let proxy: TcpProxy | null = null;

afterEach(async () => {
  await proxy?.stop();
  await redis?.stop();
  [redis, proxy] = [null, null];
});

/** A way for Redis to be away. `begin` resolves with what brings it back. */
interface Way {
  readonly name: string;
  readonly begin: (redis: RedisServer, proxy: TcpProxy) => Promise<() => Promise<void> | void>;
  /** What it held is gone with it. */
  readonly losesData: boolean;
}

const ways: readonly Way[] = [
  {
    name: "killed, and back with nothing in it",
    losesData: true,
    begin: async (server) => {
      const { port } = server;
      await server.kill();
      return async () => {
        redis = await startRedisServer({ port });
      };
    },
  },
  {
    name: "accepts and never answers (SIGSTOP)",
    losesData: false,
    begin: async (server) => {
      server.freeze();
      return () => server.thaw();
    },
  },
  {
    name: "CLIENT PAUSE",
    losesData: false,
    begin: async (server) => {
      await redisCli(server.url, "CLIENT", "PAUSE", "15000", "ALL");
      return async () => {
        // Answered when the pause is over: UNPAUSE would wait for that as well.
        await redisCli(server.url, "PING");
      };
    },
  },
  {
    name: "a black hole in the network",
    losesData: false,
    begin: async (_server, hole) => {
      hole.swallow();
      return () => hole.heal();
    },
  },
];

/** Publishes without a pause, 40 at a time, and expects to be refused each time. @returns bytes of all workers after it. */
async function hammer(server: Server, ms: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 40 });
  const body = JSON.stringify({ topic: "quote.A", data: "x".repeat(10_000) });
  const headers = { "content-type": "application/json" };
  const statuses = new Set<number>();
  const untilMs = performance.now() + ms;
  const stubborn = Array.from({ length: 40 }, async () => {
    while (performance.now() < untilMs) {
      const startMs = performance.now();
      statuses.add((await ask(`${server.http}/api/publish`, { body, headers, agent })).status);
      expect(performance.now() - startMs).toBeLessThan(3500);
      await delay(20);
    }
  });
  await Promise.all(stubborn);
  agent.destroy();
  expect([...statuses]).toEqual([503]);
  // Figures are pushed each second.
  await delay(1100);
  return (await server.metrics()).sum("tapecast_resident_memory_bytes");
}

describe.each(ways)("Redis is away: $name", ({ begin, losesData }) => {
  it(
    "everybody is told in time, nobody is sent away, and all goes on when it is back",
    { timeout: 90_000 },
    async () => {
      redis = await startRedisServer();
      proxy = await TcpProxy.start(redis.port);
      await using server = await Server.start({
        sets: onRedis(`redis://127.0.0.1:${proxy.port}`, "away:"),
      });
      const peers = await Promise.all(Array.from({ length: 6 }, () => Peer.native(server.ws)));
      for (const peer of peers) await peer.subscribe("quote.A");
      expect((await publish(server.http, "quote.A", '"before"')).status).toBe(200);
      for (const peer of peers) expect(await peer.json()).toMatchObject({ data: "before" });

      const awayMs = performance.now();
      const comeBack = await begin(redis, proxy);
      const first = await publish(server.http, "quote.A", '"lost"');
      expect(first.status).toBe(503);
      expect(performance.now() - awayMs, "the answer to a publish").toBeLessThan(2700);
      await until("/readyz to say so", async () => (await get(`${server.admin}/readyz`)).status === 503);
      expect(performance.now() - awayMs, "/readyz").toBeLessThan(6000);
      expect((await get(`${server.admin}/readyz`)).text).toMatch(/worker \d: redis:\/\/127\.0\.0\.1/u);

      // Publishers that do not give up: each is answered, and nothing piles up. The first round warms the heaps.
      const warmBytes = await hammer(server, 2000);
      const laterBytes = await hammer(server, 3000);
      expect(laterBytes - warmBytes, "growth of memory").toBeLessThan(60 * 1024 * 1024);
      expect(peers.map(({ client }) => client.state)).toEqual(peers.map(() => "open"));

      await comeBack();
      const backMs = performance.now();
      let stored: { readonly status: number } = { status: 0 };
      await until("a publish to be taken", async () => {
        stored = await publish(server.http, "quote.A", '"after"');
        return stored.status === 200;
      });
      const outcomes = peers.map(async (peer) => {
        for (;;) {
          const outcome = await Promise.race([peer.json(), peer.ended]);
          if ("code" in outcome) return outcome.code;
          // What was answered 503 may have been stored nevertheless.
          if (outcome.data === "after") return "after";
        }
      });
      const expected = losesData ? 4003 : "after";
      expect(await Promise.all(outcomes)).toEqual(peers.map(() => expected));
      expect(performance.now() - backMs, "delivery after the return").toBeLessThan(7000);
      await until("/readyz to be well", async () => (await get(`${server.admin}/readyz`)).status === 200);
      for (const peer of peers) peer.client.destroy();
      expect(await server.stop()).toEqual({ code: 0, signal: null });
    },
  );
});

describe("FLUSHALL under readers of every kind", () => {
  it(
    "closes whoever was told positions, who resumes and learns the new epoch; /raw goes on",
    { timeout: 60_000 },
    async () => {
      redis = await startRedisServer();
      await using server = await Server.start({ sets: onRedis(redis.url, "flush:") });
      const topics = ["quote.A", "chat.a", "danmaku.a"];
      const positions = new Map<string, { readonly epoch?: string; readonly seq?: number }>();
      const peers = await Promise.all(
        topics.map(async (topic) => {
          for (const data of ["1", "2", "3"]) await publish(server.http, topic, data);
          const peer = await Peer.native(server.ws);
          const { epoch, seq } = await peer.subscribe(topic);
          positions.set(topic, { ...(epoch === undefined ? {} : { epoch }), seq: seq ?? 0 });
          return peer;
        }),
      );
      const raw = await Peer.open(`${server.ws}/raw/quote.A`);
      expect(await raw.text()).toBe("3");
      await redisCli(redis.url, "FLUSHALL");
      for (const topic of topics) await publish(server.http, topic, "4");
      for (const peer of peers) expect(await peer.ended).toMatchObject({ code: 4003, reason: "history_gap" });
      expect(await raw.text()).toBe("4");
      for (const topic of topics) {
        const peer = await Peer.native(server.ws);
        const state = await peer.subscribe(topic, { since: { [topic]: positions.get(topic) } });
        expect(state).toMatchObject({ recovered: false, seq: 1, data: 4 });
        expect(state.epoch).not.toBe(positions.get(topic)?.epoch);
        await publish(server.http, topic, "5");
        expect(await peer.json()).toEqual({ topic, seq: 2, data: 5 });
        await peer.close();
      }
      await raw.close();
    },
  );
});

describe("poison on the bus", () => {
  it(
    "is dropped and counted; no worker dies of it, and what follows arrives",
    { timeout: 60_000 },
    async () => {
      redis = await startRedisServer();
      await using server = await Server.start({ sets: onRedis(redis.url, "poison:") });
      const pids = server.workerPids();
      const peers = await Promise.all(Array.from({ length: 4 }, () => Peer.native(server.ws)));
      const [first] = await Promise.all(peers.map((peer) => peer.subscribe("chat.a")));
      await publish(server.http, "chat.a", '"good"');
      const poison = ["", "{", "@", "@1-", "@1-2 ", "@99999999999999999999-1 {}", "@1-99999999999999999999 1", "~ 1", "\u0001", "nul", "[".repeat(5000), `"${"x".repeat(70_000)}"`]; // prettier-ignore
      for (const message of poison) await redisCli(redis.url, "PUBLISH", "poison:chat.a", message);
      // In the stream too, where whoever opens the topic finds it.
      await redisCli(redis.url, "XADD", "poison:log:chat.a", `${first?.epoch}-*`, "anything", "at all");
      await redisCli(redis.url, "XADD", "poison:log:chat.a", `${first?.epoch}-*`, "t", "no time", "d", "{");
      await redisCli(redis.url, "SET", "poison:log:chat.string", "no stream");
      const late = await Peer.native(server.ws);
      const reply = await late.command("subscribe", { topics: ["chat.string"] });
      expect(reply.result?.errors).toMatchObject({ "chat.string": { code: "unavailable" } });
      const { epoch, seq } = await late.subscribe("chat.a");
      // All four clients may be on one worker, and each worker that has the topic counts for itself.
      await until("all of it to be counted", async () => {
        return (await server.metrics()).sum("tapecast_broker_rejected_total") >= poison.length;
      });
      expect((await publish(server.http, "chat.a", '"after"')).results()).toMatchObject([{ seq: 4 }]);
      // Entries that cannot be had are a hole in an `every` topic: whoever was to get them is closed and told.
      // The late one too, unless its worker opened the topic for it and began behind them.
      for (const peer of seq === 3 ? peers : [...peers, late]) {
        for (let isOpen = true; isOpen;) {
          const outcome = await Promise.race([peer.json(), peer.ended]);
          isOpen = !("code" in outcome);
          if (!isOpen) expect(outcome).toMatchObject({ code: 4003 });
          else expect(outcome).toMatchObject({ topic: "chat.a" });
        }
      }
      if (seq === 3) expect(await late.json()).toMatchObject({ topic: "chat.a", seq: 4, data: "after" });
      const again = await Peer.native(server.ws);
      const state = await again.subscribe("chat.a", { since: { "chat.a": { epoch, seq: 1 } } });
      expect(state).toMatchObject({ recovered: false, epoch, seq: 4, data: "after" });
      expect(server.workerPids()).toEqual(pids);
      for (const peer of [...peers, late, again]) peer.client.destroy();
    },
  );
});
