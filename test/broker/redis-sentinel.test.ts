/** The Redis broker behind a sentinel. About 20 s, most of them the sentinel's own periods of looking around. */
import { expect, it } from "vitest";
import type { BrokerTopic, Position } from "../../src/broker/broker.ts";
import { startRedisServer, startSentinel } from "../setup/redis-server.ts";
import { bytes, count, openAndWait, text, type Worker } from "./recorder.ts";
import { publishSteadily } from "./redis-cluster-world.ts";
import { RedisWorld } from "./redis-world.ts";

const busy: BrokerTopic = { name: "chat.busy", delivery: "every", history: { size: 50_000, ttlMs: 60_000 } };
const chat: BrokerTopic = { name: "chat.a", delivery: "every", history: { size: 100, ttlMs: 60_000 } };

it("finds the primary, and the next one after a failover; nothing stored is missing", async () => {
  const server = await startRedisServer();
  const world = new RedisWorld(server.url);
  const replica = await startRedisServer({ args: ["--replicaof", "127.0.0.1", String(server.port)] });
  const replicaWorld = new RedisWorld(replica.url);
  const replicaClient = replicaWorld.client();
  // A sentinel looks only every ten seconds: the replica is to be there at its first look.
  await eventually(async () => (await replicaClient.role())[3] === "connected");
  const sentinel = await startSentinel(server.port, "tape");
  const sentinelWorld = new RedisWorld(sentinel.url);
  try {
    const worker = await world.start({ mode: "sentinel", urls: [sentinel.url], sentinelName: "tape" });
    expect(worker.broker.status()).toEqual({ ready: true, reason: null });
    await openAndWait(worker, chat);
    for (let value = 1; value <= 10; value++) await worker.broker.publish(chat, bytes(String(value)), {});

    const log = `${world.prefix}log:chat.a`;
    await eventually(async () => (await replicaClient.xlen(log)) === 10);
    await eventually(async () => sentinelWorld.cli("SENTINEL", "REPLICAS", "tape").includes("role-reported"));
    const publisher = await world.start({ mode: "sentinel", urls: [sentinel.url], sentinelName: "tape" });
    await openAndWait(worker, busy);
    const publishing = publishSteadily(publisher, busy, true);
    await worker.recorder.until(() => worker.recorder.seqs(busy.name).length > 50);
    // It refuses until it knows the replica well enough.
    await eventually(async () => sentinelWorld.cli("SENTINEL", "FAILOVER", "tape") === "OK");
    await eventually(async () => (await replicaClient.role())[0] === "master");
    await eventually(async () => (await world.client().role())[0] === "slave");

    const stored = await publishUntilStored(worker, "11");
    expect(stored.seq).toBe(11);
    expect(await replicaClient.xlen(log)).toBe(11);
    await worker.recorder.until(() => worker.recorder.seqs("chat.a").at(-1) === 11);
    expect(worker.recorder.texts("chat.a")).toEqual(count(1, 11).map(String));
    expect(worker.recorder.gaps("chat.a")).toEqual([]);

    // Under load: the old primary takes publications for a moment after the replica was promoted, and loses them.
    // Whoever saw them is told of the new life of the log; nothing else is missing.
    const seenCount = worker.recorder.seqs(busy.name).length;
    await worker.recorder.until(() => worker.recorder.seqs(busy.name).length > seenCount + 50, 20_000);
    const { last } = await publishing.stop();
    await worker.recorder.until(() => worker.recorder.texts(busy.name).at(-1) === String(last), 20_000);
    expect(untoldProblems(worker)).toEqual([]);
    expect(worker.recorder.gaps(busy.name).length).toBeLessThanOrEqual(1);
  } finally {
    await world.stop();
    await replicaWorld.stop();
    await sentinelWorld.stop();
    await sentinel.stop();
    await replica.stop();
    await server.stop();
  }
}, 60_000);

/** Numbers of the busy topic that are missing, or came again, without a gap told in between. */
function untoldProblems({ recorder }: Worker): string[] {
  const problems: string[] = [];
  let next = 1;
  let isTold = false;
  for (const event of recorder.of(busy.name)) {
    if (event.kind === "gap") isTold = true;
    if (event.kind !== "publication") continue;
    const number = Number(text(event.publication.data));
    if (number !== next && !isTold) problems.push(`${number} instead of ${next}`);
    next = number + 1;
    isTold = false;
  }
  return problems;
}

/** Publishes as a caller that comes back after a 503, with the same idempotency key. */
async function publishUntilStored(worker: Worker, data: string): Promise<Position> {
  let stored: Position | null = null;
  await eventually(async () => {
    try {
      stored = await worker.broker.publish(chat, bytes(data), { idempotencyKey: data });
    } catch (error) {
      expect(error).toMatchObject({ name: "BrokerError", retryable: true });
    }
    return stored !== null;
  });
  if (stored === null) throw new Error("nothing was stored");
  return stored;
}

/** Asks other processes until they are where they should be. */
async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 30_000;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new Error("waited in vain for 30 s");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
