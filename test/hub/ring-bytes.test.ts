/** `limits.ringBytesTotalMax`: what all logs of a worker keep is bounded, and who misses something by it is told. */
import { describe, expect, it } from "vitest";

import { chat, HubWorld, lostOf, numbersOf, quote, wire } from "./hub-world.ts";
import type { Client } from "./hub-world.ts";

const data = (bytes: number): string => `"${"x".repeat(bytes - 2)}"`;

function reading(world: HubWorld, ...topics: Parameters<HubWorld["subscribe"]>[1][number][]): Client {
  const client = world.client();
  world.subscribe(client, topics);
  return client;
}

describe("the bytes of all rings", () => {
  it("are counted as publications come and go, and nothing is left when the topics are closed", () => {
    const world = new HubWorld({ ringMessagesMax: 3, lingerMs: 0 });
    const client = reading(world, chat("chat.a"), quote("quote.a"));
    for (const bytes of [10, 20, 30]) world.publish("chat.a", null, data(bytes));
    expect(world.hub.ringBytes).toBe(60);
    world.publish("chat.a", null, data(40));
    expect(world.hub.ringBytes, "the oldest of four has gone").toBe(90);
    world.publish("quote.a", null, data(500));
    expect(world.hub.ringBytes, "the value of a `latest` topic is no ring").toBe(90);
    world.leave(client);
    world.go(1);
    expect(world.closed).toHaveLength(2);
    expect(world.hub.ringBytes).toBe(0);
  });

  it("up to the limit everything is kept; one byte more empties what was published on longest ago", () => {
    const world = new HubWorld({ ringBytesMax: 300 });
    reading(world, chat("chat.a"), chat("chat.b"), chat("chat.c"));
    for (const name of ["chat.a", "chat.b", "chat.c"]) world.publish(name, null, data(100));
    expect([world.hub.ringBytes, world.ringsEmptied]).toEqual([300, 0]);
    world.publish("chat.b", null, data(10));
    // A quarter of the limit is free again: chat.a alone was enough, and chat.b was the newest.
    expect([world.hub.ringBytes, world.ringsEmptied]).toEqual([210, 1]);
    const kept = ["chat.a", "chat.b", "chat.c"].map((name) => world.log(name).recover(0)?.length ?? null);
    expect(kept).toEqual([null, 2, 1]);
  });

  it("a topic that is too much alone loses its oldest, and never its newest", () => {
    const world = new HubWorld({ ringBytesMax: 300 });
    reading(world, chat("chat.a"));
    for (let count = 0; count < 5; count += 1) world.publish("chat.a", null, data(100));
    expect(world.hub.ringBytes).toBe(300);
    world.publish("chat.a", null, data(1000));
    expect(world.hub.ringBytes).toBe(1000);
    expect(
      world
        .log("chat.a")
        .recover(5)
        ?.map(({ seq }) => seq),
    ).toEqual([6]);
    expect(world.log("chat.a").recover(4)).toBeNull();
  });

  it("readers that keep up get everything", () => {
    const world = new HubWorld({ ringBytesMax: 300 });
    const client = reading(world, chat("chat.a"), chat("chat.b"));
    for (let count = 0; count < 20; count += 1)
      world.publish(count % 2 === 0 ? "chat.a" : "chat.b", null, data(90));
    world.go();
    expect(client.sink.received).toHaveLength(20);
    expect(client.sink.isClosedForGap).toBe(false);
  });

  it("a reader that lags on an emptied ring is closed and resumes, or is told of the loss", () => {
    const world = new HubWorld({ ringBytesMax: 300 });
    const [resumes, told] = [reading(world, chat("chat.a")), reading(world, wire("wire.a"))];
    reading(world, chat("chat.b"));
    for (const { sink } of [resumes, told]) sink.takes = () => false;
    for (const name of ["chat.a", "wire.a"]) world.publish(name);
    world.go();
    for (const name of ["chat.a", "wire.a"]) world.publish(name);
    for (let count = 0; count < 3; count += 1) world.publish("chat.b", null, data(100));
    for (const client of [resumes, told]) world.drain(client);
    world.go();
    expect(resumes.sink.isClosedForGap).toBe(true);
    expect(told.sink.isClosedForGap).toBe(false);
    expect([numbersOf(told.sink), lostOf(told.sink)]).toEqual([[1], [1]]);
  });
});
