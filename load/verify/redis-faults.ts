/** Faults of a Redis that stands alone: killed, stopped, emptied, cut off, out of reach, and spoken nonsense by. */
import { redisFault, sleep, type Fault } from "./fault.ts";

/** What no publisher of ours says: no JSON, envelopes that are none, too large. As a fault of a program next door would. */
const poison = [
  "",
  "{",
  "nul",
  "@",
  "@1-",
  "@1-2 ",
  "@99999999999999999999-1 {}",
  "@1-99999999999999999999 1",
  "~ 1",
  "\u0001",
  "[".repeat(5000),
  `"${"x".repeat(70_000)}"`,
];

/** See the file head. */
export const redisFaults: readonly Fault[] = [
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
    redis.doubt.begin("emptied");
    await redis.ask((client) => client.flushall());
    redis.doubt.end();
  }),
  {
    name: "redis-black-hole",
    title: "nothing arrives at Redis or comes from it for 3 to 8 s; then all of it, or cut connections",
    brokers: ["redis"],
    run: async ({ redisNetwork, random }) => {
      if (redisNetwork === null) throw new Error("redis-black-hole needs a network of its own to Redis");
      redisNetwork.hold();
      await sleep(random.int(3000, 8000));
      // What was under way arrives late, also what its sender has long given up; or nobody knows these connections any more.
      redisNetwork.release(random.next() < 0.5);
    },
  },
  redisFault("bus-poison", "12 messages on a topic's channel that are none", async (redis, { subjects }) => {
    await redis.ask(async (client) => {
      for (const { books, redisPrefix } of subjects)
        for (const { name } of books.topics.slice(0, 2))
          for (const message of poison) await client.publish(`${redisPrefix}${name}`, message);
    });
  }),
];
