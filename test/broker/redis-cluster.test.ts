/** The broker over a Redis Cluster: the shared suite, the contract by hand, and slots on their way. */
import { Cluster } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { BrokerTopic } from "../../src/broker/broker.ts";
import { partitionOf, partitionSlot, topicNames } from "../../src/broker/topic-partition.ts";
import { type ClusterServer, RedisCluster, until } from "../setup/redis-cluster.ts";
import { bytes, count, open, openAndWait, type Worker } from "./recorder.ts";
import { ClusterWorld, isReady, publishSteadily } from "./redis-cluster-world.ts";
import { brokerSuite } from "./suite.ts";

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await RedisCluster.start({ spareCount: 1 });
}, 60_000);
afterAll(() => cluster.stop());

// Fewer joins: this file runs beside that of the single server, which has a thousand.
brokerSuite("redis cluster", async () => new ClusterWorld(cluster), 300);

const chat: BrokerTopic = { name: "chat.a", delivery: "every", history: { size: 10_000, ttlMs: 60_000 } };
const quote: BrokerTopic = { name: "quote.A", delivery: "latest", history: { size: 1, ttlMs: 60_000 } };
const live: BrokerTopic = { name: "live.a", delivery: "every", history: null };

let world: ClusterWorld;
beforeEach(() => {
  world = new ClusterWorld(cluster);
});
afterEach(() => world.stop());

/** Topics like `topic`, with a number behind the name. */
function named(topic: BrokerTopic, first: number, last: number): BrokerTopic[] {
  const { name, delivery, history } = topic;
  return count(first, last).map((index) => ({ name: `${name}${index}`, delivery, history }));
}

function slotOf(topic: BrokerTopic): number {
  return partitionSlot(partitionOf(topic.name, 256));
}

/** A master other than the topic's. */
async function otherThan(slot: number): Promise<ClusterServer> {
  const owner = await cluster.ownerOf(slot);
  return cluster.masters.find((each) => each !== owner)!;
}

describe("publishing by hand, docs/REDIS.md", () => {
  it("redis-cli -c FCALL with the topic's tag stores, publishes and returns epoch-seq", async () => {
    const worker = await world.start();
    const { position } = await openAndWait(worker, chat);
    const { log } = world.names(chat);
    expect(log).toMatch(/^test-[^{}]*:\{p\d+\}:log:chat\.a$/);
    expect(world.cli("-c", "FCALL", "tape_publish", "1", log, '{"price":189.30}')).toContain(
      `${position?.epoch}-1`,
    );
    await worker.recorder.until(() => worker.recorder.seqs("chat.a").length === 1);
    expect(worker.recorder.texts("chat.a")).toEqual(['{"price":189.30}']);
  });

  it("a key without the tag is refused with a word, on whichever master it lands", async () => {
    await world.start();
    for (const topic of ["chat.a", "chat.b", "chat.c", "chat.d", "chat.e", "chat.f"]) {
      const answer = world.cli("-c", "FCALL", "tape_publish", "1", `${world.prefix}log:${topic}`, "1");
      expect(answer).toContain("in a cluster the key is <prefix>{p<partition>}:log:<topic>");
      expect(answer).toContain("tapecast topic-key");
    }
  });

  it("SPUBLISH is delivered without seq; PUBLISH reaches nobody", async () => {
    const worker = await world.start();
    await openAndWait(worker, chat);
    const { channel } = world.names(chat);
    const client = world.clusterClient();
    await client.publish(channel, '"plain"');
    await client.spublish(channel, '"sharded"');
    await worker.broker.publish(chat, bytes("1"), {});
    await worker.recorder.until(() => worker.recorder.seqs("chat.a").length === 2);
    expect(worker.recorder.texts("chat.a")).toEqual(['"sharded"', "1"]);
    expect(worker.recorder.seqs("chat.a")).toEqual([0, 1]);
  });

  it("what is no JSON, too large or a malformed envelope is dropped and counted", async () => {
    const worker = await world.start({ messageBytesMax: 100 });
    await openAndWait(worker, live);
    const { channel } = world.names(live);
    const client = world.clusterClient();
    for (const message of ["{", `"${"x".repeat(99)}"`, "@x y", '"good"'])
      await client.spublish(channel, message);
    await worker.recorder.until(() => worker.recorder.texts("live.a").length === 1);
    expect(worker.recorder.texts("live.a")).toEqual(['"good"']);
    expect(worker.broker.counters.publicationsRejected).toBe(3);
  });
});

describe("one subscription per topic, on the master that has it", () => {
  it("and none afterwards; masters without partitions get no channel", async () => {
    const worker = await world.start();
    const topics = named(quote, 1, 300);
    await Promise.all(topics.map((topic) => openAndWait(worker, topic)));
    const channels = new Set(topics.map((topic) => world.names(topic).channel));
    const before = await Promise.all(cluster.masters.map((server) => shardChannels(server, channels)));
    expect(before.reduce((sum, each) => sum + each, 0)).toBe(300);
    for (const subscribedCount of before.slice(0, 3)) expect(subscribedCount).toBeGreaterThan(50);
    expect(before[3]).toBe(0);
    for (const { name } of topics) worker.broker.close(name);
    await until(async () => {
      const after = await Promise.all(cluster.masters.map((server) => shardChannels(server, channels)));
      return after.every((each) => each === 0);
    }, "all channels given up");
  });

  it("10,000 topics are open within seconds, and cost no more at the end than at the beginning", async () => {
    const worker = await world.start();
    const openMany = async (first: number, last: number): Promise<number> => {
      const startMs = performance.now();
      const topics = named(quote, first, last);
      for (const topic of topics) open(worker, topic);
      await worker.recorder.until(() => openedCount(worker) === last, 30_000);
      return performance.now() - startMs;
    };
    const firstMs = await openMany(1, 2000);
    await openMany(2001, 8000);
    const lastMs = await openMany(8001, 10_000);
    expect(worker.broker.counters.topicsOpen).toBe(10_000);
    expect(lastMs).toBeLessThan(3 * firstMs + 500);
  }, 60_000);
});

function openedCount({ recorder }: Worker): number {
  return recorder.events.filter((event) => event.kind === "opened").length;
}

async function shardChannels(server: ClusterServer, among: ReadonlySet<string>): Promise<number> {
  const channels = (await server.client.pubsub("SHARDCHANNELS")) as string[];
  return channels.filter((channel) => among.has(channel)).length;
}

describe("a slot moves under load", () => {
  it("five times, between four masters: nothing is missing, nothing comes twice, every publish is stored once", async () => {
    const [worker, publisher] = [await world.start(), await world.start()];
    await openAndWait(worker, chat);
    await openAndWait(worker, live);
    const publishing = publishSteadily(publisher, chat, false);
    for (let round = 1; round <= 5; round++) {
      const seen = worker.recorder.seqs("chat.a").length;
      await cluster.moveSlot(slotOf(chat), await otherThan(slotOf(chat)));
      await worker.recorder.until(() => worker.recorder.seqs("chat.a").length > seen + 50);
    }
    const { last, failureCount } = await publishing.stop();
    await worker.recorder.until(() => worker.recorder.seqs("chat.a").at(-1) === last);
    expect(worker.recorder.seqs("chat.a")).toEqual(count(1, last));
    expect(worker.recorder.texts("chat.a")).toEqual(count(1, last).map(String));
    expect(worker.recorder.gaps("chat.a")).toEqual([]);
    expect(failureCount).toBe(0);
    expect(isReady(worker)).toBe(true);
  }, 60_000);

  it("and stays half-way for a while: publications go on, and what arrives elsewhere is read", async () => {
    const [worker, publisher] = [await world.start(), await world.start()];
    const other = { ...chat, name: chatInSamePartition() };
    await openAndWait(worker, chat);
    const slot = slotOf(chat);
    const [from, to] = [(await cluster.ownerOf(slot))!, await otherThan(slot)];
    await publisher.broker.publish(chat, bytes("1"), {});
    await cluster.beginMove(slot, from, to);
    // The log is still at the old place; with a key of our own making the call would be TRYAGAIN.
    expect((await publisher.broker.publish(chat, bytes("2"), {}))?.seq).toBe(2);
    while ((await cluster.moveKeys(slot, from, to)) > 0);
    // Now it is at the new one, while the channel is at the old.
    const startMs = performance.now();
    expect((await publisher.broker.publish(chat, bytes("3"), {}))?.seq).toBe(3);
    await worker.recorder.until(() => worker.recorder.seqs("chat.a").length === 3);
    expect(performance.now() - startMs).toBeLessThan(500);
    // A topic that begins its life now, at the new place.
    await openAndWait(worker, other);
    expect((await publisher.broker.publish(other, bytes("1"), {}))?.seq).toBe(1);
    // A stranger follows ASK too, and publishes where nobody listens: read within seconds.
    const { log } = world.names(chat);
    await world.clusterClient().call("FCALL", "tape_publish", "1", log, "4");
    await worker.recorder.until(() => worker.recorder.seqs("chat.a").length === 4);
    expect((await worker.broker.history(chat, null, 10)).entries).toHaveLength(4);
    await cluster.endMove(slot, from, to);
    await worker.recorder.until(() => worker.recorder.seqs(other.name).length === 1);
    expect((await publisher.broker.publish(chat, bytes("5"), {}))?.seq).toBe(5);
    await worker.recorder.until(() => worker.recorder.seqs("chat.a").length === 5);
    expect(worker.recorder.texts("chat.a")).toEqual(["1", "2", "3", "4", "5"]);
    expect([...worker.recorder.gaps("chat.a"), ...worker.recorder.gaps(other.name)]).toEqual([]);
  }, 60_000);

  it("with a caller's key: stored once, after the move; refused as temporary when that takes longer than 2 s", async () => {
    const publisher = await world.start();
    const slot = slotOf(chat);
    const [from, to] = [(await cluster.ownerOf(slot))!, await otherThan(slot)];
    await publisher.broker.publish(chat, bytes("1"), {});
    await cluster.beginMove(slot, from, to);
    const options = { idempotencyKey: "order-4711" };
    await expect(publisher.broker.publish(chat, bytes("2"), options)).rejects.toMatchObject({
      retryable: true,
    });
    const again = publisher.broker.publish(chat, bytes("2"), options);
    while ((await cluster.moveKeys(slot, from, to)) > 0);
    await cluster.endMove(slot, from, to);
    expect((await again)?.seq).toBe(2);
    expect((await publisher.broker.publish(chat, bytes("2"), options))?.seq).toBe(2);
  }, 30_000);

  it("live-only messages find the new place at once", async () => {
    const [worker, publisher] = [await world.start(), await world.start()];
    await openAndWait(worker, live);
    await cluster.moveSlot(slotOf(live), await otherThan(slotOf(live)));
    let value = 0;
    await until(async () => {
      value++;
      await publisher.broker.publish(live, bytes(String(value)), {});
      return worker.recorder.texts("live.a").length > 0;
    }, "a message at the new place");
    const first = worker.recorder.texts("live.a").length;
    await publisher.broker.publish(live, bytes('"last"'), {});
    await worker.recorder.until(() => worker.recorder.texts("live.a").at(-1) === '"last"');
    expect(worker.recorder.texts("live.a").length).toBeGreaterThanOrEqual(first);
  }, 30_000);
});

function chatInSamePartition(): string {
  const partition = partitionOf(chat.name, 256);
  for (let index = 0; ; index++) {
    if (partitionOf(`chat.x${index}`, 256) === partition) return `chat.x${index}`;
  }
}

describe("the functions", () => {
  it("are loaded again on the master that lost them, and on a new one", async () => {
    const worker = await world.start();
    await openAndWait(worker, chat);
    for (const { client } of cluster.masters) await client.call("FUNCTION", "FLUSH");
    expect((await worker.broker.publish(chat, bytes("1"), {}))?.seq).toBe(1);
    for (const { client } of cluster.masters) await client.call("FUNCTION", "FLUSH");
    expect((await worker.broker.history(chat, null, 1)).entries).toHaveLength(1);
  });
});

describe("configuration that does not fit", () => {
  it("another number of partitions than the data has: not ready, nothing is published", async () => {
    await world.start();
    const other = await world.start({ partitions: 128 });
    expect(other.broker.status().ready).toBe(false);
    expect(other.broker.status().reason).toContain(
      "the data in this cluster has broker.redis.partitions: 256, the configuration says 128",
    );
    await expect(other.broker.publish(chat, bytes("1"), {})).rejects.toMatchObject({ retryable: false });
    await expect(other.broker.publish(live, bytes("1"), {})).rejects.toMatchObject({ retryable: false });
    await expect(other.broker.history(chat, null, 1)).rejects.toMatchObject({ name: "BrokerError" });
  });

  it("a standalone Redis as cluster, a cluster as standalone, nobody there", async () => {
    const { redisUrl } = await import("../setup/redis-url.ts");
    const table = [
      {
        options: { urls: [redisUrl()] },
        reason: /this Redis is no Redis Cluster: broker\.redis\.mode: standalone is needed/,
      },
      { options: { mode: "standalone", urls: [] }, reason: /broker\.redis\.mode: cluster is needed/ },
      { options: { urls: ["redis://127.0.0.1:1"] }, reason: /ECONNREFUSED/ },
    ] as const;
    for (const { options, reason } of table) {
      const worker = await world.start(options);
      expect(worker.broker.status().ready).toBe(false);
      expect(worker.broker.status().reason).toMatch(reason);
      const startMs = performance.now();
      await expect(worker.broker.publish(chat, bytes("1"), {})).rejects.toMatchObject({
        name: "BrokerError",
      });
      expect(performance.now() - startMs).toBeLessThan(2500);
    }
  });

  it("one seed of three is enough, a dead one does not matter", async () => {
    const worker = await world.start({ urls: ["redis://127.0.0.1:1", cluster.urls[1]!] });
    expect(worker.broker.status()).toEqual({ ready: true, reason: null });
    for (const topic of named(chat, 1, 30)) {
      expect((await worker.broker.publish(topic, bytes("1"), {}))?.seq).toBe(1);
    }
  });
});

it("a publisher of another make, ioredis's own Cluster, finds the topics by the names alone", async () => {
  const worker = await world.start();
  const topics = named(chat, 1, 50);
  await Promise.all(topics.map((topic) => openAndWait(worker, topic)));
  const client: Cluster = world.clusterClient();
  for (const topic of topics) {
    const { log } = topicNames(world.prefix, partitionOf(topic.name, 256), topic.name);
    await client.call("FCALL", "tape_publish", "1", log, JSON.stringify(topic.name));
  }
  for (const { name } of topics) {
    await worker.recorder.until(() => worker.recorder.seqs(name).length === 1);
    expect(worker.recorder.texts(name)).toEqual([JSON.stringify(name)]);
  }
});
