/** PRODUCT §4 and RFC 7692: what an audience shares is compressed once; attackers' text and secrets never together. */
import { describe, expect, it } from "vitest";

import { deflateCounters } from "../../src/codec/deflate-counters.ts";
import { chat, HubWorld, quote, wire, type Client } from "./hub-world.ts";

const boards = Array.from({ length: 20 }, (_, index) => quote(`quote.S${index}`));

/** One value for each of the first `count` quotes. */
function publishQuotes(world: HubWorld, count = 20): void {
  for (const { name } of boards.slice(0, count)) {
    world.publish(name, null, JSON.stringify({ price: 189.3, volume: 12_000, time: 1_795_338_789_954 }));
  }
}

function lines(client: Client): string[] {
  return client.sink.messages.flatMap((message) => message.split("\n"));
}

describe("permessage-deflate in the hub", () => {
  it("compresses a batch once for all members, to a quarter", () => {
    const world = new HubWorld();
    const plain = world.client("batch");
    const members = [
      world.client("batch+deflate"),
      world.client("batch+deflate"),
      world.client("batch+deflate"),
    ];
    for (const client of [plain, ...members]) world.subscribe(client, boards);
    world.go();
    expect(world.hub.counters.audiences).toBe(2);
    const before = deflateCounters.deflated;
    publishQuotes(world);
    world.go();
    expect(deflateCounters.deflated - before).toBe(1);
    expect(plain.sink.compressed).toEqual([]);
    for (const { sink } of members) {
      expect(sink.writes).toBe(1);
      expect(sink.compressed).toEqual(plain.sink.messages);
      expect(sink.bytes).toBeLessThan(plain.sink.bytes / 4);
    }
  });

  it("leaves a small batch plain", () => {
    const world = new HubWorld();
    const client = world.client("batch+deflate");
    world.subscribe(client, boards);
    publishQuotes(world, 3);
    world.go();
    expect([client.sink.messages.length, client.sink.compressed.length]).toEqual([1, 0]);
  });

  it("DF10: topics that clients publish on, or that need a token, come in a plain message of their own", () => {
    const world = new HubWorld();
    const client = world.client("batch+deflate");
    world.subscribe(client, [...boards, chat("chat.a")]);
    world.publish("chat.a", null, JSON.stringify("x".repeat(2000)));
    publishQuotes(world);
    world.publish("chat.a", null, '"bye"');
    world.go();
    const { messages, compressed } = client.sink;
    expect(client.sink.writes).toBe(1);
    expect(messages).toHaveLength(2);
    expect(compressed).toEqual([messages[0]]);
    expect(messages[0]).not.toContain("chat.a");
    expect(messages[1]?.split("\n").map((line) => (JSON.parse(line) as { topic: string }).topic)).toEqual([
      "chat.a",
      "chat.a",
    ]);
    expect(lines(client)).toHaveLength(22);
  });

  it("DF10: a batch of such topics alone stays plain", () => {
    const world = new HubWorld();
    const client = world.client("batch+deflate");
    world.subscribe(client, [chat("chat.a"), chat("chat.b")]);
    for (const name of ["chat.a", "chat.b"]) world.publish(name, null, JSON.stringify("x".repeat(2000)));
    world.go();
    expect([client.sink.messages.length, client.sink.compressed.length]).toEqual([1, 0]);
  });

  it.each(["native", "raw"] as const)(
    "%s: compresses a long publication alone, once for all audiences",
    (variant) => {
      const world = new HubWorld();
      const [one, other, plain] = [
        world.client(`${variant}+deflate`),
        world.client(`${variant}+deflate`),
        world.client(variant),
      ];
      world.subscribe(one, [wire("wire.a")]);
      world.subscribe(other, [wire("wire.a"), wire("wire.b")]);
      world.subscribe(plain, [wire("wire.a")]);
      world.go();
      const before = deflateCounters.deflated;
      world.publish("wire.a", null, '{"n":1}');
      world.publish("wire.a", null, JSON.stringify({ text: "tape".repeat(300) }));
      world.go();
      expect(deflateCounters.deflated - before).toBe(1);
      for (const { sink } of [one, other]) {
        expect(sink.messages).toEqual(plain.sink.messages);
        expect(sink.compressed).toEqual(sink.messages.slice(1));
      }
      expect(plain.sink.compressed).toEqual([]);
    },
  );

  it("a publication that does not shrink is tried once and stays plain", () => {
    const world = new HubWorld();
    const clients = [world.client("native+deflate"), world.client("native+deflate")];
    world.subscribe(clients[0]!, [wire("wire.a")]);
    world.subscribe(clients[1]!, [wire("wire.a"), wire("wire.b")]);
    world.go();
    const before = deflateCounters.unshrinkable;
    // Digits of a chaotic map, in an alphabet of 64: nothing repeats.
    let state = 0.4;
    const noise = Array.from({ length: 700 }, () => {
      state = 3.999 * state * (1 - state);
      return String.fromCodePoint(0x30 + Math.floor(((state * 1e6) % 1) * 76));
    }).join("");
    world.publish("wire.a", null, JSON.stringify(noise.replaceAll("\\", "~")));
    world.go();
    expect(deflateCounters.unshrinkable - before).toBe(1);
    for (const { sink } of clients) expect([sink.messages.length, sink.compressed.length]).toEqual([1, 0]);
  });

  it("what goes to one reader alone is never compressed", () => {
    const world = new HubWorld();
    const client = world.client("batch+deflate");
    world.subscribe(client, boards);
    client.sink.takes = () => false;
    publishQuotes(world);
    world.go();
    publishQuotes(world);
    world.go();
    client.sink.takes = () => true;
    client.sink.drain();
    const before = client.sink.compressed.length;
    world.hub.drained(client.reader, world.nowMs);
    expect(lines(client)).toHaveLength(40);
    expect(client.sink.compressed).toHaveLength(before);
  });

  it("compresses for audiences of one only while that takes little; for many always", () => {
    const world = new HubWorld();
    const few = world.client("batch+deflate");
    world.subscribe(few, boards);
    const many = Array.from({ length: 16 }, () => world.client("batch+deflate"));
    for (const client of many) world.subscribe(client, [...boards, wire("wire.b")]);
    world.go();
    const flushes = 1100;
    for (let flush = 0; flush < flushes; flush += 1) {
      publishQuotes(world);
      world.go(0);
    }
    // 20,000 publications, with the burst of a second, 20 a flush.
    expect(few.sink.compressed).toHaveLength(1000);
    expect(few.sink.messages).toHaveLength(flushes);
    expect(many[0]!.sink.compressed).toHaveLength(flushes);
    world.go(100);
    publishQuotes(world);
    world.go(0);
    expect(few.sink.compressed).toHaveLength(1001);
  });
});
