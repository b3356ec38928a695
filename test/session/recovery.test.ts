/** PRODUCT §4: `recovered` is true with every missed publication, or false with the newest value. Never in between. */
import { describe, expect, it } from "vitest";

import type { HistoryPage } from "../../src/broker/broker.ts";
import { RingBytes } from "../../src/hub/ring-bytes.ts";
import { TopicLog } from "../../src/hub/topic-log.ts";
import { recoveryStep } from "../../src/session/recovery.ts";
import { brokerAway, epoch, SessionWorld, tick, topics, gate } from "./session-world.ts";
import type { Client } from "./session-world.ts";

/** What a recovery step gives, as text. */
function stepOf(
  kept: readonly number[],
  since: { epoch: string; seq: number },
  more: { seq?: number; page?: HistoryPage | null; pageReads?: number; isRefreshed?: boolean; epoch?: string | null;
    formers?: TopicLog["formers"] } = {},
): string {
  const log = new TopicLog(topics.topic("chat.a"), 4, new RingBytes(1024, () => undefined), () => 0.5);
  log.epoch = more.epoch === undefined ? "7" : more.epoch;
  for (const seq of kept) log.keep(log.arrive(seq, seq, "1", null, 0));
  log.seq = more.seq ?? log.seq;
  log.formers = more.formers ?? [];
  const { page = null, pageReads = 0, isRefreshed = false } = more;
  const step = recoveryStep(log, { since, page, pageReads, isRefreshed, isUnknown: false });
  return step.kind === "recovered" ? `recovered ${step.entries.map(({ seq }) => seq).join()}` : step.kind;
} // prettier-ignore

const pageOf = (seqs: readonly number[], complete = true, pageEpoch = "7"): HistoryPage => ({
  position: { epoch: pageEpoch, seq: seqs.at(-1) ?? 0 },
  entries: seqs.map((seq) => ({ seq, data: Buffer.from("1"), origin: null })),
  complete,
});

const at = (seq: number, ofEpoch = "7"): { epoch: string; seq: number } => ({ epoch: ofEpoch, seq });

describe("recoveryStep", () => {
  it.each([
    { name: "nothing was missed", kept: [1, 2], since: at(2), more: {}, step: "recovered " },
    { name: "nothing was ever published", kept: [], since: at(0), more: {}, step: "recovered " },
    { name: "all of it is in the ring", kept: [1, 2, 3], since: at(1), more: {}, step: "recovered 2,3" },
    { name: "the ring begins too late", kept: [5, 6], since: at(3), more: {}, step: "read" },
    { name: "nothing is kept here", kept: [], since: at(3), more: { seq: 6 }, step: "read" },
    { name: "an epoch before", kept: [1, 2], since: at(1, "6"), more: {}, step: "lost" },
    { name: "a later epoch", kept: [1, 2], since: at(1, "8"), more: {}, step: "refresh" },
    { name: "a later one, of more digits", kept: [1, 2], since: at(1, "10"), more: {}, step: "refresh" },
    {
      name: "a later one, and the broker was asked",
      kept: [1, 2],
      since: at(1, "8"),
      more: { isRefreshed: true },
      step: "lost",
    },
    { name: "an epoch that cannot be", kept: [1, 2], since: at(1, ""), more: {}, step: "lost" },
    { name: "a position that cannot be", kept: [1, 2], since: at(-1), more: {}, step: "lost" },
    { name: "the topic has no epoch", kept: [1, 2], since: at(1), more: { epoch: null }, step: "lost" },
    { name: "a newer position than ours", kept: [1, 2], since: at(3), more: {}, step: "refresh" },
    {
      name: "a newer one, and the broker was asked",
      kept: [1, 2],
      since: at(3),
      more: { isRefreshed: true },
      step: "lost",
    },
    {
      name: "a page up to the ring",
      kept: [5, 6],
      since: at(2),
      more: { page: pageOf([3, 4]) },
      step: "recovered 3,4,5,6",
    },
    {
      name: "a page that overlaps the ring",
      kept: [4, 5, 6],
      since: at(2),
      more: { page: pageOf([3, 4, 5]) },
      step: "recovered 3,4,5,6",
    },
    {
      name: "a page that reaches the end",
      kept: [6],
      since: at(2),
      more: { page: pageOf([3, 4, 5, 6]) },
      step: "recovered 3,4,5,6",
    },
    {
      name: "a page that is ahead of us: the rest comes live",
      kept: [5],
      since: at(2),
      more: { page: pageOf([3, 4, 5, 6, 7]) },
      step: "recovered 3,4,5",
    },
    {
      name: "a page with a hole",
      kept: [6],
      since: at(2),
      more: { page: pageOf([4, 5, 6], false) },
      step: "lost",
    },
    {
      name: "a page of another epoch",
      kept: [6],
      since: at(2),
      more: { page: pageOf([3, 4, 5, 6], true, "8") },
      step: "lost",
    },
    {
      name: "live publications have overtaken the page",
      kept: [8, 9],
      since: at(2),
      more: { page: pageOf([3, 4]), pageReads: 1 },
      step: "read",
    },
    {
      name: "overtaken again",
      kept: [8, 9],
      since: at(2),
      more: { page: pageOf([3, 4]), pageReads: 2 },
      step: "read",
    },
    {
      name: "overtaken once too often",
      kept: [8, 9],
      since: at(2),
      more: { page: pageOf([3, 4]), pageReads: 3 },
      step: "lost",
    },
    {
      name: "the broker could not be read",
      kept: [8, 9],
      since: at(2),
      more: { pageReads: Number.POSITIVE_INFINITY },
      step: "lost",
    },
    {
      name: "not readable, but the ring has it all",
      kept: [8, 9],
      since: at(8),
      more: { pageReads: Number.POSITIVE_INFINITY },
      step: "recovered 9",
    },
    {
      name: "the epoch before a failover, within what both have in common",
      kept: [1, 2, 3],
      since: at(1, "6"),
      more: { formers: [at(2, "6")] },
      step: "recovered 2,3",
    },
    {
      name: "as far as both have it in common",
      kept: [1, 2, 3],
      since: at(2, "6"),
      more: { formers: [at(2, "6")] },
      step: "recovered 3",
    },
    {
      name: "the epoch before, what was lost in the failover",
      kept: [1, 2, 3],
      since: at(3, "6"),
      more: { formers: [at(2, "6")] },
      step: "lost",
    },
    {
      name: "an epoch that is not known any more",
      kept: [1, 2, 3],
      since: at(1, "5"),
      more: { formers: [at(2, "6")] },
      step: "lost",
    },
    {
      name: "two failovers ago, within what all have in common",
      kept: [1, 2, 3],
      since: at(1, "5"),
      more: { formers: [at(2, "6"), at(1, "5")] },
      step: "recovered 2,3",
    },
    {
      name: "two failovers ago, what was lost in the first of them",
      kept: [1, 2, 3],
      since: at(2, "5"),
      more: { formers: [at(2, "6"), at(1, "5")] },
      step: "lost",
    },
    {
      name: "the epoch before, from a page",
      kept: [5, 6],
      since: at(2, "6"),
      more: { formers: [at(2, "6")], page: pageOf([3, 4]) },
      step: "recovered 3,4,5,6",
    },
    {
      name: "an empty page, and nothing was missed by now",
      kept: [2],
      since: at(2),
      more: { page: pageOf([]) },
      step: "recovered ",
    },
  ])("$name → $step", ({ kept, since, more, step }) => {
    // prettier-ignore
    expect(stepOf(kept, since, more)).toBe(step);
  });
});

/** Opens the topic in this worker with what is stored by now, so that later publications are in its ring. */
async function opened(world: SessionWorld): Promise<void> {
  const other = await world.client();
  await world.ask(other, { id: 1, method: "subscribe", params: { topics: ["chat.a"] } });
}

function publish(world: SessionWorld, count: number): void {
  for (let index = 0; index < count; index += 1) {
    const seq = world.broker.log("chat.a").seq + 1;
    world.publish("chat.a", `"m${seq}"`);
  }
}

async function resume(world: SessionWorld, client: Client, seq: unknown, ofEpoch: unknown = epoch): Promise<string[]> {
  return world.ask(client, {
    id: 1,
    method: "subscribe",
    params: { topics: ["chat.a"], since: { "chat.a": { epoch: ofEpoch, seq } } },
  });
} // prettier-ignore

const messages = (from: number, to: number): string =>
  Array.from(
    { length: to - from + 1 },
    (_, index) => `{"seq":${from + index},"data":"m${from + index}"}`,
  ).join();
const recovered = (from: number, to: number): string =>
  `{"id":1,"result":{"topics":{"chat.a":{"epoch":"${epoch}","seq":${to},"recovered":true,"messages":[${messages(from, to)}]}}}}`;
const notRecovered = (seq: number, ofEpoch = epoch): string =>
  `{"id":1,"result":{"topics":{"chat.a":{"epoch":"${ofEpoch}","seq":${seq},"recovered":false,"data":"m${seq}"}}}}`;

describe("subscribe with since", () => {
  it("from the ring, without asking the broker", async () => {
    const world = new SessionWorld();
    await opened(world);
    publish(world, 5);
    const client = await world.client();
    expect(await resume(world, client, 2)).toEqual([recovered(3, 5)]);
    expect(world.broker.calls).toEqual([]);
    expect(world.counters).toMatchObject({ recovered: 1, notRecovered: 0 });
  });

  it("from the broker's history, when the ring begins too late", async () => {
    const world = new SessionWorld();
    publish(world, 5);
    await opened(world);
    publish(world, 2);
    const client = await world.client();
    expect(await resume(world, client, 1)).toEqual([recovered(2, 7)]);
    expect(world.broker.calls).toEqual(["history chat.a since 1 limit 700"]);
  });

  it("nothing was missed: recovered, with no messages and no data", async () => {
    const world = new SessionWorld();
    publish(world, 5);
    const client = await world.client();
    expect(await resume(world, client, 5)).toEqual([
      `{"id":1,"result":{"topics":{"chat.a":{"epoch":"${epoch}","seq":5,"recovered":true,"messages":[]}}}}`,
    ]);
  });

  it.each([
    { name: "another epoch", seq: 2, ofEpoch: "1" },
    // It may be this topic's own, which another worker knows already: one look, from where this one stands.
    { name: "another topic's epoch", seq: 2, ofEpoch: "1795338789954377", calls: ["refresh chat.a"] },
    { name: "offset -1", seq: -1, ofEpoch: epoch },
    { name: "2^53", seq: 2 ** 53, ofEpoch: epoch },
    { name: "NaN, which JSON writes as null", seq: Number.NaN, ofEpoch: epoch },
    { name: "a fraction", seq: 1.5, ofEpoch: epoch },
    { name: "an epoch that is a number", seq: 2, ofEpoch: 1_795_338_789_954_376 },
  ])("a position that cannot be resumed: $name (ABUSE PS6)", async ({ seq, ofEpoch, calls = [] }) => {
    const world = new SessionWorld();
    publish(world, 5);
    await opened(world);
    const client = await world.client();
    expect(await resume(world, client, seq, ofEpoch)).toEqual([notRecovered(5)]);
    // No scan for what cannot be found.
    expect(world.broker.calls).toEqual(calls);
    expect(world.counters).toMatchObject({ recovered: 0, notRecovered: 1 });
  });

  it("trimmed away: false, with the newest value", async () => {
    const world = new SessionWorld();
    publish(world, 310);
    const client = await world.client();
    expect(await resume(world, client, 9)).toEqual([notRecovered(310)]);
    expect(await resume(world, await world.client(), 10)).toEqual([recovered(11, 310)]);
  });

  it("a newer position than this worker's: the broker brings it up to date first", async () => {
    const world = new SessionWorld();
    publish(world, 3);
    await opened(world);
    const topic = topics.topic("chat.a");
    for (const seq of [4, 5]) {
      world.broker.unheard.push({ name: "chat.a", publication: world.broker.store(topic, `"m${seq}"`) });
    }
    const client = await world.client();
    expect(await resume(world, client, 4)).toEqual([recovered(5, 5)]);
    expect(world.broker.calls).toEqual(["refresh chat.a"]);
  });

  it("a position that nobody knows, after asking once", async () => {
    const world = new SessionWorld();
    publish(world, 3);
    const client = await world.client();
    expect(await resume(world, client, 99)).toEqual([notRecovered(3)]);
    expect(world.broker.calls).toEqual(["refresh chat.a"]);
  });

  it("a newer position than this worker's while the broker is away: unavailable, and nothing comes twice", async () => {
    const world = new SessionWorld();
    publish(world, 3);
    await opened(world);
    const topic = topics.topic("chat.a");
    world.broker.unheard.push({ name: "chat.a", publication: world.broker.store(topic, '"m4"') });
    world.broker.failure = brokerAway;
    const client = await world.client();
    const [refused = ""] = await resume(world, client, 4);
    expect(JSON.parse(refused)).toMatchObject({
      result: { topics: {}, errors: { "chat.a": { code: "unavailable", temporary: true } } },
    });
    world.broker.failure = null;
    // The worker catches up: whoever has it already is not given it.
    await world.broker.refresh("chat.a");
    expect(await resume(world, client, 4)).toEqual([recovered(5, 4)]);
  });

  it("of a log that this worker has not heard of yet: the broker says which it is, and nothing comes twice", async () => {
    const world = new SessionWorld();
    publish(world, 3);
    await opened(world);
    // Everything was lost, another worker has told its readers so, and one of them comes here with the new epoch.
    const later = `9${epoch.slice(1)}`;
    world.broker.onRefresh = () => {
      world.broker.logs.set("chat.a", { epoch: later, seq: 2, entries: [] });
      world.hub.gap("chat.a", { epoch: later, seq: 2 }, null, world.nowMs);
    };
    const client = await world.client();
    const [reply = ""] = await resume(world, client, 2, later);
    expect(world.broker.calls).toEqual(["refresh chat.a"]);
    expect(JSON.parse(reply)).toMatchObject({
      result: { topics: { "chat.a": { epoch: later, seq: 2, recovered: true, messages: [] } } },
    });
    publish(world, 1);
    world.go();
    expect(client.connection.take()).toEqual(['{"topic":"chat.a","seq":3,"data":"m3"}']);
  });

  it("of a log that this worker has not heard of yet, while the broker is away: unavailable", async () => {
    const world = new SessionWorld();
    publish(world, 3);
    await opened(world);
    world.broker.failure = brokerAway;
    const [reply = ""] = await resume(world, await world.client(), 1, `9${epoch.slice(1)}`);
    expect(JSON.parse(reply)).toMatchObject({
      result: { topics: {}, errors: { "chat.a": { code: "unavailable", temporary: true } } },
    });
    // What no broker of ours gives as an epoch is nobody's.
    expect(await resume(world, await world.client(), 1, "9x")).toEqual([notRecovered(3)]);
  });

  it("live publications that overtake the page are not missed: it is read again", async () => {
    const world = new SessionWorld(4);
    publish(world, 5);
    await opened(world);
    publish(world, 1);
    let overtakes = 2;
    world.broker.onPage = () => {
      overtakes -= 1;
      // More than the ring holds, while the page is on its way.
      if (overtakes >= 0) publish(world, 6);
    };
    const client = await world.client();
    expect(await resume(world, client, 2)).toEqual([recovered(3, 18)]);
    expect(world.broker.calls).toHaveLength(3);
  });

  it("a topic that is always faster than its history is read: false, never a part", async () => {
    const world = new SessionWorld(4);
    publish(world, 5);
    await opened(world);
    publish(world, 1);
    world.broker.onPage = () => publish(world, 6);
    const client = await world.client();
    expect(await resume(world, client, 2)).toEqual([notRecovered(24)]);
    expect(world.broker.calls).toHaveLength(3);
  });

  it.each([
    { name: "away", failure: brokerAway, unexpected: 0 },
    { name: "failing in a way of its own", failure: new TypeError("x is not a function"), unexpected: 1 },
  ])(
    "the broker is $name: false, and subscribed; of a position beyond the worker's: unavailable",
    async ({ failure, unexpected }) => {
      const world = new SessionWorld();
      publish(world, 5);
      await opened(world);
      world.broker.failure = failure;
      const client = await world.client();
      expect(await resume(world, client, 1)).toEqual([notRecovered(5)]);
      const [refused = ""] = await resume(world, await world.client(), 99);
      expect(JSON.parse(refused)).toMatchObject({
        result: { topics: {}, errors: { "chat.a": { code: "unavailable" } } },
      });
      expect(world.unexpected).toHaveLength(2 * unexpected);
      publish(world, 1);
      world.go();
      expect(client.connection.take()).toEqual(['{"topic":"chat.a","seq":6,"data":"m6"}']);
    },
  );

  it("since is looked at per topic; a live-only one never recovers, and says so", async () => {
    const world = new SessionWorld();
    publish(world, 2);
    const client = await world.client();
    const [reply] = await world.ask(client, {
      id: 1,
      method: "subscribe",
      params: {
        topics: ["chat.a", "chat.b", "wire.a", "wire.b"],
        since: { "chat.a": { epoch, seq: 1 }, "wire.a": { epoch, seq: 1 }, "chat.other": { epoch, seq: 1 } },
      },
    });
    expect(reply).toBe(
      `{"id":1,"result":{"topics":{"chat.a":{"epoch":"${epoch}","seq":2,"recovered":true,"messages":[{"seq":2,"data":"m2"}]},` +
        `"chat.b":{"epoch":"${epoch}","seq":0},"wire.a":{"recovered":false},"wire.b":{}}}}`,
    );
  });

  it("on latest and sample topics too", async () => {
    const world = new SessionWorld();
    for (const data of ['"1"', '"2"', '"3"']) world.publish("danmaku.a", data);
    world.publish("quote.a", "1");
    world.publish("quote.a", "2");
    const client = await world.client();
    const since = { "danmaku.a": { epoch, seq: 1 }, "quote.a": { epoch, seq: 1 }, "quote.b": { epoch, seq: 0 } };
    const [reply] = await world.ask(client, { id: 1, method: "subscribe", params: { topics: Object.keys(since), since } });
    expect(JSON.parse(reply!)).toMatchObject({
      result: {
        topics: {
          "danmaku.a": { seq: 3, recovered: true, messages: [{ seq: 2, data: "2" }, { seq: 3, data: "3" }] },
          "quote.a": { seq: 2, recovered: true, messages: [{ seq: 2, data: 2 }] },
          "quote.b": { seq: 0, recovered: true, messages: [] },
        },
      },
    });
  }); // prettier-ignore
});

describe("a recovery larger than pendingBytesMax is recovered:false", () => {
  it.each([
    { name: "few large messages", count: 10, bytes: 500, max: 4096 },
    {
      name: "many tiny messages, whose frame of JSON is larger than they are",
      count: 200,
      bytes: 3,
      max: 4096,
    },
  ])("$name", async ({ count, bytes, max }) => {
    const world = new SessionWorld(300);
    world.limits = { ...world.limits, pendingBytesMax: max };
    await opened(world);
    for (let index = 0; index < count; index += 1) world.publish("chat.a", JSON.stringify("x".repeat(bytes)));
    const client = await world.client();
    const [reply] = await resume(world, client, 0);
    expect(reply).toContain('"recovered":false,"data":"xxx');
    expect(Buffer.byteLength(reply!)).toBeLessThan(max);
    // What fits is given.
    const [less] = await resume(world, await world.client(), count - 3);
    expect(less).toContain('"recovered":true');
    expect(Buffer.byteLength(less!)).toBeLessThan(max);
  });

  it.each([1024, 2000, 4096])(
    "no reply is ever larger than %i, whatever the number of messages",
    async (max) => {
      const world = new SessionWorld(300);
      world.limits = { ...world.limits, pendingBytesMax: max };
      await opened(world);
      publish(world, 250);
      let whole = 0;
      for (let since = 0; since <= 250; since += 5) {
        const [reply] = await resume(world, await world.client(), since);
        expect(Buffer.byteLength(reply!)).toBeLessThanOrEqual(max);
        if (reply!.includes('"recovered":true')) whole += 1;
      }
      expect(whole).toBeGreaterThan(3);
      expect(whole).toBeLessThan(51);
    },
  );

  it("values of many topics that would not fit one reply are refused with limit, not sent as a flood", async () => {
    const world = new SessionWorld();
    world.limits = { ...world.limits, pendingBytesMax: 4096 };
    const names = Array.from({ length: 20 }, (_, index) => `quote.${index}`);
    for (const name of names) world.publish(name, JSON.stringify("x".repeat(400)));
    const client = await world.client();
    const [reply] = await world.ask(client, { id: 1, method: "subscribe", params: { topics: names } });
    const { result } = JSON.parse(reply!) as {
      result: { topics: object; errors: Record<string, { code: string }> };
    };
    const taken = Object.keys(result.topics).length;
    expect(taken).toBeGreaterThan(3);
    expect(taken + Object.keys(result.errors).length).toBe(20);
    expect(new Set(Object.values(result.errors).map(({ code }) => code))).toEqual(new Set(["limit"]));
    expect(world.hub.counters.subscriptions).toBe(taken);
  });

  it("a single value larger than that is still given: nothing smaller could be asked for", async () => {
    const world = new SessionWorld();
    world.limits = { ...world.limits, pendingBytesMax: 1024 };
    world.publish("quote.a", JSON.stringify("x".repeat(3000)));
    const client = await world.client();
    const [reply] = await world.ask(client, { id: 1, method: "subscribe", params: { topics: ["quote.a"] } });
    expect(reply).toContain('"data":"xxx');
  });
});

it("a recovery whose connection ends while the broker reads leaves nothing behind", async () => {
  const world = new SessionWorld();
  publish(world, 5);
  const { open, promise } = gate();
  world.broker.gate = promise;
  const client = await world.client();
  world.send(client, { id: 1, method: "subscribe", params: { topics: ["chat.a"], since: { "chat.a": { epoch, seq: 1 } } } });
  await tick();
  client.connection.end();
  await tick();
  open();
  await tick();
  expect(client.connection.take()).toEqual([]);
  world.go(5000);
  expect(world.hub.counters).toMatchObject({ topics: 0, subscriptions: 0 });
}); // prettier-ignore
