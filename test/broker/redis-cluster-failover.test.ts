/**
 * Masters of a Redis Cluster that go, while messages flow: killed, frozen, and demoted by hand. About 20 s, most of them
 * the cluster's own time to agree that a master is dead (cluster-node-timeout, 2 s here).
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { BrokerTopic } from "../../src/broker/broker.ts";
import { partitionOf, partitionSlot } from "../../src/broker/topic-partition.ts";
import { type ClusterServer, RedisCluster, until } from "../setup/redis-cluster.ts";
import { bytes, count, openAndWait, type Recorder, type Worker } from "./recorder.ts";
import { ClusterWorld, isReady, publishSteadily } from "./redis-cluster-world.ts";

const history = { size: 20_000, ttlMs: 600_000 };

let cluster: RedisCluster;
let world: ClusterWorld;
beforeEach(async () => {
  cluster = await RedisCluster.start({ replicas: true });
  world = new ClusterWorld(cluster);
}, 60_000);
afterEach(async () => {
  await world.stop();
  await cluster.stop();
});

function slotOf(topic: BrokerTopic): number {
  return partitionSlot(partitionOf(topic.name, 256));
}

/** Waits until the replica of `master` serves the topic. */
async function takenOver(topic: BrokerTopic, master: ClusterServer): Promise<void> {
  await until(async () => {
    const owner = await cluster.ownerOf(slotOf(topic));
    return owner !== null && owner !== master;
  }, "the replica to take over");
}

/** One `every` topic on each of the three masters. */
async function topicPerMaster(): Promise<{ readonly topic: BrokerTopic; readonly master: ClusterServer }[]> {
  const found = new Map<string, { topic: BrokerTopic; master: ClusterServer }>();
  for (let index = 0; found.size < 3; index++) {
    const topic: BrokerTopic = { name: `chat.f${index}`, delivery: "every", history };
    const master = (await cluster.ownerOf(slotOf(topic)))!;
    if (!found.has(master.id)) found.set(master.id, { topic, master });
  }
  return [...found.values()];
}

/**
 * Publishes on all topics while `hurt` runs, and checks that what was stored came, once and in order.
 * @param inDoubt how many publications of a topic may be missing, or be there twice. Redis answers before it replicates:
 *   what a master was doing when it was struck may be known to its publisher, to a reader or to its replica alone.
 */
async function loseNothingDuring(
  topics: readonly BrokerTopic[],
  hurt: (worker: Worker) => Promise<void>,
  inDoubt = 0,
): Promise<{ readonly failureCount: number }> {
  const [worker, publisher] = [await world.start(), await world.start()];
  await Promise.all(topics.map((topic) => openAndWait(worker, topic)));
  const publishings = topics.map((topic) => publishSteadily(publisher, topic, true));
  await until(async () => topics.every(({ name }) => worker.recorder.seqs(name).length > 50), "a flow");
  await hurt(worker);
  const before = topics.map(({ name }) => worker.recorder.seqs(name).length);
  await until(
    async () => topics.every(({ name }, index) => worker.recorder.seqs(name).length > before[index]! + 50),
    "a flow on every topic again",
  );
  let failureCount = 0;
  for (const [index, { name }] of topics.entries()) {
    const result = await publishings[index]!.stop();
    failureCount += result.failureCount;
    await worker.recorder.until(() => worker.recorder.texts(name).at(-1) === String(result.last));
    const texts = worker.recorder.texts(name);
    const doubtful = doubtfulNumbers(texts, result.last);
    expect([name, doubtful.slice(0, 5), doubtful.length <= inDoubt]).toEqual([name, expect.anything(), true]);
    // When a reader saw what the replica did not, it is told that the log begins a new life.
    expect(worker.recorder.gaps(name).length).toBeLessThanOrEqual(inDoubt);
    if (inDoubt === 0) expect(worker.recorder.seqs(name)).toEqual(count(1, result.last));
    expectOneMessagePerPosition(worker.recorder, name);
  }
  await worker.recorder.until(() => isReady(worker));
  return { failureCount };
}

/** Within what is told as one log no seq is skipped or comes again. */
function expectOneMessagePerPosition(recorder: Recorder, topic: string): void {
  let seq: number | null = null;
  for (const event of recorder.of(topic)) {
    if (event.kind === "opened") seq = event.snapshot.position?.seq ?? null;
    else if (event.kind === "gap") seq = event.position.seq;
    else if (event.kind === "publication") {
      expect([topic, event.publication.seq]).toEqual([topic, (seq ?? 0) + 1]);
      seq = event.publication.seq;
    }
  }
}

/** Numbers from 1 to `last` that are missing, come again or come late. */
function doubtfulNumbers(texts: readonly string[], last: number): number[] {
  const doubtful: number[] = [];
  let next = 1;
  for (const text of texts) {
    const number = Number(text);
    if (number < next) doubtful.push(number);
    for (; next < number; next++) doubtful.push(next);
    next = Math.max(next, number + 1);
  }
  return next === last + 1 ? doubtful : [...doubtful, last];
}

describe("a master of a Redis Cluster goes, three topics under load", () => {
  it("killed: its replica takes over, publishers get 503 for a while, nothing is missing but what it was doing", async () => {
    const topics = await topicPerMaster();
    const { failureCount } = await loseNothingDuring(
      topics.map(({ topic }) => topic),
      async (worker) => {
        const { master, topic } = topics[0]!;
        master.client.disconnect();
        await master.kill();
        await worker.recorder.until(() => !isReady(worker));
        await takenOver(topic, master);
        await worker.recorder.until(() => isReady(worker), 20_000);
      },
      1,
    );
    // What took longer than 2 s was refused, and told.
    expect(failureCount).toBeGreaterThan(0);
  }, 60_000);

  it("killed before its replica had its last messages: a new epoch, and no new message is taken for an old one", async () => {
    const [{ topic, master }] = (await topicPerMaster()) as [{ topic: BrokerTopic; master: ClusterServer }];
    const { name } = topic;
    const replica = cluster.replicas[cluster.masters.indexOf(master)]!;
    const [reader, publisher] = [await world.start(), await world.start()];
    const { epoch } = (await openAndWait(reader, topic)).position!;
    const say = async (first: number, last: number): Promise<void> => {
      for (const number of count(first, last))
        await publisher.broker.publish(topic, bytes(`"old ${number}"`), {});
    };
    await say(1, 10);
    await replica.client.readonly();
    await until(async () => (await replica.client.xlen(world.names(topic).log)) === 10, "ten on the replica");
    // The replica cannot come back, and what is answered from now on is the master's alone.
    await master.client.config("SET", "requirepass", "not-known-to-the-replica");
    await master.client.call("CLIENT", "KILL", "TYPE", "replica");
    await say(11, 20);
    await reader.recorder.until(() => reader.recorder.seqs(name).length === 20);
    master.client.disconnect();
    await master.kill();

    // Somebody else's program finds the new master before we do, and gives the same numbers out again, beyond the 20.
    const answers: string[] = [];
    await until(async () => {
      const number = answers.length + 1;
      const answer = await replica.client
        .call("FCALL", "tape_publish", 1, world.names(topic).log, `"new ${number}"`)
        .catch(() => null);
      if (typeof answer === "string") answers.push(answer);
      return answers.length === 15;
    }, "the replica to take fifteen");
    const newEpoch = answers[0]!.split("-")[0]!;
    expect(Number(newEpoch)).toBeGreaterThan(Number(epoch));
    expect(answers).toEqual(count(11, 25).map((seq) => `${newEpoch}-${seq}`));

    await reader.recorder.until(() => reader.recorder.texts(name).at(-1) === '"new 15"', 20_000);
    expect(reader.recorder.gaps(name)).toEqual([{ position: { epoch: newEpoch, seq: 10 }, lostCount: null }]);
    expect(reader.recorder.seqs(name)).toEqual([...count(1, 20), ...count(11, 25)]);
    expectOneMessagePerPosition(reader.recorder, name);
    const opened = await openAndWait(publisher, topic);
    // Whoever comes back from the epoch before, and has what the replica had, goes on.
    expect(opened.formers).toEqual([{ epoch, seq: 10 }]);
    const fresh = opened.entries.map(({ data }) => Buffer.from(data).toString());
    expect(fresh).toEqual([
      ...count(1, 10).map((number) => `"old ${number}"`),
      ...count(1, 15).map((number) => `"new ${number}"`),
    ]);
    // Who was away: what the replica had is recovered, what it had not is told as lost.
    const recovered = await publisher.broker.history(topic, { epoch, seq: 8 }, 100);
    expect(recovered.complete).toBe(true);
    expect(recovered.entries.map(({ seq }) => seq)).toEqual(count(9, 25));
    for (const seq of [11, 15, 20, 25]) {
      expect((await publisher.broker.history(topic, { epoch, seq }, 100)).complete).toBe(false);
    }
  }, 60_000);

  it("demoted by hand (CLUSTER FAILOVER), as for an upgrade: nothing is missing, nobody gets an error", async () => {
    const topics = await topicPerMaster();
    const { failureCount } = await loseNothingDuring(
      topics.map(({ topic }) => topic),
      async () => {
        for (const [index, replica] of cluster.replicas.entries()) {
          let askedMs = Number.NEGATIVE_INFINITY;
          await until(async () => {
            if ((await replica.client.role())[0] === "master") return true;
            // It gives up after 5 s when the machine is too busy, and is to be asked again.
            if (performance.now() - askedMs > 6000) {
              askedMs = performance.now();
              await replica.client.cluster("FAILOVER");
            }
            return false;
          }, `replica ${index} as master`);
        }
      },
    );
    expect(failureCount).toBe(0);
    // A new epoch each, in which everything goes on: nobody is told of a gap.
    for (const { topic } of topics) {
      const log = await world.clusterClient().xinfo("GROUPS", world.names(topic).log);
      expect(JSON.stringify(log)).toMatch(/life:[0-9a-f]{40}.*"\d{16}-[1-9]\d*"/u);
    }
  }, 60_000);

  it("frozen, with its connections alive: the probe notices, its replica takes over", async () => {
    const topics = await topicPerMaster();
    await loseNothingDuring(
      topics.map(({ topic }) => topic),
      async () => {
        const { master, topic } = topics[0]!;
        master.client.disconnect();
        master.freeze();
        await takenOver(topic, master);
        // It comes back as a replica, and believes for a moment that it is none.
        master.thaw();
      },
      1,
    );
  }, 60_000);

  it("without a replica: its topics are away and said so, the others go on", async () => {
    const topics = await topicPerMaster();
    const worker = await world.start();
    await Promise.all(topics.map(({ topic }) => openAndWait(worker, topic)));
    const [lost, ...others] = topics;
    const index = cluster.masters.indexOf(lost!.master);
    for (const server of [cluster.replicas[index]!, lost!.master]) {
      server.client.disconnect();
      await server.kill();
    }
    for (const server of [...cluster.masters, ...cluster.replicas]) {
      // By default a cluster with a hole serves nothing at all.
      if (server.client.status === "ready")
        await server.client.config("SET", "cluster-require-full-coverage", "no");
    }
    await worker.recorder.until(() => !isReady(worker));
    expect(worker.broker.status().reason).toMatch(new RegExp(`127\\.0\\.0\\.1:${lost!.master.port}: `));
    await expect(worker.broker.publish(lost!.topic, bytes("1"), {})).rejects.toMatchObject({
      retryable: true,
    });
    await until(async () => {
      const outcomes = await Promise.allSettled(
        others.map(({ topic }) => worker.broker.publish(topic, bytes("1"), { idempotencyKey: "once" })),
      );
      return outcomes.every(({ status }) => status === "fulfilled");
    }, "the others to be served");
    for (const { topic } of others) {
      await worker.recorder.until(() => worker.recorder.texts(topic.name).length === 1);
    }
  }, 60_000);
});
