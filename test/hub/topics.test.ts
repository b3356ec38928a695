/** How the hub opens, keeps and closes topics, and what becomes of readers when the broker has a gap. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";

import type { Variant } from "../../src/hub/entry.ts";
import type { TopicLog } from "../../src/hub/topic-log.ts";
import { chat, danmaku, HubWorld, lostOf, numbersOf, quote, wire } from "./hub-world.ts";

function logOf(seqs: readonly number[], ringMessagesMax = 4): TopicLog {
  const world = new HubWorld({ ringMessagesMax });
  world.subscribe(world.client(), [chat("chat.a")]);
  for (const seq of seqs) world.hub.publish("chat.a", seq, Buffer.from("1"), null, world.nowMs);
  return world.log("chat.a");
}

describe("opening", () => {
  it("asks the broker once, however many want the topic, and tells all when it is open", () => {
    const world = new HubWorld();
    const told: (string | null)[] = [];
    for (let count = 0; count < 3; count += 1) {
      world.hub.open([chat("chat.a")], world.nowMs, ([log]) => told.push(log?.topic.name ?? null));
    }
    expect(world.opening.map(({ name }) => name)).toEqual(["chat.a"]);
    expect(told).toEqual([]);
    world.answer();
    expect(told).toEqual(["chat.a", "chat.a", "chat.a"]);
    expect(world.hub.counters.topics).toBe(1);
  });

  it("waits for the last of several topics, in the order of the request", () => {
    const world = new HubWorld();
    let told: (string | undefined)[] = [];
    world.hub.open([chat("chat.b"), chat("chat.a")], world.nowMs, (logs) => {
      told = logs.map((log) => log?.topic.name);
    });
    world.hub.opened("chat.a", { epoch: "1", seq: 0 }, [], world.nowMs);
    expect(told).toEqual([]);
    world.hub.opened("chat.b", { epoch: "1", seq: 0 }, [], world.nowMs);
    expect(told).toEqual(["chat.b", "chat.a"]);
  });

  it("tells at once when all are open", () => {
    const world = new HubWorld();
    world.subscribe(world.client(), [chat("chat.a")]);
    let isTold = false;
    world.hub.open([chat("chat.a")], world.nowMs, () => {
      isTold = true;
    });
    expect(isTold).toBe(true);
    expect(world.hub.find("chat.a")?.waiting).toBe(0);
  });

  it("takes over the position and the entries", () => {
    const world = new HubWorld();
    world.hub.open([chat("chat.a")], world.nowMs, () => undefined);
    expect(world.hub.find("chat.a")).toBeNull();
    const entries = [4, 5].map((seq) => ({ seq, data: Buffer.from(`"${seq}"`) }));
    world.hub.opened("chat.a", { epoch: "77", seq: 5 }, entries, world.nowMs);
    const log = world.log("chat.a");
    expect([log.epoch, log.seq]).toEqual(["77", 5]);
    expect(log.recover(3)?.map(({ seq }) => seq)).toEqual([4, 5]);
    expect(log.value(world.nowMs)!.data).toBe('"5"');
  });

  it("gives null for what did not open in time, and calls once", () => {
    const world = new HubWorld({ openTimeoutMs: 3000 });
    const told: (string | null)[][] = [];
    world.hub.open([chat("chat.a"), chat("chat.b")], world.nowMs, (logs) =>
      told.push(logs.map((log) => log?.topic.name ?? null)),
    );
    world.hub.opened("chat.b", { epoch: "1", seq: 0 }, [], world.nowMs);
    world.go(2999);
    expect(told).toEqual([]);
    world.go(1);
    expect(told).toEqual([[null, "chat.b"]]);
    world.hub.opened("chat.a", { epoch: "1", seq: 0 }, [], world.nowMs);
    world.go(10_000);
    expect(told).toHaveLength(1);
  });

  it("does not call who has cancelled, and closes what nobody wants then", () => {
    const world = new HubWorld({ lingerMs: 5000 });
    let isTold = false;
    const request = world.hub.open([chat("chat.a")], world.nowMs, () => {
      isTold = true;
    });
    request.cancel();
    request.cancel();
    world.answer();
    world.go(5000);
    expect(isTold).toBe(false);
    expect(world.closed).toEqual(["chat.a"]);
    expect(world.hub.counters.topics).toBe(0);
  });

  it("cancelling from within done counts once", () => {
    const world = new HubWorld();
    const request = world.hub.open([chat("chat.a")], world.nowMs, () => request.cancel());
    world.answer();
    expect(world.log("chat.a").waiting).toBe(0);
    world.go(5000);
    expect(world.closed).toEqual(["chat.a"]);
  });

  it("ignores publications before it is open and after it was closed", () => {
    const world = new HubWorld();
    world.hub.open([chat("chat.a")], world.nowMs, () => undefined);
    world.publish("chat.a");
    world.publish("chat.nobody");
    world.hub.gap("chat.nobody", { epoch: "1", seq: 1 }, 1, world.nowMs);
    expect(world.hub.counters.publications).toBe(0);
  });

  it("a topic that never opened is forgotten, so a broker that is away costs no memory for ever", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const world = new HubWorld({ openTimeoutMs: 1000, lingerMs: 1000 });
    const kept: WeakRef<object>[] = [];
    for (let index = 0; index < 10; index += 1) {
      // The hub's log keeps the topic alive.
      const topic = chat(`chat.${index}`);
      kept.push(new WeakRef(topic));
      world.hub.open([topic], world.nowMs, () => undefined);
    }
    world.opening.length = 0;
    world.go(1000);
    world.go(1000);
    expect(world.hub.counters.topics).toBe(0);
    await new Promise(setImmediate);
    collect();
    // The last one may still lie in a register.
    expect(kept.filter((topic) => topic.deref() !== undefined).length).toBeLessThanOrEqual(1);
  });
});

describe("lingering: page reloads cost the broker nothing", () => {
  it("1,024 topics that were left together close over several turns", () => {
    const world = new HubWorld({ lingerMs: 1000 });
    const client = world.client();
    const topics = Array.from({ length: 1024 }, (_, index) => quote(`quote.${index}`));
    world.subscribe(client, topics);
    world.leave(client);
    world.nowMs += 1000;
    let turns = 0;
    for (let closed = 0; world.hub.turn(world.nowMs, 5) <= world.nowMs; turns += 1) {
      expect(world.closed.length - closed).toBeLessThanOrEqual(64);
      closed = world.closed.length;
    }
    expect(world.closed).toHaveLength(1024);
    expect(turns).toBeGreaterThanOrEqual(15);
  });

  it("stays open for lingerMs, then closes", () => {
    const world = new HubWorld({ lingerMs: 5000 });
    const client = world.client();
    world.subscribe(client, [chat("chat.a")]);
    world.unsubscribe(client, "chat.a");
    world.go(4999);
    expect(world.closed).toEqual([]);
    world.go(1);
    expect(world.closed).toEqual(["chat.a"]);
    expect(world.hub.find("chat.a")).toBeNull();
  });

  it("is kept by who comes back in time; the time begins anew when they go", () => {
    const world = new HubWorld({ lingerMs: 5000 });
    for (let reload = 0; reload < 5; reload += 1) {
      const client = world.client();
      world.subscribe(client, [chat("chat.a")]);
      world.go(1000);
      world.leave(client);
      world.go(3000);
    }
    expect(world.closed).toEqual([]);
    world.go(1999);
    expect(world.closed).toEqual([]);
    world.go(1);
    expect(world.closed).toEqual(["chat.a"]);
  });

  it("collects publications meanwhile: who comes back has the newest value", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [quote("quote.A")]);
    world.leave(client);
    world.publish("quote.A");
    world.go(1000);
    expect(world.log("quote.A").value(world.nowMs)?.seq).toBe(1);
  });

  it("opens again after it was closed, with a new log", () => {
    const world = new HubWorld({ lingerMs: 10 });
    const client = world.client();
    world.subscribe(client, [chat("chat.a")]);
    world.publish("chat.a");
    world.unsubscribe(client, "chat.a");
    world.go(10);
    world.subscribe(client, [chat("chat.a")]);
    expect(world.log("chat.a").seq).toBe(1);
    world.publish("chat.a");
    world.go();
    expect(numbersOf(client.sink)).toEqual([1, 2]);
  });

  it("a request that waits for another topic keeps a lingering one open", () => {
    // A page was reloaded and asked for what it had and for something new, which took the broker a while.
    const world = new HubWorld({ lingerMs: 2000, openTimeoutMs: 3000 });
    const [before, after] = [world.client(), world.client()];
    world.subscribe(before, [chat("chat.a")]);
    world.leave(before);
    world.go(1000);
    world.hub.open([chat("chat.a"), chat("chat.slow")], world.nowMs, (logs) => {
      world.hub.change(
        after.reader,
        logs.map((log) => ({ log: log!, classMs: 0 })),
        [],
        world.nowMs,
      );
    });
    world.go(2000);
    expect(world.closed).toEqual([]);
    world.answer();
    world.publish("chat.a");
    world.go();
    expect(numbersOf(after.sink)).toEqual([1]);
  });
});

/** Publications as their readers get them, of a topic that was renamed after the second. */
function renamed(variant: Variant): string[] {
  const world = new HubWorld();
  const client = world.client(variant);
  world.subscribe(client, [chat("chat.a")]);
  for (let count = 0; count < 2; count += 1) world.publish("chat.a");
  world.hub.renamed("chat.a", "2");
  for (let count = 0; count < 2; count += 1) world.publish("chat.a");
  world.go(100);
  return client.sink.messages.flatMap((message) => message.split("\n"));
}

describe("a log that goes on in a new epoch", () => {
  it.each(["native", "batch"] as const)("its first publication names it, once: %s", (variant) => {
    expect(renamed(variant)).toEqual([
      '{"topic":"chat.a","seq":1,"data":{"n":1}}',
      '{"topic":"chat.a","seq":2,"data":{"n":2}}',
      '{"topic":"chat.a","epoch":"2","seq":3,"data":{"n":3}}',
      '{"topic":"chat.a","seq":4,"data":{"n":4}}',
    ]);
  });

  it("raw readers know no positions", () => {
    expect(renamed("raw")).toEqual(['{"n":1}', '{"n":2}', '{"n":3}', '{"n":4}']);
  });

  it("remembers how far both are the same, until the next life has nothing in common", () => {
    const world = new HubWorld();
    world.subscribe(world.client(), [chat("chat.a")]);
    world.publish("chat.a");
    world.hub.renamed("chat.a", "2");
    expect(world.log("chat.a").formers).toEqual([{ epoch: "1", seq: 1 }]);
    world.publish("chat.a");
    world.hub.renamed("chat.a", "3");
    const both = [
      { epoch: "2", seq: 2 },
      { epoch: "1", seq: 1 },
    ];
    expect(world.log("chat.a").formers).toEqual(both);
    world.hub.gap("chat.a", { epoch: "3", seq: 5 }, 3, world.nowMs);
    expect(world.log("chat.a").formers).toEqual(both);
    for (const epoch of ["4", "5", "6"]) world.hub.renamed("chat.a", epoch);
    expect(world.log("chat.a").formers.map(({ epoch }) => epoch)).toEqual(["5", "4", "3", "2"]);
    world.hub.gap("chat.a", { epoch: "7", seq: 0 }, null, world.nowMs);
    expect(world.log("chat.a").formers).toEqual([]);
  });

  it("is told so when it is opened", () => {
    const world = new HubWorld();
    world.hub.open([chat("chat.a")], world.nowMs, () => undefined);
    world.hub.linked("chat.a", [{ epoch: "1", seq: 4 }]);
    world.hub.opened("chat.a", { epoch: "2", seq: 5 }, [], world.nowMs);
    expect(world.log("chat.a").formers).toEqual([{ epoch: "1", seq: 4 }]);
  });
});

describe("a gap that the broker cannot close", () => {
  it.each([
    { name: "lost entries", epoch: "1", lostCount: 3 },
    { name: "a new epoch", epoch: "2", lostCount: null },
  ])("every: closes all readers, so that they resume: $name", ({ epoch, lostCount }) => {
    const world = new HubWorld();
    const [member, slow] = [world.client(), world.client()];
    for (const client of [member, slow]) world.subscribe(client, [chat("chat.a")]);
    slow.sink.takes = () => false;
    world.publish("chat.a");
    world.go();
    world.hub.gap("chat.a", { epoch, seq: 9 }, lostCount, world.nowMs);
    expect(member.sink.isClosedForGap).toBe(true);
    expect(slow.sink.isClosedForGap).toBe(false);
    world.drain(slow);
    expect(slow.sink.isClosedForGap).toBe(true);
    expect(world.hub.counters.historyGaps).toBe(2);
    const log = world.log("chat.a");
    expect([log.epoch, log.seq, log.newest]).toEqual([epoch, 9, null]);
    for (const client of [member, slow]) world.leave(client);
    expect(world.hub.counters).toMatchObject({ laggingReaders: 0, subscriptions: 0 });
  });

  it("every: closes those who joined while entries were pending, too", () => {
    const world = new HubWorld();
    const [first, joining] = [world.client(), world.client()];
    world.subscribe(first, [chat("chat.a")]);
    world.publish("chat.a");
    world.subscribe(joining, [chat("chat.a")]);
    world.hub.gap("chat.a", { epoch: "1", seq: 9 }, 8, world.nowMs);
    expect([first.sink.isClosedForGap, joining.sink.isClosedForGap]).toEqual([true, true]);
  });

  it("every: never bridges the gap with what was kept from before", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [chat("chat.a")]);
    world.publish("chat.a");
    world.hub.gap("chat.a", { epoch: "1", seq: 9 }, 8, world.nowMs);
    world.hub.publish("chat.a", 10, Buffer.from("1"), null, world.nowMs);
    const log = world.log("chat.a");
    expect(log.recover(0)).toBeNull();
    expect(log.recover(9)?.map(({ seq }) => seq)).toEqual([10]);
  });

  it("latest: goes on with the next value; a new epoch forgets the old one", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [quote("quote.A")]);
    world.publish("quote.A");
    world.go();
    world.hub.gap("quote.A", { epoch: "1", seq: 8 }, 7, world.nowMs);
    expect(world.log("quote.A").value(world.nowMs)?.seq).toBe(1);
    expect(client.sink.isClosedForGap).toBe(false);
    world.hub.gap("quote.A", { epoch: "2", seq: 0 }, null, world.nowMs);
    const log = world.log("quote.A");
    expect([log.epoch, log.seq, log.value(world.nowMs)]).toEqual(["2", 0, null]);
  });

  // After FLUSHALL a quote came with seq 1 behind seq 346, on the same connection and with no word of the new epoch: a
  // client that takes what is older for older would have stood still until the 347th quote.
  it.each([{ topic: quote("quote.A") }, { topic: danmaku("danmaku.a") }])(
    "$topic.delivery: a new epoch closes those who were told positions, and lets /raw go on",
    ({ topic }) => {
      const world = new HubWorld();
      const [native, slow, raw, slowRaw] = [
        world.client(),
        world.client(),
        world.client("raw"),
        world.client("raw"),
      ];
      for (const client of [native, slow, raw, slowRaw]) world.subscribe(client, [topic]);
      for (const client of [slow, slowRaw]) client.sink.takes = () => false;
      world.publish(topic.name);
      world.go();
      world.publish(topic.name);
      world.hub.gap(topic.name, { epoch: "2", seq: 0 }, null, world.nowMs);
      world.hub.publish(topic.name, 1, Buffer.from('{"n":100}'), null, world.nowMs);
      world.go();
      for (const client of [slow, slowRaw]) world.drain(client);
      const closed = [native, slow, raw, slowRaw].map(({ sink }) => sink.isClosedForGap);
      expect(closed).toEqual([true, true, false, false]);
      for (const client of [raw, slowRaw]) expect(client.sink.messages.at(-1)).toBe('{"n":100}');
      expect(world.hub.counters.historyGaps).toBe(2);
    },
  );

  it.each([
    { name: "an exact number", lostCount: 12, told: [12] },
    { name: "nobody knows how many", lostCount: null, told: [] },
  ])("sample: readers stay and are told when the number is known: $name", ({ lostCount, told }) => {
    const world = new HubWorld();
    const [reader, slow] = [world.client(), world.client()];
    for (const client of [reader, slow]) world.subscribe(client, [danmaku("danmaku.a")]);
    slow.sink.takes = () => false;
    world.publish("danmaku.a");
    world.go();
    world.hub.gap("danmaku.a", { epoch: "1", seq: 20 }, lostCount, world.nowMs);
    world.drain(slow);
    world.go(1000);
    world.go(1000);
    expect([lostOf(reader.sink), lostOf(slow.sink)]).toEqual([told, told]);
    expect(reader.sink.isOpen && slow.sink.isOpen).toBe(true);
  });

  it("every without history has no position, and its readers stay open only where nothing is promised", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [wire("wire.a")]);
    expect([world.log("wire.a").epoch, world.log("wire.a").seq]).toEqual([null, 0]);
    expect(world.log("wire.a").value(world.nowMs)).toBeNull();
  });
});

describe("TopicLog", () => {
  it.each([
    { name: "everything that is kept", seqs: [1, 2, 3], since: 0, found: [1, 2, 3] },
    { name: "a part", seqs: [1, 2, 3], since: 2, found: [3] },
    { name: "nothing was missed", seqs: [1, 2, 3], since: 3, found: [] },
    { name: "the ring is full", seqs: [1, 2, 3, 4, 5, 6], since: 2, found: [3, 4, 5, 6] },
    { name: "one too old", seqs: [1, 2, 3, 4, 5, 6], since: 1, found: null },
    { name: "raw publications between are no hole", seqs: [1, 0, 2, 0, 3], since: 1, found: [2, 3] },
    { name: "a jump is a hole", seqs: [1, 2, 4], since: 1, found: null },
    { name: "behind a jump is none", seqs: [1, 2, 4], since: 3, found: [4] },
    { name: "an empty log at its beginning", seqs: [], since: 0, found: [] },
  ])("recovers: $name", ({ seqs, since, found }) => {
    expect(
      logOf(seqs)
        .recover(since)
        ?.map(({ seq }) => seq) ?? null,
    ).toEqual(found);
  });

  it.each([
    { name: "fresh", ageMs: 299_999, hasValue: true },
    { name: "its time is over", ageMs: 300_000, hasValue: false },
  ])("the value: $name", ({ ageMs, hasValue }) => {
    expect(logOf([1]).value(1000 + ageMs) !== null).toBe(hasValue);
  });
});
