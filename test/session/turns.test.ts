/** Long commands are done in steps; what others see of them is the same as at once. */
import { describe, expect, it } from "vitest";

import { SessionWorld, tick, type Client } from "./session-world.ts";

const names = Array.from({ length: 200 }, (_, index) => `quote.T${index}`);

/** Lets it go on, a turn at a time. @returns how many turns it took. */
async function goOn({ connection }: Client): Promise<number> {
  let turns = 0;
  for (let idle = 0; idle < 3;) {
    await tick();
    if (connection.waiting.length === 0) idle += 1;
    else {
      idle = 0;
      turns += 1;
      connection.turn();
    }
  }
  return turns;
}

interface SubscribeReply {
  readonly id: number;
  readonly result: { readonly topics: Record<string, unknown>; readonly errors?: Record<string, unknown> };
}

describe("a session whose connection has had its time", () => {
  it("subscribes in steps, and what it says and gets is the same as at once", async () => {
    const world = new SessionWorld();
    for (const name of names.slice(0, 50)) world.publish(name, `"${name}"`);
    const [slow, fast] = [await world.client(), await world.client()];
    const command = { id: 1, method: "subscribe", params: { topics: [...names, "nope!", names[0]] } };
    const [atOnce] = await world.ask(fast, command);
    world.go(6000);
    const again = new SessionWorld();
    for (const name of names.slice(0, 50)) again.publish(name, `"${name}"`);
    const stepped = await again.client();
    stepped.connection.isSpent = true;
    again.send(stepped, command);
    expect(stepped.connection.take()).toEqual([]);
    expect(await goOn(stepped)).toBeGreaterThan(200 / 32 + 200 / 16 - 2);
    expect(stepped.connection.take()).toEqual([atOnce]);
    expect(Object.keys((JSON.parse(atOnce ?? "") as SubscribeReply).result.topics)).toHaveLength(200);
    stepped.connection.isSpent = false;
    again.publish("quote.T7", "8");
    again.go();
    expect(stepped.connection.take()).toEqual(['{"topic":"quote.T7","seq":2,"data":8}']);
    slow.connection.end();
  });

  it("publications between its steps are in the snapshot or follow it: none is missing, none comes twice", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    const chats = Array.from({ length: 100 }, (_, index) => `chat.t${index}`);
    client.connection.isSpent = true;
    world.send(client, { id: 1, method: "subscribe", params: { topics: chats } });
    let published = 0;
    for (let turn = 0; turn < 40; turn += 1) {
      await tick();
      client.connection.turn();
      world.publish("chat.t0", String(published));
      world.publish("chat.t99", String(published));
      published += 1;
      world.go();
    }
    const [reply, ...rest] = client.connection.take();
    const { topics } = (JSON.parse(reply ?? "") as SubscribeReply).result;
    for (const name of ["chat.t0", "chat.t99"]) {
      const { seq } = topics[name] as { seq: number };
      const seqs = rest
        .map((each) => JSON.parse(each) as { topic: string; seq: number })
        .filter(({ topic }) => topic === name)
        .map((each) => each.seq);
      expect(seqs).toEqual(Array.from({ length: published - seq }, (_, index) => seq + 1 + index));
      expect(seq).toBeLessThan(published);
    }
  });

  it("unsubscribes in steps; after the reply nothing follows, and commands behind it wait", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    await world.ask(client, { id: 1, method: "subscribe", params: { topics: names } });
    client.connection.isSpent = true;
    world.send(client, { id: 2, method: "unsubscribe", params: { topics: names } });
    world.send(client, { id: 3, method: "ping" });
    expect(client.connection.take()).toEqual([]);
    expect(world.hub.counters.subscriptions).toBeGreaterThan(0);
    expect(await goOn(client)).toBeGreaterThan(4);
    expect(client.connection.take()).toEqual([
      `{"id":2,"result":{"topics":${JSON.stringify(names)}}}`,
      '{"id":3,"result":{}}',
    ]);
    expect(world.hub.counters.subscriptions).toBe(0);
    for (const name of names) world.publish(name, "1");
    world.go();
    expect(client.connection.take()).toEqual([]);
  });

  it("many unsubscribes that wait behind another command are done one after the other", async () => {
    const world = new SessionWorld();
    world.broker.opensAtOnce = false;
    const client = await world.client();
    world.send(client, { id: 0, method: "subscribe", params: { topics: ["quote.A"] } });
    for (let id = 1; id <= 1000; id += 1) {
      world.send(client, { id, method: "unsubscribe", params: { topics: ["quote.A"] } });
    }
    world.answer();
    await tick();
    expect(client.connection.take()).toHaveLength(1001);
  });

  it.each([
    { name: "subscribing", subscribed: false },
    { name: "unsubscribing", subscribed: true },
  ])("goes in the middle of $name: nothing is left", async ({ subscribed }) => {
    const world = new SessionWorld();
    const client = await world.client();
    if (subscribed) await world.ask(client, { id: 1, method: "subscribe", params: { topics: names } });
    client.connection.isSpent = true;
    const method = subscribed ? "unsubscribe" : "subscribe";
    world.send(client, { id: 2, method, params: { topics: names } });
    client.connection.turn();
    client.connection.turn();
    client.connection.end();
    await goOn(client);
    world.go(5000);
    world.go(5000);
    world.go(5000);
    expect(client.connection.take()).toEqual([]);
    expect(world.hub.counters).toMatchObject({ topics: 0, subscriptions: 0, audiences: 0 });
    expect(world.unexpected).toEqual([]);
  });

  it("answers a history when it is its turn, and is charged for the reading", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    for (let count = 0; count < 50; count += 1) world.publish("chat.a", `"${"x".repeat(1000)}"`);
    client.connection.isSpent = true;
    world.send(client, { id: 1, method: "history", params: { topic: "chat.a" } });
    await tick();
    expect(client.connection.take()).toEqual([]);
    await goOn(client);
    expect(client.connection.take()).toHaveLength(1);
    expect(client.connection.chargedMs).toBeCloseTo(50 * 1002 * 10e-6);
  });

  it("is charged for topics that it has opened, and not for those that are open", async () => {
    const world = new SessionWorld();
    const [first, second] = [await world.client(), await world.client()];
    const command = { id: 1, method: "subscribe", params: { topics: names } };
    await world.ask(first, command);
    await world.ask(second, command);
    expect(first.connection.chargedMs).toBeCloseTo(2);
    expect(second.connection.chargedMs).toBe(0);
  });
});
