/** Of a `latest` topic that everybody wants at intervals, a publication takes the place of the one that waits. */
import { describe, expect, it } from "vitest";
import { HubWorld, numbersOf, quote } from "./hub-world.ts";

/** Two audiences that have been given the first value: what comes now waits. */
function waiting(): { world: HubWorld; clients: ReturnType<HubWorld["client"]>[] } {
  const world = new HubWorld();
  const clients = [world.client(), world.client(), world.client()];
  for (const client of clients.slice(0, 2)) world.subscribe(client, [quote("quote.A")], 250);
  world.subscribe(clients[2]!, [quote("quote.A")], 1000);
  world.publish("quote.A");
  world.go();
  for (const { sink } of clients) expect(numbersOf(sink)).toEqual([1]);
  return { world, clients };
}

describe("a value in the place of the one that waits", () => {
  it("is one object for as long as nobody has been given it", () => {
    const { world } = waiting();
    world.publish("quote.A");
    const waits = world.log("quote.A").newest;
    world.publish("quote.A");
    expect(world.log("quote.A").newest).toBe(waits);
    expect([waits?.seq, waits?.position, waits?.data]).toEqual([3, 3, '{"n":3}']);
    world.go(250);
    world.publish("quote.A");
    expect(world.log("quote.A").newest).not.toBe(waits);
    expect(waits?.seq).toBe(3);
  });

  it("reaches every audience, and is counted for each reader of what it replaced", () => {
    const { world, clients } = waiting();
    for (let count = 0; count < 4; count += 1) world.publish("quote.A");
    expect(world.hub.counters.conflated).toBe(0);
    world.go(250);
    expect(clients.map(({ sink }) => numbersOf(sink))).toEqual([[1, 5], [1, 5], [1]]);
    expect(world.hub.counters.conflatedByClass["250"]).toBe(6);
    world.publish("quote.A");
    world.publish("quote.A");
    world.go(750);
    expect(clients.map(({ sink }) => numbersOf(sink))).toEqual([
      [1, 5, 7],
      [1, 5, 7],
      [1, 7],
    ]);
    expect(world.hub.counters.conflatedByClass).toMatchObject({ "250": 8, "1000": 5 });
  });

  it("leaves alone what a flush on its way still owes to the rest of the audience", () => {
    const world = new HubWorld();
    const clients = Array.from({ length: 5 }, () => world.client());
    for (const client of clients) world.subscribe(client, [quote("quote.A")], 250);
    world.publish("quote.A");
    // Two writes, and a pause.
    world.hub.turn(world.nowMs, 0.02);
    expect(clients.filter(({ sink }) => sink.writes > 0)).toHaveLength(2);
    world.publish("quote.A");
    world.publish("quote.A");
    world.go();
    for (const { sink } of clients) expect(numbersOf(sink)).toEqual([1]);
    world.go(250);
    for (const { sink } of clients) expect(numbersOf(sink)).toEqual([1, 3]);
  });

  it("is not what a reader was told that settled in between", () => {
    const { world, clients } = waiting();
    world.publish("quote.A");
    // Its other change takes along what it is owed: the frame of the value that waits is made for it.
    world.subscribe(clients[0]!, [quote("quote.B")], 1000);
    expect(numbersOf(clients[0]!.sink)).toEqual([1, 2]);
    world.publish("quote.A");
    world.go(250);
    expect(numbersOf(clients[0]!.sink)).toEqual([1, 2, 3]);
    expect(numbersOf(clients[1]!.sink)).toEqual([1, 3]);
    expect(world.hub.counters.conflatedByClass["250"]).toBe(2);
  });

  it("reaches who joins an audience whose readers all lag", () => {
    const world = new HubWorld();
    const clients = [world.client(), world.client(), world.client()];
    for (const client of clients.slice(0, 2)) world.subscribe(client, [quote("quote.A")], 250);
    world.subscribe(clients[2]!, [quote("quote.A")], 50);
    world.publish("quote.A");
    world.go(10);
    world.publish("quote.A");
    world.go(50);
    for (const { sink, reader } of clients.slice(0, 2)) {
      sink.takes = () => false;
      expect(world.hub.settle(reader, world.nowMs)).toBe(false);
    }
    // The value that waited there was given to the other audience: this is another object.
    world.publish("quote.A");
    const late = world.client();
    world.subscribe(late, [quote("quote.A")], 250);
    world.publish("quote.A");
    world.go(250);
    expect(numbersOf(late.sink)).toEqual([4]);
    for (const client of clients.slice(0, 2)) {
      world.drain(client);
      world.go(250);
      expect(numbersOf(client.sink)).toEqual([1, 2, 4]);
    }
    expect(numbersOf(clients[2]!.sink)).toEqual([1, 2, 4]);
  });

  it("is not used where somebody wants every value at once: the window is as wide as what they want", () => {
    const { world } = waiting();
    const prompt = world.client();
    world.subscribe(prompt, [quote("quote.A")]);
    world.hub.windowMs = 20;
    world.publish("quote.A");
    world.go();
    const before = world.hub.counters.wantedWrites;
    for (let count = 0; count < 3; count += 1) {
      world.nowMs += 2;
      world.publish("quote.A");
    }
    expect(world.hub.counters.wantedWrites).toBe(before + 3);
  });
});
