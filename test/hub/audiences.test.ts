/** DESIGN: readers with the same topics share an audience; a reader with a set of its own changes it in place. */
import { afterEach, describe, expect, it, vi } from "vitest";

import { AudienceRegistry } from "../../src/hub/audience-registry.ts";
import { Audience } from "../../src/hub/audience.ts";
import type { Reader } from "../../src/hub/reader.ts";
import { RingBytes } from "../../src/hub/ring-bytes.ts";
import { TopicLog } from "../../src/hub/topic-log.ts";
import { chat, HubWorld, numbersOf, quote } from "./hub-world.ts";

const logOf = (name: string, hash: number): TopicLog =>
  new TopicLog(quote(name), 4, new RingBytes(1024, () => undefined), () => hash / 0x1_0000_0000);
const audienceOf = (reader: Reader, classMs = 0): Audience => reader.membershipOf(classMs)!.audience;

describe("who shares an audience", () => {
  it.each([
    {
      name: "the same topics in another order",
      topics: ["b", "a"],
      variant: "native",
      classMs: 0,
      shared: true,
    },
    { name: "a subset", topics: ["a"], variant: "native", classMs: 0, shared: false },
    { name: "a superset", topics: ["a", "b", "c"], variant: "native", classMs: 0, shared: false },
    {
      name: "another set of the same size",
      topics: ["a", "c"],
      variant: "native",
      classMs: 0,
      shared: false,
    },
    { name: "another variant", topics: ["a", "b"], variant: "batch", classMs: 0, shared: false },
    { name: "another rate class", topics: ["a", "b"], variant: "native", classMs: 250, shared: false },
  ] as const)("$name: $shared", ({ topics, variant, classMs, shared }) => {
    // prettier-ignore
    const world = new HubWorld();
    const first = world.client();
    world.subscribe(first, [quote("quote.a"), quote("quote.b")]);
    const second = world.client(variant);
    world.subscribe(
      second,
      topics.map((name) => quote(`quote.${name}`)),
      classMs,
    );
    expect(audienceOf(second.reader, classMs) === audienceOf(first.reader)).toBe(shared);
    expect(world.hub.counters.audiences).toBe(shared ? 1 : 2);
    expect(world.hub.counters.subscriptions).toBe(2 + topics.length);
  });

  it("one member of many that changes its topics leaves; the others keep theirs", () => {
    const world = new HubWorld();
    const [stays, goes] = [world.client(), world.client()];
    for (const client of [stays, goes]) world.subscribe(client, [chat("chat.a"), chat("chat.b")]);
    const shared = audienceOf(stays.reader);
    world.unsubscribe(goes, "chat.b");
    world.subscribe(goes, [chat("chat.c")]);
    expect(audienceOf(stays.reader)).toBe(shared);
    expect([...shared.topics.keys()].map(({ topic }) => topic.name)).toEqual(["chat.a", "chat.b"]);
    for (const name of ["chat.a", "chat.b", "chat.c"]) world.publish(name);
    world.go();
    expect(stays.sink.received.map(({ topic }) => topic)).toEqual(["chat.a", "chat.b"]);
    expect(goes.sink.received.map(({ topic }) => topic)).toEqual(["chat.a", "chat.c"]);
  });

  it("leaving a shared set with entries pending gives them first, once", () => {
    const world = new HubWorld();
    const [stays, goes] = [world.client(), world.client()];
    for (const client of [stays, goes]) world.subscribe(client, [chat("chat.a")]);
    world.publish("chat.a");
    world.unsubscribe(goes, "chat.a");
    expect(numbersOf(goes.sink)).toEqual([1]);
    world.publish("chat.a");
    world.go();
    expect(numbersOf(goes.sink)).toEqual([1]);
    expect(numbersOf(stays.sink)).toEqual([1, 2]);
  });

  it("who joins while entries are pending gets only what comes after", () => {
    const world = new HubWorld();
    const [first, second] = [world.client(), world.client()];
    world.subscribe(first, [chat("chat.a")]);
    world.publish("chat.a");
    world.subscribe(second, [chat("chat.a")]);
    world.publish("chat.a");
    world.go();
    world.publish("chat.a");
    world.go();
    expect(numbersOf(first.sink)).toEqual([1, 2, 3]);
    expect(numbersOf(second.sink)).toEqual([2, 3]);
  });
});

describe("a set of one's own", () => {
  it("changes in place: the audience stays", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [chat("chat.a")]);
    const before = audienceOf(client.reader);
    world.subscribe(client, [chat("chat.b")]);
    world.unsubscribe(client, "chat.a");
    expect(audienceOf(client.reader)).toBe(before);
    world.publish("chat.a");
    world.publish("chat.b");
    world.go();
    expect(client.sink.received.map(({ topic }) => topic)).toEqual(["chat.b"]);
  });

  it("joins those with the same set after it has rested for a second", () => {
    const world = new HubWorld();
    const [one, other] = [world.client(), world.client()];
    world.subscribe(one, [chat("chat.a"), chat("chat.b")]);
    world.subscribe(other, [chat("chat.a")]);
    world.subscribe(other, [chat("chat.b")]);
    world.go(999);
    expect(world.hub.counters.audiences).toBe(2);
    world.go(1);
    expect(world.hub.counters.audiences).toBe(1);
    expect(audienceOf(other.reader)).toBe(audienceOf(one.reader));
    world.publish("chat.a");
    world.go();
    expect([one.sink.writes, other.sink.writes]).toEqual([1, 1]);
  });

  it("the second begins again with each change", () => {
    const world = new HubWorld();
    const [one, other] = [world.client(), world.client()];
    world.subscribe(one, [chat("chat.a"), chat("chat.b")]);
    world.subscribe(other, [chat("chat.a")]);
    world.subscribe(other, [chat("chat.b"), chat("chat.c")]);
    world.go(600);
    world.unsubscribe(other, "chat.c");
    world.go(600);
    expect(world.hub.counters.audiences).toBe(2);
    world.go(400);
    expect(world.hub.counters.audiences).toBe(1);
  });

  it("joining the others loses nothing and gives nothing twice, whatever is pending on either side", () => {
    const world = new HubWorld();
    const [one, other] = [world.client(), world.client()];
    world.subscribe(one, [chat("chat.a"), chat("chat.b")]);
    world.subscribe(other, [chat("chat.a")]);
    world.subscribe(other, [chat("chat.b")]);
    world.hub.windowMs = 50;
    world.publish("chat.a");
    world.go(970);
    world.publish("chat.a");
    // Due in the same turn as the merge, which comes first.
    world.go(30);
    world.publish("chat.a");
    world.go(100);
    expect(audienceOf(other.reader)).toBe(audienceOf(one.reader));
    expect(numbersOf(one.sink)).toEqual([1, 2, 3]);
    expect(numbersOf(other.sink)).toEqual([1, 2, 3]);
  });

  it("a reader that is slow at that moment joins them later", () => {
    const world = new HubWorld();
    const [one, other] = [world.client(), world.client()];
    world.subscribe(one, [chat("chat.a"), chat("chat.b")]);
    world.subscribe(other, [chat("chat.a")]);
    world.subscribe(other, [chat("chat.b")]);
    other.sink.isFull = true;
    world.publish("chat.a");
    world.go(500);
    world.go(2500);
    expect(world.hub.counters.audiences).toBe(2);
    world.drain(other);
    world.go(1000);
    expect(world.hub.counters.audiences).toBe(1);
    world.publish("chat.a");
    world.go();
    expect(numbersOf(other.sink)).toEqual([1, 2]);
  });

  it("is found by those who come later, once it has rested", () => {
    const world = new HubWorld();
    const [one, other] = [world.client(), world.client()];
    world.subscribe(one, [chat("chat.a")]);
    world.subscribe(one, [chat("chat.b")]);
    world.go(1000);
    world.subscribe(other, [chat("chat.b"), chat("chat.a")]);
    expect(world.hub.counters.audiences).toBe(1);
  });

  it("goes with its last topic and frees the reader's place", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [chat("chat.a"), chat("chat.b")]);
    world.subscribe(client, [chat("chat.c")]);
    world.unsubscribe(client, "chat.a", "chat.b", "chat.c");
    expect(client.reader.memberships).toEqual([]);
    expect(world.hub.counters).toMatchObject({ audiences: 0, subscriptions: 0 });
    // The timer of its last change finds nothing to do.
    world.go(2000);
    expect(world.hub.counters.audiences).toBe(0);
  });

  it("takes a topic's pending entries along when the topic goes, and only those", () => {
    const audience = new Audience("native", 0, 0);
    const logs = [chat("chat.a"), quote("quote.b"), chat("chat.c")].map(
      (topic) => new TopicLog(topic, 4, new RingBytes(1024, () => undefined), () => 0.5),
    );
    const reader = { audience } as never;
    audience.members.push(reader);
    for (const log of logs) audience.addTopic(log);
    const append = (log: TopicLog, order: number): void =>
      audience.append(log.audiences[0]!, log.arrive(order, order, "1", null, 0));
    append(logs[0]!, 1);
    append(logs[1]!, 2);
    append(logs[2]!, 3);
    append(logs[0]!, 4);
    audience.removeTopic(logs[0]!);
    expect(audience.pending.map(({ order }) => order)).toEqual([2, 3]);
    // A newer value still finds the place of the one it replaces.
    append(logs[1]!, 5);
    audience.countConflated();
    expect(audience.conflated).toBe(1);
    expect(audience.pending.map(({ order }) => order)).toEqual([5, 3]);
    expect(logs[0]!.audiences).toEqual([]);
    audience.removeTopic(logs[0]!);
    expect(audience.topics.size).toBe(2);
  });
});

describe("1,024 single subscribes in a row", () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it("hash no set anew and make no audience each", () => {
    const find = vi.spyOn(AudienceRegistry.prototype, "findOrCreate");
    const twin = vi.spyOn(AudienceRegistry.prototype, "findTwin");
    const addTopic = vi.spyOn(Audience.prototype, "addTopic");
    const world = new HubWorld();
    const client = world.client();
    for (let index = 0; index < 1024; index += 1) {
      world.subscribe(client, [quote(`quote.${index}`)]);
      world.go(1);
    }
    expect(client.reader.topicCount).toBe(1024);
    expect(find).toHaveBeenCalledTimes(1);
    expect(addTopic).toHaveBeenCalledTimes(1024);
    expect(twin).toHaveBeenCalledTimes(0);
    world.go(2000);
    expect(twin).toHaveBeenCalledTimes(1);
    expect(world.hub.counters).toMatchObject({ audiences: 1, subscriptions: 1024, topics: 1024 });
  });

  it("leave a set that two share once, not 1,024 times", () => {
    const find = vi.spyOn(AudienceRegistry.prototype, "findOrCreate");
    const world = new HubWorld();
    const [one, other] = [world.client(), world.client()];
    world.subscribe(one, [quote("quote.shared")]);
    world.subscribe(other, [quote("quote.shared")]);
    for (let index = 0; index < 100; index += 1) world.subscribe(other, [quote(`quote.${index}`)]);
    expect(find).toHaveBeenCalledTimes(3);
  });
});

describe("AudienceRegistry", () => {
  it("never mixes sets whose hashes collide", () => {
    const registry = new AudienceRegistry();
    // 5 ^ 6 = 3 and 1 ^ 2 = 3.
    const [a, b, c, d] = [logOf("a", 5), logOf("b", 6), logOf("c", 1), logOf("d", 2)];
    const first = registry.findOrCreate("native", 0, new Set([a, b]));
    const second = registry.findOrCreate("native", 0, new Set([c, d]));
    expect([first.hash, second.hash]).toEqual([3, 3]);
    expect(second).not.toBe(first);
    expect(registry.findOrCreate("native", 0, new Set([b, a]))).toBe(first);
    expect(registry.findOrCreate("native", 0, new Set([d, c]))).toBe(second);
    registry.unregister(first);
    expect(registry.findOrCreate("native", 0, new Set([c, d]))).toBe(second);
    expect(registry.findOrCreate("native", 0, new Set([a, b]))).not.toBe(first);
  });

  it("tells sets of different sizes with the same hash apart", () => {
    const registry = new AudienceRegistry();
    const [a, zero] = [logOf("a", 7), logOf("zero", 0)];
    const small = registry.findOrCreate("native", 0, new Set([a]));
    const large = registry.findOrCreate("native", 0, new Set([a, zero]));
    expect(large.hash).toBe(small.hash);
    expect(large).not.toBe(small);
  });

  it("tells variants and rate classes apart, also where their keys collide", () => {
    const registry = new AudienceRegistry();
    // The key of a set is its hash, the length of the variant's name and the class, joined by XOR.
    const [a, b] = [logOf("a", 7), logOf("b", 7 ^ "native".length ^ "raw".length)];
    const native = registry.findOrCreate("native", 0, new Set([a]));
    const raw = registry.findOrCreate("raw", 0, new Set([b]));
    const others = (["raw", "batch", "native+deflate", "raw+deflate", "batch+deflate"] as const).map(
      (variant) => registry.findOrCreate(variant, 0, new Set([a])),
    );
    const slower = [250, 500, 1_000_000].map((classMs) =>
      registry.findOrCreate("native", classMs, new Set([a])),
    );
    const all = [native, raw, ...others, ...slower];
    expect(new Set(all).size).toBe(all.length);
    for (const audience of all) {
      const { variant, classMs, topics } = audience;
      expect(registry.findOrCreate(variant, classMs, new Set(topics.keys()))).toBe(audience);
    }
  });

  it("the hash follows the set as topics come and go", () => {
    const audience = new Audience("native", 0, 0);
    const [a, b] = [logOf("a", 0xffff_ffff), logOf("b", 0x8000_0001)];
    audience.addTopic(a);
    audience.addTopic(b);
    expect(audience.hash).toBe(0x7fff_fffe);
    audience.removeTopic(a);
    expect(audience.hash).toBe(0x8000_0001);
  });

  it("finds the twin of an audience that is not registered, and never itself", () => {
    const registry = new AudienceRegistry();
    const a = logOf("a", 7);
    const lone = new Audience("native", 0, 0);
    lone.addTopic(a);
    expect(registry.findTwin(lone)).toBeNull();
    const registered = registry.findOrCreate("native", 0, new Set([a]));
    expect(registry.findTwin(lone)).toBe(registered);
    registry.unregister(registered);
    registry.unregister(registered);
    expect(registry.findTwin(lone)).toBeNull();
  });
});
