/** A server whose Redis is missing: it starts, says so, and serves as soon as Redis is there. */
import { afterEach, describe, expect, it } from "vitest";
import { freePort, startRedisServer, type RedisServer } from "../setup/redis-server.ts";
import { get, publish, publishLines } from "./http.ts";
import { Peer } from "./peer.ts";
import { onRedis, Server } from "./server.ts";
import { delay, until } from "./until.ts";

let redis: RedisServer | null = null;

afterEach(async () => {
  await redis?.stop();
  redis = null;
});

describe("Redis is missing when the server starts", () => {
  it(
    "everybody is told; when it appears everything works without a restart",
    { timeout: 60_000 },
    async () => {
      const port = await freePort();
      await using server = await Server.start({
        sets: onRedis(`redis://:secret-canary@127.0.0.1:${port}`, "away:"),
      });

      const ready = await get(`${server.http}/readyz`);
      expect(ready.status).toBe(503);
      // Where Redis is and what it said is nobody's business on the public port.
      expect(ready.text).not.toContain(String(port));
      const inside = await get(`${server.admin}/readyz`);
      expect(inside.status).toBe(503);
      expect(inside.text).toContain(`127.0.0.1:${port}`);
      expect(inside.text).toContain("ECONNREFUSED");
      expect((await get(`${server.http}/healthz`)).status, "it lives").toBe(200);

      const publishStartMs = performance.now();
      const refused = await publish(server.http, "chat.a", "1");
      expect(performance.now() - publishStartMs).toBeLessThan(3000);
      expect(refused.status).toBe(503);
      expect(refused.json()).toMatchObject({ error: { code: "unavailable" } });
      expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
      expect((await publishLines(server.http, ['{"topic":"chat.a","data":1}'])).status).toBe(503);
      expect((await get(`${server.http}/api/topics/chat.a`)).status).toBe(503);

      const raw = await Peer.open(`${server.ws}/raw/chat.a`);
      const peer = await Peer.native(server.ws);
      const askedMs = performance.now();
      const reply = await peer.command("subscribe", { topics: ["chat.a"] });
      // Within 4 s; less tells nothing on a busy machine, and 5 s is what it once took.
      expect(performance.now() - askedMs, "the answer to a subscribe").toBeLessThan(4800);
      expect(reply.result?.errors).toMatchObject({ "chat.a": { code: "unavailable", temporary: true } });
      expect(await peer.command("publish", { topic: "chat.a", data: 1 })).toMatchObject({
        error: { code: "unavailable", temporary: true },
      });
      expect(await raw.ended).toMatchObject({ code: 1013 });

      redis = await startRedisServer({ port, args: ["--requirepass", "secret-canary"] });
      await until("the server to be ready", async () => (await get(`${server.admin}/readyz`)).status === 200);
      const readyAgain = await get(`${server.http}/readyz`);
      expect(readyAgain.status).toBe(200);
      const state = await peer.subscribe("chat.a");
      expect(state).toMatchObject({ seq: 0 });
      expect((await publish(server.http, "chat.a", '"at last"')).results()).toMatchObject([{ seq: 1 }]);
      expect(await peer.json()).toEqual({ topic: "chat.a", seq: 1, data: "at last" });
      await peer.close();
      expect(server.process.stdout + server.process.stderr).not.toContain("secret-canary");
      expect((await server.metrics()).text).not.toContain("secret-canary");
      expect(await server.stop()).toEqual({ code: 0, signal: null });
    },
  );
});

describe("Redis goes away under a running server", () => {
  it("subscribers stay, are told the truth, and go on when it is back", { timeout: 60_000 }, async () => {
    redis = await startRedisServer();
    const { port } = redis;
    await using server = await Server.start({ sets: onRedis(redis.url, "back:") });
    const peers = [await Peer.native(server.ws), await Peer.native(server.ws), await Peer.native(server.ws)];
    const first = await Promise.all(peers.map((peer) => peer.subscribe("chat.a")));
    await publish(server.http, "chat.a", '"one"');
    for (const peer of peers) expect(await peer.json()).toMatchObject({ seq: 1, data: "one" });

    await redis.kill();
    await until(
      "the cluster not to be ready",
      async () => (await get(`${server.admin}/readyz`)).status === 503,
    );
    expect((await publish(server.http, "chat.a", '"lost"')).status).toBe(503);
    // With nothing in it: the log that comes is another one, with an epoch of its own.
    redis = await startRedisServer({ port });
    await until("the cluster to be ready", async () => (await get(`${server.admin}/readyz`)).status === 200);
    const [again] = (await publish(server.http, "chat.a", '"two"')).results();
    expect(again).toMatchObject({ seq: 1 });
    expect(again?.epoch).not.toBe(first[0]?.epoch);
    for (const peer of peers) {
      // An `every` topic whose history is gone: silence would be a lie, so the connection is closed with 4003 or the
      // publication of the new epoch comes.
      const outcome = await Promise.race([peer.json(), peer.ended]);
      if ("code" in outcome) expect(outcome).toMatchObject({ code: 4003 });
      else expect(outcome).toMatchObject({ event: "lost" });
    }
    for (const peer of peers) peer.client.destroy();
    expect(server.workerPids()).toHaveLength(2);
    const late = await Peer.native(server.ws);
    expect(await late.subscribe("chat.a")).toMatchObject({ epoch: again?.epoch, seq: 1, data: "two" });
    await late.close();
  });
});

describe("a publish that waited for its worker", () => {
  it("is refused 2 s after it came, not 2 s after it was read", { timeout: 60_000 }, async () => {
    redis = await startRedisServer();
    await using server = await Server.start({ sets: { ...onRedis(redis.url, "late:"), workers: 1 } });
    expect((await publish(server.http, "chat.a", "1")).status).toBe(200);
    const [pid = 0] = server.workerPids();
    redis.freeze();
    process.kill(pid, "SIGSTOP");
    const refused = publish(server.http, "chat.a", "2");
    await delay(1400);
    process.kill(pid, "SIGCONT");
    const wokenMs = performance.now();
    expect((await refused).status).toBe(503);
    // 1.5 s if its time began anew, and on a busy machine never less.
    expect(performance.now() - wokenMs).toBeLessThan(1300);
    redis.thaw();
    await until(
      "a publish to be stored",
      async () => (await publish(server.http, "chat.a", "3")).status === 200,
    );
    expect(server.workerPids()).toEqual([pid]);
  });
});
