/** Workers die and stand still under a running server; clients of the others notice nothing. */
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { onBothWorkers } from "../e2e/both-workers.ts";
import type { WorkerList } from "../../src/primary/worker-list.ts";
import { get, publish } from "../e2e/http.ts";
import { Peer } from "../e2e/peer.ts";
import { isAlive } from "../e2e/run.ts";
import { Server } from "../e2e/server.ts";
import { delay, until } from "../e2e/until.ts";
import { freePort } from "../setup/redis-server.ts";

const preload = fileURLToPath(new URL("../../load/verify/throw-on-signal.mjs", import.meta.url));

/** Peers on chat.a, on both workers. */
async function readers(server: Server, count: number): Promise<Peer[]> {
  const peers = await onBothWorkers(server, () => Peer.native(server.ws), count);
  await Promise.all(peers.map((peer) => peer.subscribe("chat.a")));
  return peers;
}

/** Which of them got this message; the others ended. */
async function outcomesOf(peers: readonly Peer[]): Promise<unknown[]> {
  const outcomes = peers.map((peer) =>
    Promise.race([peer.json(), peer.ended.then(({ code }) => ({ code }))]),
  );
  return Promise.all(outcomes);
}

describe("an uncaught error in a worker", () => {
  it("is logged, ends this worker alone, and the next one takes its place", { timeout: 60_000 }, async () => {
    await using server = await Server.start({ env: { NODE_OPTIONS: `--import=${preload}` } });
    const peers = await readers(server, 6);
    const [victim = 0, other = 0] = server.workerPids();
    process.kill(victim, "SIGUSR2");
    await until("the replacement", () => !isAlive(victim) && server.workerPids().length === 2);
    expect(server.workerPids()).toContain(other);
    await until("it to be ready", async () => (await get(`${server.admin}/readyz`)).status === 200);
    expect(server.process.stdout).toMatch(/"level":"fatal".*planted: an error that nobody catches/u);
    expect(server.process.stdout).toMatch(/worker ended; starting it again/u);
    await publish(server.http, "chat.a", '"after"');
    const outcomes = await outcomesOf(peers);
    const cut = outcomes.filter((each) => JSON.stringify(each) === '{"code":1006}');
    expect(cut.length).toBeGreaterThan(0);
    expect(cut.length).toBeLessThan(peers.length);
    expect(outcomes.filter((each) => JSON.stringify(each).includes('"after"'))).toHaveLength(
      peers.length - cut.length,
    );
    expect((await server.metrics()).sum("tapecast_worker_restarts_total", { cause: "exited" })).toBe(1);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });
});

describe("a worker whose event loop stands still", () => {
  it(
    "is noticed by /readyz, replaced within 10 s and a moment, and its clients come back",
    { timeout: 90_000 },
    async () => {
      await using server = await Server.start();
      const peers = await readers(server, 4);
      const [frozen = 0, other = 0] = server.workerPids();
      const startMs = performance.now();
      process.kill(frozen, "SIGSTOP");
      await until("/readyz to say so", async () => (await get(`${server.admin}/readyz`)).status === 503);
      expect(performance.now() - startMs, "/readyz").toBeLessThan(6000);
      expect((await get(`${server.admin}/readyz`)).text).toMatch(/worker \d: silent for \d+ s/u);
      await until("it to be killed", () => !isAlive(frozen), 20_000);
      expect(performance.now() - startMs, "the end of the frozen one").toBeLessThan(13_000);
      await until("it to be replaced", async () => (await get(`${server.admin}/readyz`)).status === 200);
      expect(server.workerPids()).toContain(other);
      await publish(server.http, "chat.a", '"after"');
      const outcomes = await outcomesOf(peers);
      const cut = outcomes.filter((each) => JSON.stringify(each) === '{"code":1006}');
      expect(cut.length).toBeGreaterThan(0);
      expect(cut.length).toBeLessThan(peers.length);
      const again = await Peer.native(server.ws);
      expect(await again.subscribe("chat.a")).toMatchObject({ seq: 1, data: "after" });
      expect((await server.metrics()).sum("tapecast_worker_restarts_total", { cause: "stalled" })).toBe(1);
      for (const peer of [...peers, again]) peer.client.destroy();
      expect(await server.stop()).toEqual({ code: 0, signal: null });
    },
  );
});

/** The waits before a start that the server has told so far. */
function delaysMs(server: Server): number[] {
  return Array.from(server.process.stdout.matchAll(/"restartInMs":(\d+)/gu), ([, ms]) => Number(ms));
}

/** Kills the one that is not `spared`, and waits until the server has said when it starts the next. */
async function killOne(server: Server, spared: number | null): Promise<void> {
  const count = delaysMs(server).length;
  let pid: number | undefined;
  await until("one to kill", () => {
    pid = server.workerPids().find((each) => each !== spared);
    return pid !== undefined;
  });
  if (pid === undefined) return;
  process.kill(pid, "SIGKILL");
  await until("the server to notice", () => delaysMs(server).length > count);
}

describe("workers that are killed as soon as they listen", () => {
  // Each start was waited for twice as long as the one before, up to half a minute, also when nobody else listened.
  it("the server is away for a second or two each time, no longer", { timeout: 60_000 }, async () => {
    await using server = await Server.start({ sets: { workers: 1 } });
    for (let round = 0; round < 7; round++) await killOne(server, null);
    const isBack = async (): Promise<boolean> =>
      (await get(`${server.http}/healthz`).catch(() => null))?.status === 200;
    await until("it to be back", isBack);
    expect(delaysMs(server)).toHaveLength(7);
    expect(Math.max(...delaysMs(server))).toBeLessThanOrEqual(1000);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });

  it("SIGHUP starts one that waits, at once", { timeout: 60_000 }, async () => {
    await using server = await Server.start();
    const [steady = -1] = server.workerPids();
    while ((delaysMs(server).at(-1) ?? 0) < 3000) await killOne(server, steady);
    server.process.signal("SIGHUP");
    await until("the first start", () => server.workerPids().length > 1, 2500);
    await until("both to be new", () => {
      const pids = server.workerPids();
      return pids.length === 2 && !pids.includes(steady);
    });
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });
});

/** Asks for new workers. @returns the old ones, and the first replacement as it starts. */
async function replacing(server: Server): Promise<{ old: number[]; next: number }> {
  const old = server.workerPids();
  server.process.signal("SIGHUP");
  await until("the replacement to start", () => server.workerPids().length === 3);
  return { old, next: server.workerPids().find((pid) => !old.includes(pid)) ?? 0 };
}

/** How often a new connection is served, of ten. */
async function served(server: Server): Promise<number> {
  const peers = await Promise.all(Array.from({ length: 10 }, () => Peer.native(server.ws)));
  await Promise.all(peers.map((peer) => peer.subscribe("chat.a")));
  await Promise.all(peers.map((peer) => peer.close()));
  return peers.length;
}

describe("a worker that dies while it is being replaced", () => {
  const rounds = 3;

  // The old one's restart was due before its replacement listened, and both stayed: three workers for two places.
  it("leaves as many workers as there were, on the same port", { timeout: 90_000 }, async () => {
    await using server = await Server.start({ sets: { "listen.port": await freePort() } });
    for (let round = 0; round < rounds; round++) {
      const { items } = JSON.parse((await get(`${server.admin}/workers`)).text) as WorkerList;
      const replacedFirst = items.find(({ worker }) => worker === 0)?.pid ?? 0;
      const { old } = await replacing(server);
      expect(old).toContain(replacedFirst);
      process.kill(replacedFirst, "SIGKILL");
      await until("the server to notice", () => delaysMs(server).length > round);
      await until("both to be new", () => {
        const pids = server.workerPids();
        return pids.length === 2 && !pids.some((pid) => old.includes(pid));
      });
      // Longer than a restart that was still due would take.
      await delay(500);
      expect(server.workerPids()).toHaveLength(2);
      expect((await get(`${server.admin}/readyz`)).status).toBe(200);
      expect(await served(server)).toBe(10);
    }
    expect(server.process.stdout).not.toMatch(/EADDRINUSE/u);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });

  it(
    "the old one stays when the new one dies, and the next SIGHUP replaces both",
    { timeout: 60_000 },
    async () => {
      await using server = await Server.start({ sets: { "listen.port": await freePort() } });
      const { old, next } = await replacing(server);
      process.kill(next, "SIGKILL");
      await until("the server to say so", () =>
        /worker not replaced; the old one stays/u.test(server.process.stdout),
      );
      expect(new Set(server.workerPids())).toEqual(new Set(old));
      expect(await served(server)).toBe(10);
      server.process.signal("SIGHUP");
      await until("both to be new", () => {
        const pids = server.workerPids();
        return pids.length === 2 && !pids.some((pid) => old.includes(pid));
      });
      expect(await served(server)).toBe(10);
      expect(await server.stop()).toEqual({ code: 0, signal: null });
    },
  );
});
