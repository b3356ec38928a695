/** PRODUCT: above samplePerSecMax the number left out is told, at most one `lost` per topic and second. */
import { describe, expect, it } from "vitest";

import { danmaku, HubWorld, lostOf, numbersOf, wire } from "./hub-world.ts";

function burst(world: HubWorld, count: number): void {
  for (let index = 0; index < count; index += 1) world.publish("danmaku.a");
}

describe("lost events of a crowd", () => {
  it("tells all readers the same number, a second after the first was left out", () => {
    const world = new HubWorld();
    const clients = [world.client(), world.client()];
    for (const client of clients) world.subscribe(client, [danmaku("danmaku.a", 5)]);
    burst(world, 105);
    world.go(999);
    expect(clients.map(({ sink }) => lostOf(sink))).toEqual([[], []]);
    world.go(1);
    expect(clients.map(({ sink }) => lostOf(sink))).toEqual([[100], [100]]);
    expect(clients[0]!.sink.received.at(-1)).toEqual({
      event: "lost",
      topic: "danmaku.a",
      count: 100,
      reason: "sampled",
    });
    expect(world.hub.counters).toMatchObject({ sampledOut: 100, lostEvents: 2 });
    world.go(10_000);
    expect(clients.map(({ sink }) => lostOf(sink))).toEqual([[100], [100]]);
  });

  it("comes at most once a second while the crowd goes on, and adds up", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [danmaku("danmaku.a", 10)]);
    const toldMs: number[] = [];
    let seen = 0;
    for (let step = 0; step < 500; step += 1) {
      burst(world, 3);
      world.go(10);
      if (lostOf(client.sink).length > seen) {
        seen = lostOf(client.sink).length;
        toldMs.push(world.nowMs);
      }
    }
    world.go(1000);
    expect(toldMs.length).toBeGreaterThanOrEqual(4);
    for (const [index, atMs] of toldMs.entries()) {
      if (index > 0) expect(atMs - toldMs[index - 1]!).toBeGreaterThanOrEqual(1000);
    }
    const lost = lostOf(client.sink).reduce((sum, count) => sum + count, 0);
    expect(numbersOf(client.sink).length + lost).toBe(1500);
  });

  it("tells who joined meanwhile only what was left out since", () => {
    const world = new HubWorld();
    const [first, second] = [world.client(), world.client()];
    world.subscribe(first, [danmaku("danmaku.a", 5)]);
    burst(world, 25);
    world.subscribe(second, [danmaku("danmaku.a", 5)]);
    burst(world, 7);
    world.go(1000);
    expect([lostOf(first.sink), lostOf(second.sink)]).toEqual([[27], [7]]);
  });

  it("tells nobody who left, and begins anew for who comes back", () => {
    const world = new HubWorld();
    const [stays, goes] = [world.client(), world.client()];
    for (const client of [stays, goes]) world.subscribe(client, [danmaku("danmaku.a", 5)]);
    burst(world, 25);
    world.unsubscribe(goes, "danmaku.a");
    burst(world, 10);
    world.subscribe(goes, [danmaku("danmaku.a", 5)]);
    burst(world, 3);
    world.go(1000);
    expect([lostOf(stays.sink), lostOf(goes.sink)]).toEqual([[33], [3]]);
  });

  it("tells a reader whose socket was full the next time, and all of it", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [danmaku("danmaku.a", 5)]);
    burst(world, 25);
    world.go();
    client.sink.isFull = true;
    world.go(1000);
    expect(lostOf(client.sink)).toEqual([]);
    client.sink.isFull = false;
    world.go(999);
    expect(lostOf(client.sink)).toEqual([]);
    world.go(1);
    expect(lostOf(client.sink)).toEqual([20]);
  });

  it("tells a reader that lagged what the crowd missed and what it missed itself, once", () => {
    const world = new HubWorld({ ringMessagesMax: 8 });
    const client = world.client();
    world.subscribe(client, [danmaku("danmaku.a", 20)]);
    client.sink.takes = () => false;
    burst(world, 1);
    world.go();
    burst(world, 59);
    world.go(500);
    world.drain(client);
    world.go(2000);
    const lost = lostOf(client.sink).reduce((sum, count) => sum + count, 0);
    expect(numbersOf(client.sink).length + lost).toBe(60);
  });

  it("counts what the broker says is gone", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [danmaku("danmaku.a", 5)]);
    world.hub.gap("danmaku.a", { epoch: "1", seq: 42 }, 42, world.nowMs);
    world.go(1000);
    expect(lostOf(client.sink)).toEqual([42]);
    expect(client.sink.isOpen).toBe(true);
  });
});

describe("a sender's own message", () => {
  it("always comes back to the sender, in order, and is no part of its lost count", () => {
    const world = new HubWorld();
    const [sender, other] = [world.client(), world.client()];
    for (const client of [sender, other]) world.subscribe(client, [danmaku("danmaku.a", 5)]);
    burst(world, 10);
    const own = [world.publish("danmaku.a", sender), world.publish("danmaku.a", sender)];
    burst(world, 10);
    world.go();
    expect(numbersOf(sender.sink)).toEqual([1, 2, 3, 4, 5, ...own]);
    expect(numbersOf(other.sink)).toEqual([1, 2, 3, 4, 5]);
    world.go(1000);
    expect([lostOf(sender.sink), lostOf(other.sink)]).toEqual([[15], [17]]);
    // The sender is back among the others.
    world.publish("danmaku.a");
    world.go();
    expect(sender.reader.memberships.map(({ state }) => state)).toEqual(["member"]);
  });

  it("comes back once when it belongs to the sample", () => {
    const world = new HubWorld();
    const sender = world.client();
    world.subscribe(sender, [danmaku("danmaku.a", 5)]);
    world.publish("danmaku.a", sender);
    world.go();
    world.go(1000);
    expect(numbersOf(sender.sink)).toEqual([1]);
  });

  it("comes back to a sender that lags, also when the ring has moved past it", () => {
    const world = new HubWorld({ ringMessagesMax: 4 });
    const sender = world.client();
    world.subscribe(sender, [danmaku("danmaku.a", 1000)]);
    sender.sink.takes = () => false;
    burst(world, 1);
    world.go();
    const own = world.publish("danmaku.a", sender);
    burst(world, 20);
    world.go();
    world.drain(sender);
    world.go(2000);
    expect(numbersOf(sender.sink)).toEqual([1, own, 19, 20, 21, 22]);
    expect(lostOf(sender.sink)).toEqual([16]);
  });

  it("comes back to a sender that was found lagging only at the flush, also when the ring has moved past it", () => {
    const world = new HubWorld({ ringMessagesMax: 4 });
    const sender = world.client();
    world.subscribe(sender, [danmaku("danmaku.a", 1000)]);
    const own = world.publish("danmaku.a", sender);
    // Something else filled the socket before the flush.
    sender.sink.isFull = true;
    world.go();
    burst(world, 20);
    world.go();
    world.drain(sender);
    world.go(2000);
    expect(numbersOf(sender.sink)).toEqual([own, 18, 19, 20, 21]);
    expect(lostOf(sender.sink)).toEqual([16]);
  });

  it("comes back however much a flush that was cut short still owes the sender", () => {
    const world = new HubWorld({ ringMessagesMax: 4 });
    const clients = [world.client(), world.client()];
    for (const client of clients) world.subscribe(client, [danmaku("danmaku.a", 6), wire("wire.a")]);
    burst(world, 6);
    for (let count = 0; count < 10; count += 1) world.publish("wire.a");
    // One write, and then the turn is over: one of the two has nothing yet.
    world.hub.turn(world.nowMs, 0.01);
    const sender = clients.find(({ sink }) => sink.messages.length === 0)!;
    const own = [world.publish("danmaku.a", sender), world.publish("danmaku.a", sender)];
    world.go();
    const ofDanmaku = sender.sink.received.filter(({ topic }) => topic === "danmaku.a");
    expect(ofDanmaku.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, ...own]);
    expect(sender.sink.received).toHaveLength(18);
  });

  it("is not given to a sender that does not read the topic", () => {
    const world = new HubWorld();
    const [sender, reader] = [world.client(), world.client()];
    world.subscribe(reader, [danmaku("danmaku.a", 5)]);
    burst(world, 10);
    world.publish("danmaku.a", sender);
    world.go(2000);
    expect(sender.sink.messages).toEqual([]);
  });

  it("a sender that floods a full socket is bounded, and told of the rest", () => {
    const world = new HubWorld({ ringMessagesMax: 4 });
    const sender = world.client();
    world.subscribe(sender, [danmaku("danmaku.a", 1)]);
    sender.sink.takes = () => false;
    burst(world, 1);
    world.go();
    for (let count = 0; count < 10; count += 1) world.publish("danmaku.a", sender);
    expect(sender.reader.memberships[0]!.extras).toHaveLength(4);
    world.drain(sender);
    world.go(2000);
    const lost = lostOf(sender.sink).reduce((sum, count) => sum + count, 0);
    expect(numbersOf(sender.sink).length + lost).toBe(11);
  });
});
