/** A connection may go at any moment, from within a write too. Nothing of it stays behind. */
import { describe, expect, it } from "vitest";

import type { Client } from "./hub-world.ts";
import { chat, danmaku, HubWorld, lostOf, numbersOf, quote } from "./hub-world.ts";

/** The next write ends `victim`, as a socket error would. The kernel takes nothing of it. */
function endOnWrite(world: HubWorld, client: Client, victim: Client = client): void {
  client.sink.takes = () => {
    client.sink.takes = () => true;
    world.leave(victim);
    return victim !== client;
  };
}

function expectNothingLeft(world: HubWorld): void {
  expect(world.hub.counters).toMatchObject({ subscriptions: 0, audiences: 0, laggingReaders: 0 });
  world.go(5000);
  expect(world.hub.counters.topics).toBe(0);
}

describe("remove", () => {
  it("is idempotent, and a reader that is gone is asked for nothing", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [chat("chat.a")]);
    const log = world.log("chat.a");
    world.leave(client);
    world.leave(client);
    world.hub.change(client.reader, [{ log, classMs: 0 }], [], world.nowMs);
    world.hub.drained(client.reader, world.nowMs);
    world.publish("chat.a");
    world.go();
    expect(client.sink.messages).toEqual([]);
    expectNothingLeft(world);
  });

  it("of a reader with pending entries, with several rates, while it lags", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [chat("chat.a"), danmaku("danmaku.a", 1)]);
    world.subscribe(client, [quote("quote.A")], 250);
    world.subscribe(client, [quote("quote.B")], 1000);
    client.sink.takes = () => false;
    for (let count = 0; count < 3; count += 1) {
      for (const name of ["chat.a", "danmaku.a", "quote.A", "quote.B"]) world.publish(name);
      world.go();
    }
    expect(world.hub.counters.laggingReaders).toBe(1);
    world.leave(client);
    expectNothingLeft(world);
    world.go(5000);
  });

  it("of one that waits for its time to catch up", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [quote("quote.A")], 1000);
    client.sink.takes = () => false;
    world.publish("quote.A");
    world.go();
    world.publish("quote.A");
    world.drain(client);
    world.leave(client);
    expectNothingLeft(world);
    expect(numbersOf(client.sink)).toEqual([1]);
  });

  it("leaves no trace in the counts of a crowd", () => {
    const world = new HubWorld();
    const [stays, goes] = [world.client(), world.client()];
    for (const client of [stays, goes]) world.subscribe(client, [danmaku("danmaku.a", 1)]);
    for (let count = 0; count < 5; count += 1) world.publish("danmaku.a", goes);
    goes.sink.takes = () => false;
    world.go();
    for (let count = 0; count < 5; count += 1) world.publish("danmaku.a", goes);
    world.leave(goes);
    expect(world.log("danmaku.a").leftOutCorrections.size).toBe(0);
    world.go(1000);
    expect(lostOf(stays.sink)).toEqual([9]);
    expect(lostOf(goes.sink)).toEqual([]);
  });
});

describe("remove from within a write", () => {
  it.each([
    { name: "the one that is written to", victim: 1 },
    { name: "one that was written to already", victim: 2 },
    { name: "one that is next", victim: 0 },
  ])("during the flush of an audience: $name", ({ victim }) => {
    const world = new HubWorld();
    const clients = [world.client(), world.client(), world.client()];
    for (const client of clients) world.subscribe(client, [chat("chat.a")]);
    endOnWrite(world, clients[1]!, clients[victim]);
    world.publish("chat.a");
    world.go();
    const alive = clients.filter((_, index) => index !== victim);
    expect(alive.map(({ sink }) => numbersOf(sink))).toEqual([[1], [1]]);
    expect(world.hub.counters).toMatchObject({ subscriptions: 2, laggingReaders: 0 });
    for (const client of alive) world.leave(client);
    expectNothingLeft(world);
  });

  it("during settle", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [chat("chat.a")]);
    world.publish("chat.a");
    endOnWrite(world, client);
    expect(world.hub.settle(client.reader, world.nowMs)).toBe(false);
    expectNothingLeft(world);
  });

  it("during catching up", () => {
    const world = new HubWorld({ catchUpBytesMax: 1 });
    const client = world.client();
    world.subscribe(client, [chat("chat.a")]);
    world.subscribe(client, [quote("quote.A")], 250);
    client.sink.takes = () => false;
    for (let count = 0; count < 3; count += 1) {
      world.publish("chat.a");
      world.publish("quote.A");
      world.go();
    }
    client.sink.drain();
    endOnWrite(world, client);
    world.hub.drained(client.reader, world.nowMs);
    expectNothingLeft(world);
  });

  it("during lost events: everybody else is told", () => {
    const world = new HubWorld();
    const clients = Array.from({ length: 4 }, () => world.client());
    for (const [index, client] of clients.entries()) {
      // An audience each.
      world.subscribe(client, [danmaku("danmaku.a", 1), chat(`chat.${index}`)]);
    }
    for (let count = 0; count < 11; count += 1) world.publish("danmaku.a");
    world.go();
    endOnWrite(world, clients[0]!);
    world.go(1000);
    expect(clients.slice(1).map(({ sink }) => lostOf(sink))).toEqual([[10], [10], [10]]);
    for (const client of clients) world.leave(client);
    expectNothingLeft(world);
  });

  it("of a whole audience by its first write", () => {
    const world = new HubWorld();
    const clients = Array.from({ length: 10 }, () => world.client());
    for (const client of clients) world.subscribe(client, [chat("chat.a")]);
    for (const { sink } of clients) {
      sink.takes = () => {
        for (const client of clients) world.leave(client);
        return false;
      };
    }
    world.publish("chat.a");
    world.go();
    expect(clients.reduce((sum, { sink }) => sum + sink.writes, 0)).toBe(1);
    expectNothingLeft(world);
  });
});
