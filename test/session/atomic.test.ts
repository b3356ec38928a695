/** PRODUCT §4: the subscribe reply is snapshot and position in one step. What follows begins at seq + 1, none twice. */
import { describe, expect, it } from "vitest";

import { epoch, SessionWorld, tick, gate, granted } from "./session-world.ts";
import type { Client } from "./session-world.ts";

interface Message {
  readonly id?: number;
  readonly result?: {
    readonly topics: Record<string, { readonly seq: number; readonly messages?: { seq: number }[] }>;
  };
  readonly topic?: string;
  readonly seq?: number;
}

/** The seqs of chat.a that follow the last reply, and the reply's own. */
function afterReply(messages: readonly string[]): { at: number; seqs: number[] } {
  const parsed = messages.map((message) => JSON.parse(message) as Message);
  const index = parsed.findLastIndex(({ result }) => result?.topics["chat.a"] !== undefined);
  return {
    at: parsed[index]!.result!.topics["chat.a"]!.seq,
    seqs: parsed.slice(index + 1).filter(({ topic }) => topic === "chat.a").map(({ seq }) => seq!),
  };
} // prettier-ignore

const subscribeTo = (topics: readonly string[]): object => ({
  id: 1,
  method: "subscribe",
  params: { topics },
});

function subscribe(world: SessionWorld, client: Client, since: number | null = null): void {
  const params = {
    topics: ["chat.a"],
    ...(since === null ? {} : { since: { "chat.a": { epoch, seq: since } } }),
  };
  world.send(client, { id: 1, method: "subscribe", params });
}

const publish = (world: SessionWorld, count = 1): void => {
  for (let index = 0; index < count; index += 1) world.publish("chat.a", "1");
};

describe("publications around a subscribe", () => {
  it("while the topic is opened, between the reply and the flush, and after it", async () => {
    const world = new SessionWorld();
    world.broker.opensAtOnce = false;
    const client = await world.client();
    publish(world);
    subscribe(world, client);
    publish(world, 2);
    world.answer();
    publish(world, 2);
    world.go();
    publish(world);
    world.go();
    const { at, seqs } = afterReply(client.connection.take());
    expect([at, ...seqs]).toEqual([3, 4, 5, 6]);
  });

  it("while others of the audience have entries pending", async () => {
    const world = new SessionWorld();
    const first = await world.client();
    await world.ask(first, { id: 1, method: "subscribe", params: { topics: ["chat.a"] } });
    publish(world, 2);
    const client = await world.client();
    subscribe(world, client);
    publish(world, 2);
    world.go();
    const { at, seqs } = afterReply(client.connection.take());
    expect([at, ...seqs]).toEqual([2, 3, 4]);
    expect(first.connection.take()).toHaveLength(4);
  });

  it("while the broker's history is read for a recovery", async () => {
    const world = new SessionWorld(64);
    publish(world, 10);
    const other = await world.client();
    await world.ask(other, { id: 1, method: "subscribe", params: { topics: ["chat.a"] } });
    const { open, promise } = gate();
    world.broker.gate = promise;
    const client = await world.client();
    subscribe(world, client, 2);
    publish(world, 3);
    world.go();
    await tick();
    world.broker.onPage = () => publish(world, 2);
    open();
    await tick();
    publish(world);
    world.go();
    const messages = client.connection.take();
    const { at, seqs } = afterReply(messages);
    expect([at, ...seqs]).toEqual([15, 16]);
    const recovered = (JSON.parse(messages[0]!) as Message).result!.topics["chat.a"]!.messages!;
    expect(recovered.map(({ seq }) => seq)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
  });

  it("when the reader is not writable at the time: the reply waits and tells where it stands then", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    const other = await world.client();
    await world.ask(other, { id: 1, method: "subscribe", params: { topics: ["chat.a"] } });
    client.connection.isFull = true;
    subscribe(world, client);
    publish(world, 3);
    world.go();
    await tick();
    expect(client.connection.take()).toEqual([]);
    world.drain(client);
    publish(world, 2);
    world.go();
    const { at, seqs } = afterReply(client.connection.take());
    expect([at, ...seqs]).toEqual([3, 4, 5]);
    expect(client.connection.queuedWrites).toBe(0);
  });

  it("when the reply itself fills the socket", async () => {
    const world = new SessionWorld();
    publish(world);
    const client = await world.client();
    client.connection.takes = () => false;
    subscribe(world, client);
    await tick();
    publish(world, 3);
    world.go();
    expect(afterReply(client.connection.messages)).toEqual({ at: 1, seqs: [] });
    world.drain(client);
    publish(world);
    world.go();
    const { at, seqs } = afterReply(client.connection.take());
    expect([at, ...seqs]).toEqual([1, 2, 3, 4, 5]);
    expect(client.connection.queuedWrites).toBe(0);
  });

  it("when the reader lags and subscribes to more: everything before the reply came before it", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    await world.ask(client, { id: 1, method: "subscribe", params: { topics: ["chat.b"] } });
    client.connection.takes = () => false;
    world.publish("chat.b", "1");
    world.go();
    world.publish("chat.b", "2");
    subscribe(world, client);
    publish(world);
    world.go();
    await tick();
    world.drain(client);
    await tick();
    publish(world);
    world.publish("chat.b", "3");
    world.go();
    const messages = client.connection.take();
    expect(messages.map((message) => (JSON.parse(message) as Message).topic ?? "reply")).toEqual([
      "chat.b",
      "chat.b",
      "reply",
      "chat.a",
      "chat.b",
    ]);
    expect(afterReply(messages)).toEqual({ at: 1, seqs: [2] });
  });

  it("resubscribing with entries pending: they come before the reply, and not again", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    subscribe(world, client);
    await tick();
    publish(world, 3);
    subscribe(world, client, 1);
    await tick();
    publish(world);
    world.go();
    const messages = client.connection.take().map((message) => JSON.parse(message) as Message);
    expect(messages.map(({ id, seq }) => id ?? seq)).toEqual([1, 1, 2, 3, 1, 4].map((each) => each));
    const reply = messages[4]!.result!.topics["chat.a"]!;
    expect([reply.seq, reply.messages!.map(({ seq }) => seq)]).toEqual([3, [2, 3]]);
  });

  it("latest: seq only rises, from the reply's on", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    const quote = async (intervalMs: number): Promise<void> => {
      await world.ask(client, { id: 1, method: "subscribe", params: { topics: ["quote.A"], intervalMs } });
    };
    const seqs: number[] = [];
    const read = (): void => {
      for (const message of client.connection.take()) seqs.push((JSON.parse(message) as Message).seq!);
    };
    await quote(100);
    for (let step = 0; step < 60; step += 1) {
      world.publish("quote.A", "1");
      if (step % 7 === 0) await quote([0, 50, 250][step % 3]!);
      world.go(30);
      read();
    }
    world.go(5000);
    read();
    expect(seqs).toEqual([...new Set(seqs)].toSorted((left, right) => left - right));
    expect(seqs.length).toBeGreaterThan(5);
  });
});

describe("commands are answered in the order in which they came", () => {
  it("behind a subscribe whose topic opens slowly", async () => {
    const world = new SessionWorld();
    world.broker.opensAtOnce = false;
    const client = await world.client();
    subscribe(world, client);
    world.send(client, { id: 2, method: "ping" });
    world.send(client, { id: 3, method: "unsubscribe", params: { topics: ["chat.a"] } });
    world.send(client, { id: 4, method: "subscribe", params: { topics: ["chat.a", "chat.b"] } });
    world.send(client, { id: 5, method: "ping" });
    await tick();
    expect(client.connection.take()).toEqual([]);
    world.answer();
    await tick();
    expect(client.connection.take().map((message) => (JSON.parse(message) as Message).id)).toEqual([1, 2, 3]);
    world.answer();
    await tick();
    expect(client.connection.take().map((message) => (JSON.parse(message) as Message).id)).toEqual([4, 5]);
    expect(world.hub.counters.subscriptions).toBe(2);
  });

  it("an unsubscribe right behind its subscribe ends it", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    subscribe(world, client);
    world.send(client, { id: 2, method: "unsubscribe", params: { topics: ["chat.a"] } });
    await tick();
    publish(world);
    world.go();
    expect(client.connection.take().map((message) => (JSON.parse(message) as Message).id)).toEqual([1, 2]);
    expect(world.hub.counters.subscriptions).toBe(0);
  });

  it("behind ?topics=", async () => {
    const world = new SessionWorld();
    world.broker.opensAtOnce = false;
    const client = world.connect({ topics: ["chat.a"] });
    world.send(client, { id: 1, method: "ping" });
    world.answer();
    await tick();
    expect(client.connection.take().map((message) => message.slice(0, 18))).toEqual([
      '{"event":"welcome"',
      '{"event":"subscrib',
      '{"id":1,"result":{',
    ]);
  });

  it("1,024 may wait; one more is refused at once and the others are answered", async () => {
    const world = new SessionWorld();
    world.broker.opensAtOnce = false;
    const client = await world.client();
    subscribe(world, client);
    for (let id = 2; id <= 1026; id += 1) world.send(client, { id, method: "ping" });
    expect(client.connection.take()).toEqual([
      '{"id":1026,"error":{"code":"rate_limited","message":"too many commands wait for earlier ones","temporary":true}}',
    ]);
    world.answer();
    await tick();
    const ids = client.connection.take().map((message) => (JSON.parse(message) as Message).id);
    expect(ids).toEqual(Array.from({ length: 1025 }, (_, index) => index + 1));
  });

  it("a command that fails does not hold the others up", async () => {
    const world = new SessionWorld();
    world.broker.opensAtOnce = false;
    const client = await world.client();
    subscribe(world, client);
    world.send(client, { id: 2, method: "publish", params: { topic: "quote.A", data: 1 } });
    world.send(client, { id: 3, method: "ping" });
    world.answer();
    await tick();
    expect(client.connection.take().map((message) => (JSON.parse(message) as Message).id)).toEqual([1, 2, 3]);
  });
});

describe("limits and what a closed connection leaves", () => {
  it("topicsPerConnectionMax: N pass, N + 1 is refused by itself (ABUSE PS4)", async () => {
    const world = new SessionWorld();
    world.limits = { ...world.limits, topicsPerConnectionMax: 3 };
    const client = await world.client();
    const codes = async (topics: readonly string[]): Promise<string> => {
      const [reply] = await world.ask(client, subscribeTo(topics));
      const { result } = JSON.parse(reply!) as { result: { topics: object; errors?: Record<string, { code: string }> } };
      const errors = Object.entries(result.errors ?? {}).map(([name, { code }]) => `${name} ${code}`);
      return [...Object.keys(result.topics), ...errors].join();
    };
    expect(await codes(["chat.1", "chat.2", "chat.3"])).toBe("chat.1,chat.2,chat.3");
    expect(await codes(["chat.4"])).toBe("chat.4 limit");
    // What one already has is never refused.
    expect(await codes(["chat.2", "chat.5", "chat.3"])).toBe("chat.2,chat.3,chat.5 limit");
    await world.ask(client, { id: 1, method: "unsubscribe", params: { topics: ["chat.1"] } });
    expect(await codes(["chat.4", "chat.5"])).toBe("chat.4,chat.5 limit");
    expect(world.hub.counters.subscriptions).toBe(3);
  }); // prettier-ignore

  it("refused topics count for nothing towards the limit", async () => {
    const world = new SessionWorld();
    world.limits = { ...world.limits, topicsPerConnectionMax: 1 };
    const client = await world.client();
    const [reply] = await world.ask(client, subscribeTo(["nope!", "other", "chat.a"]));
    expect(reply).toContain('"topics":{"chat.a"');
  });

  it("null is no limit", async () => {
    const world = new SessionWorld();
    world.limits = { ...world.limits, topicsPerConnectionMax: null };
    const client = await world.client();
    const names = Array.from({ length: 2000 }, (_, index) => `quote.${index}`);
    await world.ask(client, subscribeTo(names));
    expect(world.hub.counters.subscriptions).toBe(2000);
  });

  it.each<{ name: string; hold: (world: SessionWorld) => void }>([
    { name: "topics are being opened", hold: (world) => void (world.broker.opensAtOnce = false) },
    { name: "a token is being verified", hold: (world) => void (world.verifyGate = gate().promise) },
    { name: "the broker reads history", hold: (world) => void (world.broker.gate = gate().promise) },
    { name: "everything goes its way", hold: () => undefined },
  ])("closing while $name frees everything (ABUSE PS5)", async ({ hold }) => {
    const world = new SessionWorld();
    world.publish("chat.a", "1");
    world.publish("chat.a", "2");
    hold(world);
    const client = await world.client();
    subscribe(world, client, 0);
    world.send(client, { id: 2, method: "token", params: { token: "x" } });
    world.send(client, subscribeTo(["quote.A", "danmaku.a"]));
    world.send(client, { id: 4, method: "history", params: { topic: "chat.a" } });
    world.send(client, { id: 5, method: "publish", params: { topic: "chat.a", data: 1 } });
    world.send(client, { id: 6, method: "unsubscribe", params: { topics: ["chat.a"] } });
    await tick();
    client.connection.end();
    await tick();
    client.connection.take();
    world.answer();
    await tick();
    world.go(5000);
    world.go(5000);
    world.go(5000);
    expect(world.hub.counters).toMatchObject({ topics: 0, subscriptions: 0, audiences: 0, laggingReaders: 0 });
    expect(world.broker.open.size).toBe(0);
    expect(world.wheel.size).toBe(0);
    expect(client.connection.take()).toEqual([]);
    expect(world.unexpected).toEqual([]);
    // A late call of the connection finds nothing.
    world.send(client, { id: 7, method: "ping" });
    client.session.drained();
    client.session.announceClosing("restart", 1);
    expect(client.connection.take()).toEqual([]);
  }); // prettier-ignore

  it("closing gives up what the broker never opened, at once", async () => {
    const world = new SessionWorld();
    world.broker.opensAtOnce = false;
    const client = await world.client();
    subscribe(world, client);
    client.connection.end();
    await tick();
    // The topic lingers for five seconds, from now on.
    world.go(5000);
    expect(world.hub.counters.topics).toBe(0);
  });

  it("closing forgets when the token ends", async () => {
    const world = new SessionWorld();
    world.tokens.set("good", granted(["**"], { expiresWallMs: world.wallMs + 60_000 }));
    const client = await world.client({ token: "good" });
    expect(world.wheel.size).toBe(1);
    client.connection.end();
    await tick();
    expect(world.wheel.size).toBe(0);
  });

  it("subscribing and unsubscribing a thousand times opens the topic once (ABUSE PS4)", async () => {
    const world = new SessionWorld();
    let opened = 0;
    const { open } = world.broker;
    const set = open.set.bind(open);
    open.set = (name, topic) => {
      opened += 1;
      return set(name, topic);
    };
    const client = await world.client();
    for (let round = 0; round < 1000; round += 1) {
      world.send(client, subscribeTo(["chat.a"]));
      await tick();
      world.send(client, { id: 2, method: "unsubscribe", params: { topics: ["chat.a"] } });
    }
    expect(opened).toBe(1);
    expect(client.connection.messages).toHaveLength(2000);
  });
});
