/** Starting, ending, dying: no signal leaves a process behind, and no death takes more with it than it must. */
import { createServer, type Server as NetServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { onBothWorkers } from "./both-workers.ts";
import { get, publish } from "./http.ts";
import { Peer } from "./peer.ts";
import { Running, tapecast, isAlive } from "./run.ts";
import { Server, serveArguments } from "./server.ts";
import { until } from "./until.ts";

const started: Server[] = [];

async function start(options: Parameters<typeof Server.start>[0] = {}): Promise<Server> {
  const server = await Server.start(options);
  started.push(server);
  return server;
}

afterEach(async () => {
  for (const server of started.splice(0)) await server[Symbol.asyncDispose]();
});

describe("the start of a server", () => {
  it("every worker's metrics are there as soon as its address is announced", async () => {
    const server = await start();
    expect([...(await server.metrics()).byWorker("tapecast_connections_open").keys()].toSorted()).toEqual([
      "0",
      "1",
    ]);
  });
});

describe("the end of a server", () => {
  it.each([
    { row: "SIGTERM to the process", end: (server: Server) => server.process.signal("SIGTERM") },
    {
      row: "Ctrl-C: SIGINT to the whole group",
      end: (server: Server) => server.process.signalGroup("SIGINT"),
    },
    { row: "SIGTERM to the whole group", end: (server: Server) => server.process.signalGroup("SIGTERM") },
  ])("$row: clients get `closing`, then 4000; exit code 0, nobody left", async ({ end }) => {
    const server = await start();
    const native = await Peer.native(server.ws);
    const others = [await Peer.open(`${server.ws}/raw/quote.X`), await Peer.open(`${server.ws}/echo`)];
    expect(server.workerPids()).toHaveLength(2);
    end(server);
    const closing = await native.json();
    expect(closing).toMatchObject({ event: "closing", reason: "restart" });
    expect(closing.reconnectAfterMs).toBeGreaterThan(0);
    for (const peer of [native, ...others]) {
      expect(await peer.ended).toMatchObject({ code: 4000, reason: "restart", problem: null });
    }
    expect(await server.process.end()).toEqual({ code: 0, signal: null });
    await server.expectNobodyLeft();
    expect(server.process.stderr).toBe("");
  });

  it("a client that does not answer the close frame does not hold it up for longer than the drain may take", async () => {
    const server = await start({ sets: { "shutdown.drainTimeoutMs": 500 } });
    const peer = await Peer.native(server.ws);
    peer.client.pause();
    const startMs = performance.now();
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    expect(performance.now() - startMs).toBeLessThan(4000);
    peer.client.destroy();
  });

  it("a second Ctrl-C ends it at once", async () => {
    const server = await start({ sets: { "shutdown.drainTimeoutMs": 60_000 } });
    const peer = await Peer.native(server.ws);
    peer.client.pause();
    server.process.signalGroup("SIGINT");
    await until("the first to be heard", () => server.process.stdout.includes("shutting down"));
    server.process.signalGroup("SIGINT");
    expect(await server.process.end(5000)).toEqual({ code: 130, signal: null });
    await server.expectNobodyLeft();
    peer.client.destroy();
  });

  it.each([
    { row: "SIGTERM to npm", end: (npm: Running) => npm.signal("SIGTERM") },
    { row: "Ctrl-C", end: (npm: Running) => npm.signalGroup("SIGINT") },
  ])("npm start passes its arguments on, and $row ends all of it", { timeout: 60_000 }, async ({ end }) => {
    const npm = new Running("npm", [
      "start",
      "--",
      "--set",
      "listen.host=127.0.0.1",
      "--set",
      "listen.port=0",
      "--set",
      "admin.port=0",
    ]);
    try {
      const server = await Server.attach(npm);
      expect(server.http).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/u);
      const health = await get(`${server.http}/healthz`);
      expect(health.status).toBe(200);
      end(npm);
      await npm.end();
      await until("no process to be left", () => npm.group().length === 0, 5000);
    } finally {
      await npm.kill();
    }
  });
});

describe("the death of a worker", () => {
  // The second one dies after the first one's replacement was started and before it listens. The port that the system
  // had chosen (listen.port 0) was lost then, and pages that were open found nobody any more.
  it("all of them, one shortly after the other: the server comes back on its port", async () => {
    const server = await start();
    const [first = 0, second = 0] = server.workerPids();
    process.kill(first, "SIGKILL");
    await until("the replacement to be started", () =>
      server.workerPids().some((pid) => pid !== first && pid !== second),
    );
    process.kill(second, "SIGKILL");
    const isBack = async (): Promise<boolean> => {
      const answer = await get(`${server.http}/healthz`).catch(() => null);
      return answer?.status === 200 && server.workerPids().length === 2;
    };
    await until("the server on its old port", isBack, 15_000);
    await until("it to be ready", async () => (await get(`${server.admin}/readyz`)).status === 200);
  });

  it("it is replaced, clients of the other notice nothing, and history survives", async () => {
    const server = await start();
    await publish(server.http, "chat.lobby", '"before"');
    const peers = await onBothWorkers(server, () => Peer.native(server.ws), 6);
    await Promise.all(peers.map((peer) => peer.subscribe("chat.lobby")));
    const [victim = 0, survivor = 0] = server.workerPids();
    process.kill(victim, "SIGKILL");
    await until("the replacement", () => server.workerPids().length === 2 && !isAlive(victim));
    expect(server.workerPids()).toContain(survivor);
    await until("it to be ready", async () => (await get(`${server.admin}/readyz`)).status === 200);

    await publish(server.http, "chat.lobby", '"after"');
    const outcomes = await Promise.all(
      peers.map((peer) => Promise.race([peer.json(), peer.ended.then(({ code }) => ({ closed: code }))])),
    );
    const cut = outcomes.filter((outcome) => "closed" in outcome);
    const alive = outcomes.filter((outcome) => !("closed" in outcome));
    expect(cut).not.toEqual([]);
    expect(cut).toEqual(cut.map(() => ({ closed: 1006 })));
    expect(alive).not.toEqual([]);
    expect(alive).toEqual(alive.map(() => ({ topic: "chat.lobby", seq: 2, data: "after" })));

    // The new worker has fewer than its share: some of these are its own.
    for (const peer of await onBothWorkers(server, () => Peer.native(server.ws), 4)) {
      const { result } = await peer.command("history", { topic: "chat.lobby", limit: 10 });
      expect(result?.messages).toEqual([
        { seq: 1, data: "before" },
        { seq: 2, data: "after" },
      ]);
      await peer.close();
    }
    expect((await server.metrics()).sum("tapecast_worker_restarts_total", { cause: "exited" })).toBe(1);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });
});

describe("the death of the primary", () => {
  it("workers end by themselves", async () => {
    const server = await start();
    const peer = await Peer.native(server.ws);
    server.process.signal("SIGKILL");
    await server.process.end();
    await until("the workers to end", () => server.process.group().length === 0, 5000);
    expect(await peer.ended).toMatchObject({ code: 1006 });
  });
});

describe("an address that cannot be had", () => {
  it.each([{ key: "listen.port" }, { key: "admin.port" }])(
    "$key in use: one clear line, exit code 69",
    async ({ key }) => {
      const taken = createServer();
      const port = await listen(taken);
      try {
        const { code, stdout, stderr } = await tapecast(serveArguments({ sets: { [key]: port } }));
        expect(stderr.trimEnd().split("\n")).toHaveLength(1);
        expect(stderr).toContain(String(port));
        expect(stderr).toMatch(/in use/u);
        expect(stdout).not.toContain("listening");
        expect(code).toBe(69);
      } finally {
        taken.close();
      }
    },
  );
});

function listen(server: NetServer): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("no port"));
      else resolve(address.port);
    });
  });
}
