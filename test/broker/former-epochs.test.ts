/**
 * What a log says of positions of epochs before: after failovers to replicas that had everything, or lagged by as much as
 * they like. One Redis stands for all of them: a replica that lagged is what the log was at some time before, and the
 * promotion is real (REPLICAOF and back), so that Redis itself gives the life a new name. The twin keeps, for each
 * position that was ever answered, all that stood in the log up to there.
 */
import type { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { HistoryPage, Position } from "../../src/broker/broker.ts";
import { historyPage } from "../../src/broker/history-page.ts";
import { callRead, ensureLibrary } from "../../src/broker/redis-functions.ts";
import { SeededRandom } from "../../load/verify/seeded-random.ts";
import { startRedisServer, type RedisServer } from "../setup/redis-server.ts";
import { RedisWorld } from "./redis-world.ts";

let server: RedisServer;
let world: RedisWorld;
let client: Redis;

beforeAll(async () => {
  server = await startRedisServer();
  world = new RedisWorld(server.url);
  client = world.client();
  await ensureLibrary(client);
});
afterAll(async () => {
  await world.stop();
  await server.stop();
});

/** What a replica has of the log, and what its readers have seen. */
interface Snapshot {
  readonly dump: Buffer;
  readonly messages: readonly string[];
}

class Log {
  readonly key: string;
  messages: string[] = [];
  /** By position, all up to there. */
  readonly known = new Map<string, readonly string[]>();
  /** The last position that was answered or read. */
  last: Position | null = null;
  #count = 0;

  constructor(name: string) {
    this.key = `${world.prefix}log:${name}`;
  }

  async publish(): Promise<Position> {
    this.#count += 1;
    const message = `"${this.#count}"`;
    const id = String(await client.call("FCALL", "tape_publish", 1, this.key, message, 1000));
    const [epoch = "", seq = ""] = id.split("-");
    this.messages.push(message);
    const position = { epoch, seq: Number(seq) };
    expect(position.seq).toBe(this.messages.length);
    expect(this.known.has(id), "no position is answered twice").toBe(false);
    this.known.set(id, this.messages.slice());
    this.last = position;
    return position;
  }

  async snapshot(): Promise<Snapshot> {
    return { dump: await client.dumpBuffer(this.key), messages: this.messages.slice() };
  }

  /** A replica that has just this becomes the master. */
  async failOver({ dump, messages }: Snapshot): Promise<void> {
    await client.restore(this.key, 0, dump, "REPLACE");
    this.messages = messages.slice();
    await promote();
  }

  /** Somebody restores a backup under a running master; a reader who has seen more finds out. */
  async loseData({ dump, messages }: Snapshot): Promise<void> {
    const since = this.last;
    await client.restore(this.key, 0, dump, "REPLACE");
    this.messages = messages.slice();
    if (since !== null) await read(this.key, "repair", since);
  }

  /** @returns the page, when the log says that nothing is missing after `since`. */
  async recovered(since: Position): Promise<HistoryPage | null> {
    const page = await read(this.key, "since", since);
    return page.complete ? page : null;
  }

  /** Asks for every position that was ever answered. @returns how many of them are recovered, by epoch. */
  async check(): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    for (const [id, before] of this.known) {
      const [epoch = "", seq = ""] = id.split("-");
      const page = await this.recovered({ epoch, seq: Number(seq) });
      if (page === null) continue;
      // Never wrong: it goes on from exactly what that reader has.
      expect(this.messages.slice(0, before.length), `recovered from ${id}`).toEqual(before);
      const after = page.entries.map(({ data }) => Buffer.from(data).toString());
      expect(after, `after ${id}`).toEqual(this.messages.slice(before.length));
      counts.set(epoch, (counts.get(epoch) ?? 0) + 1);
    }
    return counts;
  }
}

async function promote(): Promise<void> {
  await client.call("REPLICAOF", "127.0.0.1", "1");
  await client.call("REPLICAOF", "NO", "ONE");
  // The library looks at the life every 10 ms; a real promotion takes longer.
  await new Promise((resolve) => setTimeout(resolve, 15));
}

async function read(key: string, mode: "since" | "repair", since: Position): Promise<HistoryPage> {
  return historyPage(await callRead(client, key, { mode, since, limit: 1000, ttlMs: 0 }, 65_536), since);
}

async function formersOf(key: string): Promise<readonly Position[]> {
  const part = { mode: "newest", since: null, limit: 1, ttlMs: 0 } as const;
  return (await callRead(client, key, part, 65_536)).formers ?? [];
}

describe("positions of epochs before a failover", () => {
  it("hold over four failovers, as far as each epoch is the same log, and not over five", async () => {
    const log = new Log("chain");
    const firsts: Position[] = [await log.publish()];
    for (let failovers = 1; failovers <= 6; failovers += 1) {
      await log.publish();
      await log.failOver(await log.snapshot());
      firsts.push(await log.publish());
      const formers = await formersOf(log.key);
      expect(formers.map(({ epoch }) => epoch)).toEqual(
        firsts
          .slice(0, -1)
          .toReversed()
          .slice(0, 4)
          .map(({ epoch }) => epoch),
      );
      const recovered = await Promise.all(firsts.map((first) => log.recovered(first)));
      expect(recovered.map((page) => page !== null)).toEqual(
        firsts.map((_, index) => index >= failovers - 4),
      );
      await log.check();
    }
  });

  it("hold no further than the replica was that lagged, whatever came later", async () => {
    const log = new Log("lag");
    const [first] = [await log.publish(), await log.publish()];
    const lagging = await log.snapshot();
    const lost = await log.publish();
    await log.failOver(lagging);
    for (let count = 0; count < 5; count += 1) await log.publish();
    await log.failOver(await log.snapshot());
    await log.publish();
    expect(await log.recovered(first)).not.toBeNull();
    expect(await log.recovered(lost)).toBeNull();
    expect((await formersOf(log.key)).map(({ seq }) => seq)).toEqual([7, 2]);
  });

  it("hold no longer once the log has lost data in between", async () => {
    const log = new Log("loss");
    const first = await log.publish();
    await log.failOver(await log.snapshot());
    await log.publish();
    const backup = await log.snapshot();
    await log.publish();
    await log.loseData(backup);
    expect(await log.recovered(first)).toBeNull();
    expect(await formersOf(log.key)).toEqual([]);
    await log.publish();
    await log.failOver(await log.snapshot());
    await log.publish();
    expect(await log.recovered(first)).toBeNull();
    expect(await formersOf(log.key)).toHaveLength(1);
  });

  it.each([1, 2, 3, 4, 5, 6])("are never recovered wrongly (seed %i)", async (seed) => {
    const random = new SeededRandom(seed);
    const log = new Log(`random-${seed}`);
    const snapshots: Snapshot[] = [];
    let recoveredOverTwo = 0;
    await log.publish();
    snapshots.push(await log.snapshot());
    for (let step = 0; step < 40; step += 1) {
      const dice = random.next();
      const someSnapshot = snapshots[random.int(0, snapshots.length - 1)]!;
      if (dice < 0.5) await log.publish();
      else if (dice < 0.65) snapshots.push(await log.snapshot());
      else if (dice < 0.85) await log.failOver(await log.snapshot());
      else if (dice < 0.97) await log.failOver(someSnapshot);
      else await log.loseData(someSnapshot);
      if (step % 5 === 4) {
        await log.publish();
        const counts = await log.check();
        if (counts.size > 2) recoveredOverTwo += 1;
      }
    }
    // A test that recovers nothing proves nothing.
    expect(recoveredOverTwo).toBeGreaterThan(0);
  });
});
