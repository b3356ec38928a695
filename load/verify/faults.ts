/**
 * The faults, one function each: hurts what it names, waits until that is whole again, and returns. Whatever is done
 * to servers, clients or publishers is done to every subject at the same moment; there is one Redis for all.
 */
import { connect } from "node:net";
import type { OwnRedis } from "./own-redis.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { Subject } from "./subject.ts";

/** What a fault can hurt. */
export interface FaultWorld {
  /** null with the memory broker. */
  readonly redis: OwnRedis | null;
  readonly subjects: readonly Subject[];
  readonly random: SeededRandom;
  /** Connections that one client-cut cuts. */
  readonly cutCount: number;
}

export interface Fault {
  readonly name: string;
  /** For people, in the report. */
  readonly title: string;
  readonly needsRedis: boolean;
  run(world: FaultWorld): Promise<void>;
}

/** How long a replaced worker or a returning crowd is waited for. */
const patienceMs = 40_000;

export const faults: readonly Fault[] = [
  redisFault("redis-kill", "every connection to Redis killed (CLIENT KILL)", async (redis) => {
    await redis.ask(async (client) => {
      for (const type of ["pubsub", "normal"]) await client.call("CLIENT", "KILL", "TYPE", type);
    });
  }),
  redisFault(
    "redis-pubsub-kill",
    "subscribers' connections killed (CLIENT KILL TYPE pubsub)",
    async (redis) => {
      await redis.ask((client) => client.call("CLIENT", "KILL", "TYPE", "pubsub"));
    },
  ),
  redisFault(
    "redis-output-kill",
    "subscribers cut off by Redis for their output buffer",
    async (redis, { subjects }) => {
      await redis.ask(async (client) => {
        const [, limitBefore = ""] = (await client.config("GET", "client-output-buffer-limit")) as string[];
        await client.config("SET", "client-output-buffer-limit", "pubsub 32kb 0 0");
        // In one transaction Redis has no chance to write between two of them.
        const burst = client.multi();
        const filling = JSON.stringify({ n: 0, t: 0, fill: "x".repeat(8000) });
        const topic = subjects[0]?.books.topics[0]?.name ?? "";
        for (const { redisPrefix } of subjects) {
          for (let index = 0; index < 8; index++) burst.publish(`${redisPrefix}${topic}`, filling);
        }
        await burst.exec();
        await client.config("SET", "client-output-buffer-limit", limitBefore);
      });
    },
  ),
  redisFault(
    "redis-restart",
    "Redis killed (SIGKILL), back after 1, 3 or 5 s with its data",
    async (redis, world) => {
      await redis.kill();
      await sleep([1000, 3000, 5000][world.random.int(0, 2)] ?? 1000);
      await redis.up();
    },
  ),
  redisFault("redis-restart-30", "Redis killed (SIGKILL), back after 30 s with its data", async (redis) => {
    await redis.kill();
    await sleep(30_000);
    await redis.up();
  }),
  redisFault("redis-pause", "CLIENT PAUSE for 0.5 to 3 s", async (redis, { random }) => {
    const ms = random.int(500, 3000);
    await redis.ask((client) => client.call("CLIENT", "PAUSE", ms, "ALL"));
    await sleep(ms);
  }),
  redisFault(
    "redis-mute",
    "Redis accepts and never answers for 3 to 6 s (SIGSTOP)",
    async (redis, { random }) => {
      redis.freeze();
      await sleep(random.int(3000, 6000));
      redis.thaw();
    },
  ),
  redisFault("redis-flush", "FLUSHALL: everything stored is lost, new epochs", async (redis) => {
    redis.lossCount++;
    await redis.ask((client) => client.flushall());
    redis.lossCount++;
  }),
  serverFault("worker-kill", "a worker killed (SIGKILL)", async ({ random }, subject) => {
    const [pid] = random.some(subject.workerPids(), 1);
    if (pid !== undefined) signal(pid, "SIGKILL");
  }),
  serverFault(
    "worker-freeze",
    "a worker stands still (SIGSTOP) until it is replaced",
    async ({ random }, subject) => {
      const [pid] = random.some(subject.workerPids(), 1);
      if (pid === undefined) return;
      signal(pid, "SIGSTOP");
      const isReplaced = await until(() => !subject.workerPids().includes(pid), 15_000);
      // Nobody watches over the control's workers: theirs goes on as it was.
      if (!isReplaced) signal(pid, "SIGCONT");
    },
  ),
  serverFault("rolling-restart", "every worker replaced, one by one (SIGHUP)", async (_world, subject) => {
    const old = subject.workerPids();
    signal(subject.server.pid, "SIGHUP");
    const isDone = await until(() => {
      const now = subject.workerPids();
      return now.length === old.length && now.every((pid) => !old.includes(pid));
    }, patienceMs);
    if (!isDone) throw new Error(`${subject.name}: workers were not replaced within ${patienceMs / 1000} s`);
  }),
  serverFault(
    "client-cut",
    "connections cut at a random byte, in both directions",
    async (world, subject) => {
      const { random, cutCount } = world;
      const links = subject.proxy.some(cutCount, random);
      for (const link of links) link.cutAfter(random.int(1, 700), random.next() < 0.7 ? "client" : "server");
      await until(() => links.every(({ isOver }) => isOver), 3000);
      // A client says little: those that wait for its next byte are cut now.
      for (const link of links) if (!link.isOver) link.cut();
    },
  ),
  serverFault(
    "client-mute",
    "connections that carry nothing any more and do not end",
    async ({ random }, subject) => {
      const links = subject.proxy.some(10, random);
      for (const link of links) link.mute();
      const areFreed = await until(() => links.every(({ isOver }) => isOver), patienceMs);
      if (!areFreed) throw new Error(`${subject.name}: half-open connections were not freed`);
    },
  ),
  serverFault("client-freeze", "clients that read nothing for 2 to 9 s", async ({ random }, subject) => {
    const ms = random.int(2000, 9000);
    for (const client of random.some(subject.clients, Math.ceil(subject.clients.length / 10)))
      client.freeze(ms);
    await sleep(ms);
  }),
  serverFault("client-herd", "nine clients of ten cut at once", async ({ random }, subject) => {
    const count = Math.floor(subject.clients.length * 0.9);
    for (const client of random.some(subject.clients, count)) client.cut();
    await sleep(200);
    await until(() => subject.connectedCount === subject.clients.length, patienceMs);
  }),
  serverFault(
    "front-door-resets",
    "100 connections that are reset in the middle of a handshake",
    async ({ random }, subject) => {
      const { port } = new URL(subject.server.url);
      for (let index = 0; index < 100; index++) {
        const socket = connect(Number(port), "127.0.0.1");
        socket.on("error", () => undefined);
        const head = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
        socket.write(head.slice(0, random.int(1, head.length)));
        socket.once("connect", () => setTimeout(() => socket.resetAndDestroy(), random.int(0, 20)));
      }
      await sleep(200);
    },
  ),
];

function redisFault(
  name: string,
  title: string,
  hurt: (redis: OwnRedis, world: FaultWorld) => Promise<unknown>,
): Fault {
  return {
    name,
    title,
    needsRedis: true,
    run: async (world) => {
      if (world.redis === null) throw new Error(`${name} needs --broker redis`);
      await hurt(world.redis, world);
    },
  };
}

function serverFault(
  name: string,
  title: string,
  hurt: (world: FaultWorld, subject: Subject) => Promise<void>,
): Fault {
  return {
    name,
    title,
    needsRedis: false,
    run: async (world) => {
      await Promise.all(world.subjects.map((subject) => hurt(world, subject)));
    },
  };
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself a moment ago.
  }
}

/** Whether it came true within `ms`. */
export async function until(isSo: () => boolean, ms: number): Promise<boolean> {
  const deadlineMs = performance.now() + ms;
  while (!isSo()) {
    if (performance.now() > deadlineMs) return false;
    await sleep(20);
  }
  return true;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, Math.max(0, ms));
  });
}
