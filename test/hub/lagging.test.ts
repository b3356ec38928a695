/** DESIGN: a reader whose socket is full owns no queue. It keeps a cursor and reads the logs when it drained. */
import { describe, expect, it } from "vitest";

import type { Client } from "./hub-world.ts";
import { chat, danmaku, HubWorld, lostOf, numbersOf, quote, wire } from "./hub-world.ts";

/** Publishes `count` times with a turn after each. */
function publishMany(world: HubWorld, name: string, count: number): void {
  for (let index = 0; index < count; index += 1) {
    world.publish(name);
    world.go();
  }
}

/** A reader that has been given publication 1, which its kernel has not taken. */
function lagging(world: HubWorld, topic: Parameters<HubWorld["subscribe"]>[1][number]): Client {
  const client = world.client();
  world.subscribe(client, [topic]);
  client.sink.takes = () => false;
  world.publish(topic.name);
  world.go();
  expect(numbersOf(client.sink)).toEqual([1]);
  return client;
}

describe("a reader that lags", () => {
  it("is not written to, and is counted", () => {
    const world = new HubWorld();
    const client = lagging(world, chat("chat.a"));
    // The fake sink throws when it is written to while it is full.
    publishMany(world, "chat.a", 5);
    expect(client.sink.writes).toBe(1);
    expect(world.hub.counters.laggingReaders).toBe(1);
    world.drain(client);
    expect(world.hub.counters.laggingReaders).toBe(0);
    expect(client.reader.laggingCount).toBe(0);
  });

  it("holds nobody else up", () => {
    const world = new HubWorld();
    const slow = lagging(world, chat("chat.a"));
    const quick = world.client();
    world.subscribe(quick, [chat("chat.a")]);
    publishMany(world, "chat.a", 3);
    expect(numbersOf(quick.sink)).toEqual([2, 3, 4]);
    world.drain(slow);
    publishMany(world, "chat.a", 1);
    expect(numbersOf(quick.sink)).toEqual([2, 3, 4, 5]);
    expect(numbersOf(slow.sink)).toEqual([1, 2, 3, 4, 5]);
  });

  it("that something else filled is noticed at the flush, and misses nothing of it", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [chat("chat.a")]);
    publishMany(world, "chat.a", 1);
    // A reply or a pong filled the socket.
    client.sink.isFull = true;
    publishMany(world, "chat.a", 2);
    world.drain(client);
    expect(numbersOf(client.sink)).toEqual([1, 2, 3]);
  });

  it("that fills again while it catches up goes on from there", () => {
    const world = new HubWorld({ catchUpBytesMax: 1 });
    const client = lagging(world, chat("chat.a"));
    publishMany(world, "chat.a", 5);
    for (let round = 2; round <= 6; round += 1) {
      client.sink.drain();
      world.hub.drained(client.reader, world.nowMs);
      expect(numbersOf(client.sink)).toEqual(Array.from({ length: round }, (_, index) => index + 1));
    }
    expect(world.hub.counters.laggingReaders).toBe(1);
    world.drain(client);
    publishMany(world, "chat.a", 1);
    expect(numbersOf(client.sink)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  it("catches up in writes of at most catchUpBytesMax, an entry larger than that by itself", () => {
    const world = new HubWorld({ catchUpBytesMax: 150 });
    const client = lagging(world, chat("chat.a"));
    const sizes: number[] = [];
    const write = client.sink.write.bind(client.sink);
    client.sink.write = (bytes) => {
      sizes.push(bytes.length);
      return write(bytes);
    };
    publishMany(world, "chat.a", 3);
    world.publish("chat.a", null, JSON.stringify("x".repeat(500)));
    publishMany(world, "chat.a", 3);
    world.drain(client);
    expect(client.sink.received.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(sizes.filter((size) => size > 150)).toHaveLength(1);
    expect(sizes.length).toBe(3);
  });

  it("settles when it has room: a command's reply finds nothing outstanding", () => {
    const world = new HubWorld();
    const client = lagging(world, chat("chat.a"));
    publishMany(world, "chat.a", 2);
    expect(world.hub.settle(client.reader, world.nowMs)).toBe(false);
    client.sink.takes = () => true;
    client.sink.drain();
    expect(world.hub.settle(client.reader, world.nowMs)).toBe(true);
    expect(numbersOf(client.sink)).toEqual([1, 2, 3]);
    world.hub.drained(client.reader, world.nowMs);
    expect(numbersOf(client.sink)).toEqual([1, 2, 3]);
  });
});

describe("latest: the newest value only", () => {
  it("gives the newest of each topic, once, and counts what was replaced", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [quote("quote.A"), quote("quote.B"), quote("quote.C")]);
    client.sink.takes = () => false;
    publishMany(world, "quote.A", 1);
    publishMany(world, "quote.A", 4);
    publishMany(world, "quote.B", 3);
    client.sink.messages.length = 0;
    world.drain(client);
    expect(client.sink.received.map(({ topic, seq }) => `${topic} ${seq}`)).toEqual([
      "quote.A 5",
      "quote.B 3",
    ]);
    expect(world.hub.counters.conflated).toBe(3 + 2);
    expect(lostOf(client.sink)).toEqual([]);
  });

  it("is written nothing when nothing new came", () => {
    const world = new HubWorld();
    const client = lagging(world, quote("quote.A"));
    world.drain(client);
    expect(client.sink.writes).toBe(1);
  });

  it("a reader with a rate catches up at its time, not before", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [quote("quote.A")], 1000);
    client.sink.takes = () => false;
    publishMany(world, "quote.A", 1);
    publishMany(world, "quote.A", 3);
    world.go(500);
    world.drain(client);
    world.go();
    world.publish("quote.A");
    world.go(499);
    expect(numbersOf(client.sink)).toEqual([1]);
    world.go(1);
    expect(numbersOf(client.sink)).toEqual([1, 5]);
    world.publish("quote.A");
    world.go(1000);
    expect(numbersOf(client.sink)).toEqual([1, 5, 6]);
  });

  it("a reader with a rate that asks for something else meanwhile is given it once", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [quote("quote.A")], 1000);
    client.sink.takes = () => false;
    publishMany(world, "quote.A", 3);
    world.drain(client);
    world.subscribe(client, [quote("quote.B")], 1000);
    world.go(1000);
    expect(numbersOf(client.sink)).toEqual([1, 3]);
    expect(client.reader.laggingCount).toBe(0);
  });
});

describe("every, with history: all of it, or closed with 4003", () => {
  it.each([
    { name: "as many as the ring holds", missed: 16, isClosed: false },
    { name: "one more", missed: 17, isClosed: true },
    { name: "many more", missed: 100, isClosed: true },
  ])("$name", ({ missed, isClosed }) => {
    const world = new HubWorld({ ringMessagesMax: 16 });
    const client = lagging(world, chat("chat.a"));
    publishMany(world, "chat.a", missed);
    world.drain(client);
    expect(client.sink.isClosedForGap).toBe(isClosed);
    expect(world.hub.counters.historyGaps).toBe(isClosed ? 1 : 0);
    // Never silently skipped: either all, or nothing more.
    expect(numbersOf(client.sink)).toEqual(
      isClosed ? [1] : Array.from({ length: missed + 1 }, (_, index) => index + 1),
    );
    world.leave(client);
    expect(world.hub.counters.laggingReaders).toBe(0);
  });

  it("topics that moved little are given whole beside others", () => {
    const world = new HubWorld({ ringMessagesMax: 4 });
    const client = world.client();
    world.subscribe(client, [chat("chat.a"), quote("quote.A")]);
    client.sink.takes = () => false;
    publishMany(world, "quote.A", 1);
    publishMany(world, "chat.a", 2);
    publishMany(world, "quote.A", 50);
    publishMany(world, "chat.a", 2);
    client.sink.messages.length = 0;
    world.drain(client);
    expect(client.sink.received.map(({ topic, seq }) => `${topic} ${seq}`)).toEqual([
      "chat.a 1",
      "chat.a 2",
      "quote.A 51",
      "chat.a 3",
      "chat.a 4",
    ]);
  });

  it("evicted before the reader's cursor is no gap", () => {
    const world = new HubWorld({ ringMessagesMax: 4 });
    const client = world.client();
    world.subscribe(client, [chat("chat.a")]);
    publishMany(world, "chat.a", 20);
    client.sink.takes = () => false;
    publishMany(world, "chat.a", 1);
    publishMany(world, "chat.a", 3);
    world.drain(client);
    expect(client.sink.isClosedForGap).toBe(false);
    expect(numbersOf(client.sink)).toEqual(Array.from({ length: 24 }, (_, index) => index + 1));
  });
});

describe("every, without history: the rest, and the exact number of those lost", () => {
  it.each([
    { missed: 16, lost: [] },
    { missed: 17, lost: [1] },
    { missed: 116, lost: [100] },
  ])("$missed missed with a ring of 16", ({ missed, lost }) => {
    const world = new HubWorld({ ringMessagesMax: 16 });
    const client = lagging(world, wire("wire.a"));
    publishMany(world, "wire.a", missed);
    world.drain(client);
    expect(lostOf(client.sink)).toEqual(lost);
    expect(client.sink.received.filter(({ event }) => event === "lost").map(({ reason }) => reason)).toEqual(
      lost.map(() => "overrun"),
    );
    expect(numbersOf(client.sink)).toHaveLength(17);
    expect(numbersOf(client.sink).at(-1)).toBe(missed + 1);
    expect(world.hub.counters).toMatchObject({ overruns: lost[0] ?? 0, lostEvents: lost.length });
    expect(client.sink.isClosedForGap).toBe(false);
  });

  it("counts nothing twice when the reader fills again between two slices", () => {
    const world = new HubWorld({ ringMessagesMax: 8, catchUpBytesMax: 1 });
    const client = lagging(world, wire("wire.a"));
    publishMany(world, "wire.a", 20);
    for (let round = 0; round < 30; round += 1) {
      client.sink.drain();
      world.hub.drained(client.reader, world.nowMs);
      if (round % 3 === 0) publishMany(world, "wire.a", 1);
    }
    world.drain(client);
    const lost = lostOf(client.sink).reduce((sum, count) => sum + count, 0);
    expect(numbersOf(client.sink).length + lost).toBe(1 + 20 + 10);
    expect(numbersOf(client.sink).at(-1)).toBe(31);
  });

  it("a reader that cannot be told (/raw) is closed instead", () => {
    const world = new HubWorld({ ringMessagesMax: 4 });
    const client = world.client("raw");
    client.sink.canTellLost = false;
    world.subscribe(client, [wire("wire.a")]);
    client.sink.takes = () => false;
    publishMany(world, "wire.a", 1);
    publishMany(world, "wire.a", 5);
    world.drain(client);
    expect(client.sink.isClosedForGap).toBe(true);
    expect(client.sink.messages).toEqual(['{"n":1}']);
    expect(world.hub.counters.historyGaps).toBe(1);
  });
});

describe("sample: a fair part and the number left out", () => {
  it("gives at most a second's worth, evenly spread, the rest is counted", () => {
    const world = new HubWorld({ ringMessagesMax: 64 });
    const client = lagging(world, danmaku("danmaku.a", 10));
    // Ten a second: nothing is left out for the crowd.
    for (let second = 0; second < 4; second += 1) {
      world.go(1000);
      publishMany(world, "danmaku.a", 10);
    }
    world.drain(client);
    world.go(1000);
    const given = numbersOf(client.sink).slice(1);
    expect(given).toHaveLength(10);
    // One of each four.
    expect(given.map((number) => Math.floor((number - 2) / 4))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(lostOf(client.sink)).toEqual([30]);
  });

  it("keeps the reader's own messages", () => {
    const world = new HubWorld({ ringMessagesMax: 64 });
    const client = lagging(world, danmaku("danmaku.a", 10));
    const own: number[] = [];
    for (let second = 0; second < 4; second += 1) {
      world.go(1000);
      publishMany(world, "danmaku.a", 4);
      own.push(world.publish("danmaku.a", client));
      publishMany(world, "danmaku.a", 5);
    }
    world.drain(client);
    world.go(1000);
    const given = numbersOf(client.sink);
    expect(given).toEqual(expect.arrayContaining(own));
    expect(given.length + lostOf(client.sink).reduce((sum, count) => sum + count, 0)).toBe(41);
    expect(given.length).toBeLessThanOrEqual(1 + 10 + 4);
  });

  it("is told at most once a second per topic, however often it lags and drains", () => {
    const world = new HubWorld({ ringMessagesMax: 8 });
    const client = lagging(world, danmaku("danmaku.a", 100));
    const toldMs: number[] = [];
    const lost: number[] = [];
    for (let round = 0; round < 60; round += 1) {
      client.sink.takes = () => false;
      publishMany(world, "danmaku.a", 10);
      world.go(50);
      client.sink.messages.length = 0;
      world.drain(client);
      world.go();
      for (const count of lostOf(client.sink)) {
        toldMs.push(world.nowMs);
        lost.push(count);
      }
    }
    for (const [index, atMs] of toldMs.entries()) {
      if (index > 0)
        expect(atMs - toldMs[index - 1]!, `told at ${toldMs.join()}`).toBeGreaterThanOrEqual(1000);
    }
    expect(toldMs.length).toBeGreaterThanOrEqual(2);
  });
});
