/** Readers who stopped together miss the same: it is sealed once for all of them, as long as nobody takes it. */
import { describe, expect, it } from "vitest";

import type { Variant } from "../../src/hub/entry.ts";
import type { Client } from "./hub-world.ts";
import { chat, HubWorld, numbersOf, quote } from "./hub-world.ts";

/** A reader of `topic` whose kernel takes nothing, and all that it is given. */
function stopped(world: HubWorld, topic: ReturnType<typeof chat>, variant: Variant = "native") {
  const client = world.client(variant);
  world.subscribe(client, [topic]);
  client.sink.takes = () => false;
  const given: Uint8Array[] = [];
  const write = client.sink.write.bind(client.sink);
  client.sink.write = (bytes) => {
    given.push(bytes);
    return write(bytes);
  };
  return { client, given };
}

/** The kernel takes what there is and nothing of what comes then. */
function drainOnce(world: HubWorld, { sink, reader }: Client): void {
  sink.drain();
  world.hub.drained(reader, world.nowMs);
}

describe("what lagging readers miss together", () => {
  it.each([chat("chat.a"), quote("quote.a")])("is sealed once: $delivery", (topic) => {
    const world = new HubWorld();
    const readers = [1, 2, 3].map(() => stopped(world, topic));
    for (let round = 0; round < 3; round += 1) {
      world.publish(topic.name);
      world.go();
      for (const { client } of readers) drainOnce(world, client);
    }
    for (const { client, given } of readers) {
      expect(numbersOf(client.sink)).toEqual([1, 2, 3]);
      expect(given).toHaveLength(3);
      for (const [index, bytes] of given.entries()) expect(bytes).toBe(readers[0]?.given[index]);
    }
  });

  it("stays what it is while others are written to", () => {
    const world = new HubWorld();
    const [slow, slower] = [stopped(world, chat("chat.a")), stopped(world, chat("chat.a"))];
    const quick = world.client();
    world.subscribe(quick, [chat("chat.a")]);
    world.publish("chat.a");
    world.go();
    world.publish("chat.a");
    world.go();
    drainOnce(world, slow.client);
    const before = Buffer.from(slow.given[1] ?? []);
    for (let count = 0; count < 10; count += 1) {
      world.publish("chat.a", null, JSON.stringify({ n: count + 3, x: "x".repeat(count * 1000) }));
      world.go();
    }
    expect(Buffer.from(slow.given[1] ?? []).equals(before)).toBe(true);
    // One that missed more is given more.
    world.drain(slower.client);
    world.drain(slow.client);
    expect(numbersOf(slower.client.sink)).toEqual(numbersOf(quick.sink));
    expect(numbersOf(slow.client.sink)).toEqual(numbersOf(quick.sink));
  });

  it("is not what readers of another variant, or of another topic as well, are given", () => {
    const world = new HubWorld();
    const native = stopped(world, chat("chat.a"));
    const raw = stopped(world, chat("chat.a"), "raw");
    const both = stopped(world, chat("chat.a"));
    world.subscribe(both.client, [chat("chat.b")]);
    for (const name of ["chat.a", "chat.a", "chat.b"]) {
      world.publish(name);
      world.go();
    }
    for (const { client } of [native, raw, both]) drainOnce(world, client);
    expect(String(raw.given[1])).toContain('{"n":2}');
    expect(String(raw.given[1])).not.toContain("topic");
    expect(String(native.given[1])).toContain('"topic":"chat.a","seq":2');
    expect(String(both.given.at(-1))).toContain('"topic":"chat.b","seq":1');
  });
});
