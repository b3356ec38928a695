/** PRODUCT: intervalMs. A class takes the newest value per topic when its time comes. */
import { describe, expect, it } from "vitest";

import { rateClassesMs, rateClassOf } from "../../src/hub/rate-class.ts";
import { chat, HubWorld, numbersOf, quote } from "./hub-world.ts";

describe("rounding up to a class", () => {
  it.each([
    { asked: 0, classMs: 0 },
    { asked: 0.1, classMs: 50 },
    { asked: 50, classMs: 50 },
    { asked: 51, classMs: 100 },
    { asked: 100.5, classMs: 250 },
    { asked: 250, classMs: 250 },
    { asked: 499, classMs: 500 },
    { asked: 501, classMs: 1000 },
    { asked: 1001, classMs: 2000 },
    { asked: 2001, classMs: 5000 },
    { asked: 5000, classMs: 5000 },
    { asked: 5001, classMs: 5000 },
    { asked: Number.POSITIVE_INFINITY, classMs: 5000 },
  ])("$asked ms → $classMs ms", ({ asked, classMs }) => {
    expect(rateClassOf(asked)).toBe(classMs);
  });
});

describe("delivery of a timed class", () => {
  it.each(rateClassesMs.filter((classMs) => classMs > 0))(
    "%i ms: the newest value at the end of each interval and nothing in between",
    (classMs) => {
      const world = new HubWorld();
      const client = world.client();
      world.subscribe(client, [quote("quote.A")], classMs);
      // The first value has waited long enough: nothing was given before.
      world.publish("quote.A");
      world.go();
      expect(numbersOf(client.sink)).toEqual([1]);
      const step = classMs / 5;
      for (let interval = 1; interval <= 3; interval += 1) {
        for (let part = 1; part <= 5; part += 1) {
          world.publish("quote.A");
          world.go(step - 1);
          expect(client.sink.writes, `interval ${interval}, part ${part}`).toBe(interval);
          world.go(1);
        }
        expect(client.sink.writes).toBe(interval + 1);
      }
      expect(numbersOf(client.sink)).toEqual([1, 6, 11, 16]);
    },
  );

  it("gives the newest value to a reader that drained while the flush of its interval was cut short", () => {
    const world = new HubWorld();
    const clients = [world.client(), world.client(), world.client()] as const;
    for (const client of clients) world.subscribe(client, [quote("quote.A")], 250);
    const [slow] = clients;
    slow.sink.takes = () => false;
    world.publish("quote.A");
    world.go();
    world.publish("quote.A");
    world.nowMs += 250;
    // One write, and then the turn is over.
    world.hub.turn(world.nowMs, 0.01);
    expect(clients.filter(({ sink }) => numbersOf(sink).includes(2))).toHaveLength(1);
    world.drain(slow);
    world.go();
    // Nothing more is published.
    world.go(250);
    expect(clients.map(({ sink }) => numbersOf(sink))).toEqual([
      [1, 2],
      [1, 2],
      [1, 2],
    ]);
  });

  it("gives a value that comes after a quiet time at once", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [quote("quote.A")], 1000);
    world.publish("quote.A");
    world.go();
    world.go(5000);
    world.publish("quote.A");
    world.go();
    expect(numbersOf(client.sink)).toEqual([1, 2]);
  });

  it("serves the classes of one topic side by side, and counts each replaced value for each reader", () => {
    const world = new HubWorld();
    const [live, slow, alsoSlow, slower] = [world.client(), world.client(), world.client(), world.client()];
    world.subscribe(live, [quote("quote.A")]);
    world.subscribe(slow, [quote("quote.A")], 100);
    world.subscribe(alsoSlow, [quote("quote.A")], 100);
    world.subscribe(slower, [quote("quote.A")], 250);
    world.publish("quote.A");
    world.go();
    for (let count = 0; count < 25; count += 1) {
      world.publish("quote.A");
      world.go(10);
    }
    expect(numbersOf(live.sink)).toEqual(Array.from({ length: 26 }, (_, index) => index + 1));
    expect(numbersOf(slow.sink)).toEqual([1, 11, 21]);
    expect(numbersOf(alsoSlow.sink)).toEqual([1, 11, 21]);
    expect(numbersOf(slower.sink)).toEqual([1, 26]);
    // Counted when the values are flushed that replaced the others: 9 + 9 for each of the two, 24 for the slower one.
    expect(world.hub.counters.conflated).toBe(18 * 2 + 24);
    world.go(100);
    // And 4 more: 26 − (delivered 4).
    expect(world.hub.counters.conflated).toBe(22 * 2 + 24);
  });

  it("keeps several topics of a class apart: each with its newest, in one write", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [quote("quote.A"), quote("quote.B"), quote("quote.C")], 250);
    world.publish("quote.A");
    world.go();
    for (const name of ["quote.A", "quote.B", "quote.A", "quote.B"]) world.publish(name);
    world.go(250);
    expect(client.sink.writes).toBe(2);
    expect(client.sink.received.slice(1).map(({ topic, seq }) => `${topic} ${seq}`)).toEqual([
      "quote.A 3",
      "quote.B 2",
    ]);
  });

  it("an untimed class conflates only within one flush", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [quote("quote.A"), chat("chat.a")]);
    world.publish("quote.A");
    world.publish("chat.a");
    world.publish("quote.A");
    world.publish("chat.a");
    world.go();
    expect(client.sink.received.map(({ topic, seq }) => `${topic} ${seq}`)).toEqual([
      "quote.A 2",
      "chat.a 1",
      "chat.a 2",
    ]);
    expect(world.hub.counters.conflated).toBe(1);
  });

  it("changes while live, and seq only rises", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [quote("quote.A")], 1000);
    const publishFor = (ms: number): void => {
      for (let elapsed = 0; elapsed < ms; elapsed += 50) {
        world.publish("quote.A");
        world.go(50);
      }
    };
    publishFor(1000);
    const slowCount = client.sink.writes;
    world.subscribe(client, [quote("quote.A")], 0);
    publishFor(1000);
    const liveCount = client.sink.writes - slowCount;
    world.subscribe(client, [quote("quote.A")], 5000);
    publishFor(1000);
    expect(slowCount).toBe(1);
    expect(liveCount).toBeGreaterThanOrEqual(20);
    expect(client.sink.writes - slowCount - liveCount).toBeLessThanOrEqual(1);
    const numbers = numbersOf(client.sink);
    expect(numbers).toEqual([...new Set(numbers)].toSorted((left, right) => left - right));
    expect(client.reader.memberships.map(({ audience }) => audience.classMs)).toEqual([5000]);
    expect(world.hub.counters.subscriptions).toBe(1);
  });

  it("an idle class costs no turns", () => {
    const world = new HubWorld();
    world.subscribe(world.client(), [quote("quote.A")], 50);
    world.go(10_000);
    const { flushes } = world.hub.counters;
    world.go(10_000);
    expect(world.hub.counters.flushes).toBe(flushes);
    expect(world.hub.turn(world.nowMs, 5)).toBe(Number.POSITIVE_INFINITY);
  });
});
