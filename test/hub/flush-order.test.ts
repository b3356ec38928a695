/**
 * Nobody waits for a crowd: a thousand readers whose kernel buffers are filling up with large messages took 150 ms of
 * the event loop at a time, and everybody else's publications waited for the whole of it.
 */
import { describe, expect, it } from "vitest";

import { chat, HubWorld, numbersOf, type Client } from "./hub-world.ts";

/** Readers who share an audience. */
function crowdOf(world: HubWorld, topic: string, count: number): Client[] {
  return Array.from({ length: count }, () => {
    const client = world.client();
    world.subscribe(client, [chat(topic)]);
    return client;
  });
}

const servedOf = (clients: readonly Client[], writes = 1): number =>
  clients.filter(({ sink }) => sink.writes >= writes).length;

describe("the order of flushes", () => {
  it("lets a short flush go before the rest of a long one", () => {
    const world = new HubWorld();
    const crowd = crowdOf(world, "chat.crowd", 350);
    const few = crowdOf(world, "chat.few", 3);
    world.publish("chat.crowd");
    expect(world.hub.turn(world.nowMs, 1)).toBeLessThanOrEqual(world.nowMs);
    expect(servedOf(crowd)).toBe(100);
    world.publish("chat.few");
    world.hub.turn(world.nowMs, 1);
    expect(servedOf(few)).toBe(3);
    expect(servedOf(crowd)).toBe(197);
    world.go();
    expect(servedOf(crowd)).toBe(350);
    expect(crowd.every(({ sink }) => sink.writes === 1)).toBe(true);
  });

  it("lets cheap writes to many go before dear ones to a few, though both are due", () => {
    const world = new HubWorld();
    const dear = crowdOf(world, "chat.dear", 150);
    const cheap = crowdOf(world, "chat.cheap", 300);
    let elapsedMs = 0;
    for (const { sink } of dear) sink.takes = () => (elapsedMs += 0.3) > 0;
    for (const { sink } of cheap) sink.takes = () => (elapsedMs += 0.01) > 0;
    const turn = (): number => {
      elapsedMs = 0;
      return world.hub.turn(world.nowMs, 5, () => elapsedMs);
    };
    // How much their writes cost is known from the first time.
    for (let round = 1; round <= 2; round += 1) {
      world.publish("chat.dear");
      world.publish("chat.cheap");
      const dueMs = turn();
      expect([servedOf(dear, round), servedOf(cheap, round)]).toEqual(round === 1 ? [32, 0] : [20, 300]);
      while (dueMs <= world.nowMs && servedOf(dear, round) < 150) turn();
    }
    world.go();
    for (const { sink } of [...dear, ...cheap]) expect(numbersOf(sink)).toEqual([1, 2]);
  });

  it("comes to the end of a long flush, however many short ones keep coming", () => {
    const world = new HubWorld();
    const crowd = crowdOf(world, "chat.crowd", 1000);
    // Each of them alone in its audience, and together more than a turn can do.
    const others = Array.from({ length: 150 }, (_, index) => crowdOf(world, `chat.own${index}`, 1)).flat();
    world.publish("chat.crowd");
    let turns = 0;
    while (servedOf(crowd) < 1000) {
      for (const index of others.keys()) world.publish(`chat.own${index}`);
      world.hub.turn(world.nowMs, 1);
      world.nowMs += 1;
      turns += 1;
      expect(turns).toBeLessThan(100);
    }
    world.go();
    for (const { sink } of others)
      expect(numbersOf(sink)).toEqual(Array.from({ length: turns }, (_, n) => n + 1));
  });

  it("does not put a flush back for long because the process stood still in it", () => {
    const world = new HubWorld();
    const crowd = crowdOf(world, "chat.crowd", 1000);
    world.publish("chat.crowd");
    world.hub.turn(world.nowMs, 5, () => 60_000);
    expect(servedOf(crowd)).toBe(16);
    world.nowMs += 250;
    const others = crowdOf(world, "chat.others", 5);
    world.publish("chat.others");
    world.hub.turn(world.nowMs, 1);
    expect([servedOf(crowd), servedOf(others)]).toEqual([116, 0]);
  });

  it("gives all of every topic to readers of several audiences, cut at any point", () => {
    const world = new HubWorld();
    const crowds = [70, 130, 40].map((count, index) => crowdOf(world, `chat.${index}`, count));
    const published: number[][] = [[], [], []];
    for (let round = 0; round < 40; round += 1) {
      for (const [index, numbers] of published.entries())
        if ((round + index) % (index + 1) === 0) numbers.push(world.publish(`chat.${index}`));
      world.hub.turn(world.nowMs, [0.1, 0.5, 2][round % 3]!);
      world.nowMs += round % 2;
    }
    world.go();
    for (const [index, crowd] of crowds.entries()) {
      for (const { sink } of crowd) expect(numbersOf(sink)).toEqual(published[index]);
    }
  });
});

describe("the budget of a turn", () => {
  it.each([
    { name: "short writes", data: '"x"', eachMs: 1, writes: 16 },
    { name: "writes of 30 KB", data: JSON.stringify("x".repeat(30_000)), eachMs: 2, writes: 3 },
    { name: "writes of 100 KB", data: JSON.stringify("x".repeat(100_000)), eachMs: 6, writes: 1 },
  ])("ends by the clock as well: $name", ({ data, eachMs, writes }) => {
    const world = new HubWorld();
    const crowd = crowdOf(world, "chat.crowd", 100);
    let elapsedMs = 0;
    for (const { sink } of crowd) {
      sink.takes = () => {
        elapsedMs += eachMs;
        return true;
      };
    }
    world.publish("chat.crowd", null, data);
    const next = world.hub.turn(world.nowMs, 5, () => elapsedMs);
    expect(servedOf(crowd)).toBe(writes);
    expect(next).toBeLessThanOrEqual(world.nowMs);
    world.go();
    expect(servedOf(crowd)).toBe(100);
  });

  it("ends by the clock between audiences too", () => {
    const world = new HubWorld();
    const clients = Array.from({ length: 100 }, (_, index) => crowdOf(world, `chat.own${index}`, 1)).flat();
    let elapsedMs = 0;
    for (const [index, { sink }] of clients.entries()) {
      sink.takes = () => {
        elapsedMs += 1;
        return true;
      };
      world.publish(`chat.own${index}`);
    }
    world.hub.turn(world.nowMs, 5, () => elapsedMs);
    expect(servedOf(clients)).toBe(16);
    world.go();
    expect(servedOf(clients)).toBe(100);
  });
});
