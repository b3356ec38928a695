/** ADR 6: an `every` topic without history keeps only what a lagging reader may still ask for. Nobody may notice. */
import { describe, expect, it } from "vitest";

import type { HubTopic } from "../../src/hub/topic-log.ts";
import { HubWorld, chat, evenRandom, lostOf, numbersOf, wire, type Client } from "./hub-world.ts";

const topics = [wire("wire.a"), wire("wire.b"), wire("wire.c")];
/** With history: what has a `seq` is kept for those who come back, a plain PUBLISH is not. */
const lobby = chat("chat.lobby");

describe("what nobody may ask for again", () => {
  it("is not kept once it is flushed, and is from when a reader lags until none does", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, topics);
    const kept = (): number => {
      const entries: Parameters<ReturnType<HubWorld["log"]>["entriesAfter"]>[1] = [];
      world.log("wire.a").entriesAfter(0, entries);
      return entries.length;
    };
    world.publish("wire.a");
    world.go();
    expect(kept()).toBe(0);
    client.sink.takes = () => false;
    for (let count = 0; count < 3; count += 1) {
      world.publish("wire.a");
      world.go();
    }
    expect(kept(), "all that came since its socket was full").toBe(2);
    world.drain(client);
    expect(kept()).toBe(0);
    expect(numbersOf(client.sink)).toEqual([1, 2, 3, 4]);
  });

  it("is also what came without a seq to a topic with history", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [lobby]);
    const kept = (): string[] => {
      const entries: Parameters<ReturnType<HubWorld["log"]>["entriesAfter"]>[1] = [];
      world.log(lobby.name).entriesAfter(0, entries);
      return entries.map(({ data }) => data);
    };
    world.publishRaw(lobby.name, '"raw 1"');
    world.publish(lobby.name);
    world.go();
    expect(kept()).toEqual(['{"n":1}']);
    client.sink.isFull = true;
    for (let count = 2; count < 4; count += 1) {
      world.publishRaw(lobby.name, `"raw ${count}"`);
      world.publish(lobby.name);
      world.go();
    }
    expect(kept(), "in the order of their coming").toEqual([
      '{"n":1}',
      '"raw 2"',
      '{"n":2}',
      '"raw 3"',
      '{"n":3}',
    ]);
    world.drain(client);
    expect(client.sink.received.map(({ data }) => data)).toEqual([
      "raw 1",
      { n: 1 },
      "raw 2",
      { n: 2 },
      "raw 3",
      { n: 3 },
    ]);
    expect(kept()).toEqual(['{"n":1}', '{"n":2}', '{"n":3}']);
    expect(
      world
        .log(lobby.name)
        .recover(1)
        ?.map(({ seq }) => seq),
    ).toEqual([2, 3]);
  });

  it("ends also with a reader that leaves while it lags", () => {
    const world = new HubWorld();
    const [client, other] = [world.client(), world.client()];
    for (const each of [client, other]) world.subscribe(each, topics);
    client.sink.isFull = true;
    other.sink.takes = () => false;
    world.publish("wire.a");
    world.go();
    world.leave(client);
    world.publish("wire.a");
    world.drain(other);
    expect(numbersOf(other.sink)).toEqual([1, 2]);
    world.publish("wire.a");
    world.go();
    expect([...numbersOf(other.sink), world.hub.counters.laggingReaders]).toEqual([1, 2, 3, 0]);
  });

  it("is kept for the one who is noticed last and owed most, in order and no more than the ring takes", () => {
    const world = new HubWorld({ ringMessagesMax: 4 });
    world.hub.windowMs = 50;
    const [early, late] = [world.client(), world.client()];
    world.subscribe(early, [topics[0]!]);
    world.subscribe(late, [topics[0]!, topics[1]!]);
    world.publish("wire.b");
    world.publish("wire.a");
    world.go();
    // Two audiences whose windows end at different times; both sockets are full when they do.
    for (let count = 0; count < 6; count += 1) world.publish("wire.a");
    early.sink.isFull = true;
    late.sink.isFull = true;
    for (let step = 0; step < 60; step += 1) world.go(1);
    world.publish("wire.a");
    for (const client of [early, late]) {
      world.drain(client);
      expect(numbersOf(client.sink).slice(-5)).toEqual([1, 5, 6, 7, 8]);
      expect(lostOf(client.sink)).toEqual([3]);
    }
  });
});

describe("against logs that keep everything", () => {
  it.each([1, 2, 3, 4, 5, 6])("the same bytes in the same writes (seed %i)", (seed) => {
    expect(run(seed, false)).toEqual(run(seed, true));
  });

  it("the runs have what matters: losses, stalls and several audiences", () => {
    const { lost, stalls, audiences } = run(1, false);
    expect(lost).toBeGreaterThan(10);
    expect(stalls).toBeGreaterThan(100);
    expect(audiences).toBeGreaterThan(3);
  });
});

/** Random publications, stalls, drains, joins and departures. @param keepsAll as if somebody lagged all the time. */
function run(seed: number, keepsAll: boolean) {
  const even = evenRandom();
  for (let skip = 0; skip < seed * 97; skip += 1) even();
  let state = seed;
  const random = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) / 0x1_00_0000;
  };
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)] as Item;
  const world = new HubWorld({ ringMessagesMax: 8, catchUpBytesMax: 200, lingerMs: 1e9, random: even });
  const sets: readonly (readonly HubTopic[])[] = [
    topics,
    topics.slice(0, 2),
    topics.slice(1),
    [topics[0]!],
    [topics[2]!],
    [topics[1]!, lobby],
    [lobby],
  ];
  const clients: Client[] = [];
  const all: Client[] = [];
  let stalls = 0;
  const add = (set: readonly HubTopic[]): void => {
    const client = world.client(pick(["native", "batch"]));
    clients.push(client);
    all.push(client);
    world.subscribe(client, set);
    const stallRate = pick([0, 0.05, 0.4]);
    client.sink.takes = () => {
      const isTaken = random() >= stallRate;
      if (!isTaken) stalls += 1;
      return isTaken;
    };
  };
  for (const set of sets) add(set);
  if (keepsAll) for (const { name } of [...topics, lobby]) world.log(name).beginLag([]);
  let audiences = 0;
  for (let step = 0; step < 4000; step += 1) {
    const dice = random();
    if (dice < 0.5) world.publish(pick(topics).name);
    else if (dice < 0.55) world.publish(lobby.name);
    else if (dice < 0.6) world.publishRaw(lobby.name, `{"n":${step}}`);
    else if (dice < 0.8) world.go(Math.floor(random() * 8));
    else if (dice < 0.93) {
      const client = pick(clients);
      if (client.sink.isFull) {
        client.sink.drain();
        world.hub.drained(client.reader, world.nowMs);
      } else if (random() < 0.1) client.sink.isFull = true;
    } else if (dice < 0.96) world.hub.windowMs = pick([0, 5, 20]);
    else if (dice < 0.98 && clients.length < 12) add(pick(sets));
    else if (clients.length > 4) world.leave(clients.splice(Math.floor(random() * clients.length), 1)[0]!);
    // As the session does: whoever missed something that is gone is closed.
    for (const client of clients.filter(({ sink }) => sink.isClosedForGap)) {
      world.leave(client);
      clients.splice(clients.indexOf(client), 1);
    }
    audiences = Math.max(audiences, world.hub.counters.audiences);
  }
  for (const client of clients) world.drain(client);
  world.go(100);
  const lost = all.flatMap(({ sink }) => sink.messages.join("\n").match(/"event":"lost"/gu) ?? []).length;
  return { messages: all.map(({ sink }) => sink.messages), lost, stalls, audiences };
}
