/** What the Redis broker promises beyond the shared suite: the contract of PRODUCT.md §6, and messages of strangers. */
import { createServer, type Server } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BrokerError } from "../../src/base/errors.ts";
import type { BrokerTopic } from "../../src/broker/broker.ts";
import { clientOptions } from "../../src/broker/redis-address.ts";
import { RedisCommands } from "../../src/broker/redis-commands.ts";
import { freePort } from "../setup/redis-server.ts";
import { redisUrl } from "../setup/redis-url.ts";
import { bytes, openAndWait, text } from "./recorder.ts";
import { RedisWorld } from "./redis-world.ts";
import { brokerSuite } from "./suite.ts";

brokerSuite("redis", async () => new RedisWorld(redisUrl()));

const chat: BrokerTopic = { name: "chat.a", delivery: "every", history: { size: 100, ttlMs: 60_000 } };
const quote: BrokerTopic = { name: "quote.A", delivery: "latest", history: { size: 1, ttlMs: 60_000 } };

let world: RedisWorld;
beforeEach(() => {
  world = new RedisWorld(redisUrl());
});
afterEach(() => world.stop());

describe("publishing by hand", () => {
  it("redis-cli FCALL tape_publish stores, publishes and returns epoch-seq", async () => {
    const worker = await world.start();
    const { position } = await openAndWait(worker, chat);
    const log = `${world.prefix}log:chat.a`;
    const first = world.cli("FCALL", "tape_publish", "1", log, '{"price":189.30}');
    expect(first).toBe(`${position?.epoch}-1`);
    expect(world.cli("FCALL", "tape_publish", "1", log, '{"price":189.40}', "50", "60000")).toBe(
      `${position?.epoch}-2`,
    );
    await worker.recorder.until(() => worker.recorder.seqs("chat.a").length === 2);
    expect(worker.recorder.texts("chat.a")).toEqual(['{"price":189.30}', '{"price":189.40}']);
    // The position is the stream's own ID.
    const [[id, fields]] = (await world.client().xrange(log, "-", "+", "COUNT", 1)) as [[string, string[]]];
    expect(id).toBe(first);
    expect(fields.slice(2)).toEqual(["d", '{"price":189.30}']);
  });

  it("a second key is the idempotency key, and lives five minutes", async () => {
    const worker = await world.start();
    const [log, key] = [`${world.prefix}log:chat.a`, `${world.prefix}mine`];
    const first = world.cli("FCALL", "tape_publish", "2", log, key, "1");
    expect(world.cli("FCALL", "tape_publish", "2", log, key, "1")).toBe(first);
    expect((await worker.broker.history(chat, null, 10)).entries).toHaveLength(1);
    const ttlMs = await world.client().pttl(key);
    expect(ttlMs).toBeGreaterThan(290_000);
    expect(ttlMs).toBeLessThanOrEqual(300_000);
  });

  it("refuses slips of the hand with a word, and stores nothing", async () => {
    const worker = await world.start();
    const log = `${world.prefix}log:chat.a`;
    const table: readonly (readonly [string, readonly string[], string])[] = [
      ["not JSON", ["1", log, "{price:1}"], "not JSON"],
      ["no message", ["1", log], "message is missing"],
      ["a channel instead of a log", ["1", `${world.prefix}chat.a`, "1"], "<prefix>log:<topic>"],
      ["SIZE", ["1", log, "1", "0"], "SIZE is a whole number"],
      ["TTL_MS", ["1", log, "1", "5", "soon"], "TTL_MS is a whole number"],
    ];
    for (const [name, args, message] of table) {
      expect([name, world.cli("FCALL", "tape_publish", ...args)]).toEqual([
        name,
        expect.stringContaining(message),
      ]);
    }
    expect((await worker.broker.history(chat, null, 10)).position.seq).toBe(0);
  });

  it("raw PUBLISH is delivered without seq, between those with seq, and is not in the history", async () => {
    const worker = await world.start();
    for (const topic of [chat, quote]) {
      await openAndWait(worker, topic);
      for (let round = 1; round <= 3; round++) {
        await worker.broker.publish(topic, bytes(`"stored ${round}"`), {});
        expect(world.cli("PUBLISH", world.prefix + topic.name, `"raw ${round}"`)).toBe("1");
      }
      const name = topic.name;
      await worker.recorder.until(() => worker.recorder.seqs(name).length === 6);
      expect(worker.recorder.texts(name)).toEqual(
        [1, 2, 3].flatMap((round) => [`"stored ${round}"`, `"raw ${round}"`]),
      );
      expect(worker.recorder.seqs(name)).toEqual([1, 0, 2, 0, 3, 0]);
      const { entries, position } = await worker.broker.history(topic, null, 10);
      expect(position.seq).toBe(3);
      expect(entries.at(-1)?.seq).toBe(3);
      expect(entries.map((each) => text(each.data)).join()).not.toContain("raw");
    }
  });

  it("reaches live-only topics by PUBLISH and by FCALL, without seq", async () => {
    const worker = await world.start();
    const topic: BrokerTopic = { name: "live.a", delivery: "every", history: null };
    await openAndWait(worker, topic);
    world.cli("PUBLISH", `${world.prefix}live.a`, '{"price":1.10}');
    world.cli("FCALL", "tape_publish", "1", `${world.prefix}log:live.a`, "2");
    await worker.recorder.until(() => worker.recorder.seqs("live.a").length === 2);
    expect(worker.recorder.texts("live.a")).toEqual(['{"price":1.10}', "2"]);
    expect(worker.recorder.seqs("live.a")).toEqual([0, 0]);
  });
});

describe("poisoned messages are dropped, counted and logged without their content", () => {
  const table: readonly (readonly [string, string | Buffer])[] = [
    ["no JSON", "hello secret"],
    ["empty", ""],
    ["two values", "1 2"],
    ["invalid UTF-8 in a string", Buffer.from([0x22, 0xff, 0x22])],
    ["byte order mark", Buffer.from([0xef, 0xbb, 0xbf, 0x31])],
    ["too large", JSON.stringify("x".repeat(65_535))],
    ["five megabytes", JSON.stringify("x".repeat(5_000_000))],
    ["nested 100,000 deep", "[".repeat(50_000)],
    ["envelope without JSON", "@ x"],
    ["envelope without space", "@{}"],
    ["envelope without seq", "@123- {}"],
    ["envelope with seq 0", "@123-0 {}"],
    ["envelope with a huge seq", "@123-99999999999999999999 {}"],
    ["envelope with an empty origin", "@~ {}"],
    ["envelope with a bad origin", "@~a/b {}"],
    ["envelope only", "@"],
  ];
  for (const topic of [chat, { name: "live.a", delivery: "every", history: null } as const]) {
    it(topic.name, async () => {
      const worker = await world.start();
      await openAndWait(worker, topic);
      const client = world.client();
      for (const [, message] of table) await client.publish(world.prefix + topic.name, message);
      await worker.broker.publish(topic, bytes('"good"'), {});
      await worker.recorder.until(() => worker.recorder.texts(topic.name).length === 1);
      expect(worker.recorder.texts(topic.name)).toEqual(['"good"']);
      expect(worker.recorder.gaps(topic.name)).toEqual([]);
      expect(worker.broker.counters.publicationsRejected).toBe(table.length);
      expect(world.log.lines.join("\n")).toContain("dropped a message from Redis");
      expect(world.log.lines.join("\n")).not.toContain("secret");
    });
  }

  it("a stored entry that cannot be handed on is told as a gap of one, live and from the log", async () => {
    const worker = await world.start();
    const { position } = await openAndWait(worker, chat);
    const client = world.client();
    const log = `${world.prefix}log:chat.a`;
    await worker.broker.publish(chat, bytes("1"), {});
    // cjson takes it, we do not: invalid UTF-8.
    await client.call("FCALL", "tape_publish", "1", log, Buffer.from([0x22, 0xff, 0x22]));
    await worker.broker.publish(chat, bytes("3"), {});
    await worker.recorder.until(() => worker.recorder.seqs("chat.a").length === 2);
    expect(worker.recorder.seqs("chat.a")).toEqual([1, 3]);
    expect(worker.recorder.gaps("chat.a")).toEqual([
      { position: { epoch: position?.epoch, seq: 2 }, lostCount: 1 },
    ]);
    const page = await worker.broker.history(chat, { epoch: position!.epoch, seq: 0 }, 10);
    expect([page.complete, page.entries.map((each) => each.seq)]).toEqual([false, [1, 3]]);
    // Somebody else's entry in our stream has a seq, too.
    await client.xadd(log, "*", "price", "1");
    await worker.broker.publish(chat, bytes("5"), {});
    await worker.recorder.until(() => worker.recorder.seqs("chat.a").length === 3);
    expect(worker.recorder.gaps("chat.a").at(-1)).toEqual({
      position: { epoch: position?.epoch, seq: 4 },
      lostCount: 1,
    });
    const other = await world.start();
    const snapshot = await openAndWait(other, chat);
    expect(snapshot.entries.map((each) => each.seq)).toEqual([5]);
  });

  it("an envelope that claims a position the log does not have is dropped, and nothing stops", async () => {
    const worker = await world.start();
    const client = world.client();
    const { position } = await openAndWait(worker, chat);
    await client.publish(`${world.prefix}chat.a`, `@${position?.epoch}-99 "forged"`);
    await client.publish(`${world.prefix}chat.a`, '@77-1 "forged"');
    await worker.broker.publish(chat, bytes("1"), {});
    await worker.recorder.until(() => worker.recorder.seqs("chat.a").length === 1);
    expect(worker.recorder.texts("chat.a")).toEqual(["1"]);
    expect(worker.recorder.gaps("chat.a")).toEqual([]);

    // A latest topic takes it at once; the next true value leads to a new epoch.
    const before = await openAndWait(worker, quote);
    await client.publish(`${world.prefix}quote.A`, `@${before.position?.epoch}-99 "forged"`);
    await worker.recorder.until(() => worker.recorder.seqs("quote.A").length === 1);
    await worker.broker.publish(quote, bytes("1"), {});
    await worker.recorder.until(() => worker.recorder.gaps("quote.A").length === 1);
    await worker.broker.publish(quote, bytes("2"), {});
    await worker.recorder.until(() => worker.recorder.texts("quote.A").at(-1) === "2");
  });
});

describe("what is kept in Redis", () => {
  it("an asked-for name expires in two minutes, a log after its entries; a shorter TTL shortens nothing", async () => {
    const worker = await world.start();
    const client = world.client();
    const log = `${world.prefix}log:chat.a`;
    await worker.broker.history(chat, null, 1);
    expect(await client.pttl(log)).toBeGreaterThan(110_000);
    expect(await client.pttl(log)).toBeLessThanOrEqual(120_000);
    await worker.broker.publish(chat, bytes("1"), {});
    const ttlMs = await client.pttl(log);
    expect(ttlMs).toBeGreaterThan(60_000 * 2);
    world.cli("FCALL", "tape_publish", "1", log, "2", "10", "1");
    expect(await client.pttl(log)).toBeGreaterThan(ttlMs - 10_000);
  });

  it("the log of an open topic is touched, whether it has entries or not", async () => {
    const options = {
      url: redisUrl(),
      urls: [],
      sentinelName: null,
      mode: "standalone",
      partitions: 256,
    } as const;
    const own = { prefix: world.prefix, messageBytesMax: 1000 };
    const commands = new RedisCommands(
      clientOptions({ ...options, ...own }, "test"),
      own,
      world.log,
      () => {},
    );
    await commands.start();
    const client = world.client();
    const log = `${world.prefix}log:chat.a`;
    await commands.read(log, { mode: "newest", since: null, limit: 1, ttlMs: 0 });
    commands.keepLog(log);
    await client.pexpire(log, 5000);
    await commands.touchLogs();
    expect(await client.pttl(log)).toBeGreaterThan(110_000);
    commands.forgetLog(log);
    await client.pexpire(log, 5000);
    await commands.touchLogs();
    expect(await client.pttl(log)).toBeLessThanOrEqual(5000);
    commands.stop();
  });

  it("trims: exactly when small, about when large", async () => {
    const worker = await world.start();
    const client = world.client();
    const large: BrokerTopic = {
      name: "chat.large",
      delivery: "every",
      history: { size: 200, ttlMs: 60_000 },
    };
    await Promise.all(
      Array.from({ length: 600 }, async () => {
        await worker.broker.publish(quote, bytes("1"), {});
        await worker.broker.publish(large, bytes("1"), {});
      }),
    );
    expect(await client.xlen(`${world.prefix}log:quote.A`)).toBe(1);
    const length = await client.xlen(`${world.prefix}log:chat.large`);
    expect(length).toBeGreaterThanOrEqual(200);
    expect(length).toBeLessThan(400);
  });

  it("subscribes a topic once, and gives it up", async () => {
    const worker = await world.start();
    const client = world.client();
    const channel = `${world.prefix}chat.a`;
    await openAndWait(worker, chat);
    expect(await client.pubsub("NUMSUB", channel)).toEqual([channel, 1]);
    worker.broker.close("chat.a");
    await worker.recorder.until(() => true);
    await openAndWait(worker, quote);
    expect(await client.pubsub("NUMSUB", channel)).toEqual([channel, 0]);
  });
});

describe("starting where Redis is not as it should be", () => {
  it("is not ready and says why, and masks the password", async () => {
    const port = await freePort();
    const worker = await world.start({ url: `redis://me:geheim@127.0.0.1:${port}` });
    const { ready, reason } = worker.broker.status();
    expect(ready).toBe(false);
    expect(reason).toContain("ECONNREFUSED");
    expect(reason).toContain(`redis://***@127.0.0.1:${port}`);
    expect(JSON.stringify([reason, worker.recorder.events, world.log.lines])).not.toContain("geheim");
    await expect(worker.broker.publish(chat, bytes("1"), {})).rejects.toMatchObject({ retryable: true });
  });

  it("refuses a URL that is none, with BrokerError", () => {
    expect(() => world.makeBroker({ url: "not a url" })).toThrow(BrokerError);
  });

  const answers: readonly (readonly [string, string, RegExp])[] = [
    ["too old", "redis_version:6.2.14\r\nrole:master\r\n", /Redis 6\.2\.14 is too old: 7\.0 or newer/],
    ["a replica", "redis_version:7.2.0\r\nrole:slave\r\n", /replica/],
    ["loading", "redis_version:7.2.0\r\nrole:master\r\nloading:1\r\n", /loading/],
    ["something else", "hello\r\n", /Redis unknown is too old/],
    [
      "a node of a cluster",
      "redis_version:7.2.0\r\nredis_mode:cluster\r\nrole:master\r\n",
      /node of a Redis Cluster: broker\.redis\.mode: cluster is needed/,
    ],
  ];
  for (const [name, info, reason] of answers) {
    it(`a server that is ${name}`, async () => {
      const server = fakeRedis(info);
      const port = await listen(server);
      const worker = await world.start({ url: `redis://127.0.0.1:${port}` });
      expect(worker.broker.status().reason).toMatch(reason);
      await worker.broker.stop();
      server.close();
    });
  }
});

/** Answers INFO with `info` and everything else with OK. */
function fakeRedis(info: string): Server {
  return createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      for (const line of chunk.toString().split("\r\n")) {
        if (/^info$/i.test(line)) socket.write(`$${info.length}\r\n${info}\r\n`);
        else if (/^client$/i.test(line)) socket.write("+OK\r\n");
      }
    });
  });
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
