/** PRODUCT §4: tokens. What they allow, when they end, what a new one changes. */
import { describe, expect, it } from "vitest";

import { RequestError } from "../../src/base/errors.ts";
import { limitCounters, type LimitName } from "../../src/base/limit-counters.ts";
import { TokenBucket } from "../../src/base/token-bucket.ts";
import { TokenExpiry, expiryJitterMs } from "../../src/session/token-expiry.ts";
import { UserLimits } from "../../src/session/user-limits.ts";
import { granted, SessionWorld, tick, topics } from "./session-world.ts";
import type { Client } from "./session-world.ts";

const subscribeTo = (...topics: readonly string[]): object => ({
  id: 1,
  method: "subscribe",
  params: { topics },
});
const token = (text: string): object => ({ id: 9, method: "token", params: { token: text } });

/** A world in which a token is required. */
function strict(): SessionWorld {
  const world = new SessionWorld();
  world.anonymous = null;
  return world;
}

async function codeOf(world: SessionWorld, client: Client, command: object): Promise<string | null> {
  const [reply] = await world.ask(client, command);
  return (JSON.parse(reply!) as { error?: { code: string } }).error?.code ?? null;
}

describe("a token at the handshake", () => {
  it("that is good gives its rights before ?topics= is served", async () => {
    const world = strict();
    world.tokens.set("good", granted(["chat.*"]));
    const { connection } = world.connect({ token: "good", topics: ["chat.a", "quote.A"] });
    await tick();
    await tick();
    expect(connection.take()[1]).toBe(
      '{"event":"subscribed","topics":{"chat.a":{"epoch":"1795338789954376","seq":0}},' +
        '"errors":{"quote.A":{"code":"forbidden","message":"the token does not allow this"}}}',
    );
  });

  it.each([
    { name: "is refused", error: new RequestError("unauthorized", "no"), closed: { code: 4500, reason: "unauthorized" } },
    { name: "cannot be verified now", error: new RequestError("unavailable", "later"), closed: { code: 4004, reason: "overloaded" } },
    { name: "fails in a way of its own", error: new TypeError("x"), closed: { code: 4004, reason: "overloaded" } },
  ])("that $name closes with $closed.code, even where none is needed", async ({ error, closed }) => {
    const world = new SessionWorld();
    world.tokens.set("bad", error);
    const native = world.connect({ token: "bad", topics: ["chat.a"] });
    const raw = world.raw("chat.a", { token: "bad" });
    await tick();
    await tick();
    expect(native.connection.closedWith).toEqual(closed);
    expect(raw.connection.closedWith).toEqual(closed);
    expect(native.connection.messages).toHaveLength(1);
    expect(world.unexpected).toHaveLength(error instanceof RequestError ? 0 : 2);
    world.go(10_000);
    expect(world.hub.counters.topics).toBe(0);
  }); // prettier-ignore

  it("holds commands back until it is verified", async () => {
    const world = strict();
    world.tokens.set("good", granted(["chat.*"]));
    const client = world.connect({ token: "good" });
    world.send(client, subscribeTo("chat.a"));
    expect(client.connection.take()).toHaveLength(1);
    await tick();
    await tick();
    expect(client.connection.take()).toHaveLength(1);
    expect(world.hub.counters.subscriptions).toBe(1);
  });

  it("that is verified after the connection went changes nothing", async () => {
    const world = strict();
    world.tokens.set("good", granted(["**"], { expiresWallMs: world.wallMs + 1000 }));
    const native = world.connect({ token: "good", topics: ["chat.a"] });
    const raw = world.raw("chat.a", { token: "good" });
    native.connection.end();
    raw.connection.end();
    await tick();
    await tick();
    expect(world.hub.counters.topics).toBe(0);
    expect(world.wheel.size).toBe(0);
  });
});

describe("where a token is required", () => {
  it("everything but ping is unauthorized until there is one (ABUSE PS9)", async () => {
    const world = strict();
    world.tokens.set("good", granted(["chat.*"], { publish: ["chat.*"] }));
    const client = await world.client();
    const [reply] = await world.ask(client, subscribeTo("chat.a"));
    expect(reply).toBe(
      '{"id":1,"result":{"topics":{},"errors":{"chat.a":{"code":"unauthorized","message":"a token is needed first"}}}}',
    );
    const publish = { id: 1, method: "publish", params: { topic: "chat.a", data: 1 } };
    const history = { id: 1, method: "history", params: { topic: "chat.a" } };
    expect(await codeOf(world, client, publish)).toBe("unauthorized");
    expect(await codeOf(world, client, history)).toBe("unauthorized");
    expect(await codeOf(world, client, { id: 1, method: "ping" })).toBeNull();
    expect(world.broker.calls).toEqual([]);
    expect(await world.ask(client, token("good"))).toEqual(['{"id":9,"result":{}}']);
    expect(await codeOf(world, client, publish)).toBeNull();
    expect(await codeOf(world, client, history)).toBeNull();
  });

  // It once had a token's random five seconds on top: a silent peer kept its place up to 14.5 s.
  it("connections without one are closed with 4500 after 10 s, one and all, whatever the wall clock does", async () => {
    const world = strict();
    const clients = await Promise.all(Array.from({ length: 20 }, () => world.client()));
    world.wallMs -= 3_600_000;
    world.go(9_900);
    expect(clients.map(({ connection }) => connection.closedWith)).toEqual(clients.map(() => null));
    world.go(200);
    const closed = { code: 4500, reason: "unauthorized" };
    expect(clients.map(({ connection }) => connection.closedWith)).toEqual(clients.map(() => closed));
  });

  it("a token in time ends that wait", async () => {
    const world = strict();
    world.tokens.set("good", granted(["chat.*"]));
    const client = await world.client();
    await world.ask(client, token("good"));
    world.go(100_000);
    expect(client.connection.closedWith).toBeNull();
  });

  it("a bad token over the wire is an error reply; the connection stays", async () => {
    const world = strict();
    const client = await world.client();
    expect(await codeOf(world, client, token("bad"))).toBe("unauthorized");
    expect(client.connection.closedWith).toBeNull();
  });

  it("/raw without one is closed with 4500", async () => {
    const { connection } = strict().raw("chat.a");
    expect(connection.closedWith).toEqual({ code: 4500, reason: "unauthorized" });
  });
});

describe("rights", () => {
  it.each([
    { name: "subscribe on what the patterns allow", command: subscribeTo("chat.a"), code: undefined },
    { name: "subscribe elsewhere", command: subscribeTo("quote.A"), code: "forbidden" },
  ])("$name", async ({ command, code }) => {
    const world = strict();
    world.tokens.set("good", granted(["chat.*"]));
    const client = await world.client({ token: "good" });
    const [reply] = await world.ask(client, command);
    const { result } = JSON.parse(reply!) as { result: { errors?: Record<string, { code: string }> } };
    expect(Object.values(result.errors ?? {})[0]?.code).toBe(code);
  });

  it.each([
    { name: "publish where the token and the rule allow it", topic: "chat.a", code: null },
    { name: "publish where only the rule allows it", topic: "danmaku.a", code: "forbidden" },
    { name: "publish where only the token allows it", topic: "quote.A", code: "forbidden" },
  ])("$name", async ({ topic, code }) => {
    const world = strict();
    world.tokens.set("good", granted(["**"], { publish: ["chat.*", "quote.*"] }));
    const client = await world.client({ token: "good" });
    expect(await codeOf(world, client, { id: 1, method: "publish", params: { topic, data: 1 } })).toBe(code);
  });

  it("history needs the right to subscribe", async () => {
    const world = strict();
    world.tokens.set("good", granted(["quote.*"]));
    const client = await world.client({ token: "good" });
    expect(await codeOf(world, client, { id: 1, method: "history", params: { topic: "chat.a" } })).toBe("forbidden");
    expect(await codeOf(world, client, { id: 1, method: "history", params: { topic: "quote.A" } })).toBeNull();
  }); // prettier-ignore

  it("/raw on a topic that the token does not allow is closed with 4501", async () => {
    const world = strict();
    world.tokens.set("good", granted(["quote.*"]));
    const { connection } = world.raw("chat.a", { token: "good" });
    await tick();
    expect(connection.closedWith).toEqual({ code: 4501, reason: "forbidden" });
  });
});

describe("a new token", () => {
  it("extends the connection", async () => {
    const world = strict();
    world.tokens.set("first", granted(["chat.*"], { sub: "u1", expiresWallMs: world.wallMs + 60_000 }));
    world.tokens.set("second", granted(["chat.*"], { sub: "u1", expiresWallMs: world.wallMs + 600_000 }));
    const client = await world.client({ token: "first" });
    world.go(59_000);
    expect(await world.ask(client, token("second"))).toEqual(['{"id":9,"result":{}}']);
    for (let second = 0; second < 500; second += 1) world.go(1000);
    expect(client.connection.closedWith).toBeNull();
    for (let second = 0; second < 50; second += 1) world.go(1000);
    expect(client.connection.closedWith).toEqual({ code: 4502, reason: "token_expired" });
  });

  it.each([
    { name: "the same subject", before: "u1", after: "u1", code: null },
    { name: "another subject", before: "u1", after: "u2", code: "forbidden" },
    { name: "no subject any more", before: "u1", after: null, code: "forbidden" },
    { name: "a subject for the first time", before: null, after: "u1", code: null },
  ])("for $name: $code", async ({ before, after, code }) => {
    const world = strict();
    world.tokens.set("first", granted(["chat.*"], { sub: before }));
    world.tokens.set("second", granted(["**"], { sub: after }));
    const client = await world.client({ token: "first" });
    expect(await codeOf(world, client, token("second"))).toBe(code);
    // The rights are those of the token that counts.
    const [reply] = await world.ask(client, subscribeTo("quote.A"));
    expect(reply!.includes("forbidden")).toBe(code !== null);
    expect(client.connection.closedWith).toBeNull();
  });

  it("that no longer covers what is subscribed ends those subscriptions and says so", async () => {
    const world = strict();
    world.tokens.set("first", granted(["**"], { sub: "u1" }));
    world.tokens.set("second", granted(["chat.*"], { sub: "u1" }));
    const client = await world.client({ token: "first" });
    await world.ask(client, subscribeTo("chat.a", "quote.A", "quote.B"));
    world.publish("quote.A", "1");
    expect(await world.ask(client, token("second"))).toEqual([
      '{"id":9,"result":{}}',
      '{"topic":"quote.A","seq":1,"data":1}',
      '{"event":"unsubscribed","topics":["quote.A","quote.B"],"reason":"forbidden"}',
    ]);
    world.publish("quote.A", "2");
    world.publish("chat.a", '"hi"');
    world.go(100);
    expect(client.connection.take()).toEqual(['{"topic":"chat.a","seq":1,"data":"hi"}']);
    expect(client.connection.closedWith).toBeNull();
    expect(world.hub.counters.subscriptions).toBe(1);
  });

  it("that no longer covers what a stuck reader has closes with 4501: nothing forbidden follows", async () => {
    const world = strict();
    world.tokens.set("first", granted(["**"], { sub: "u1" }));
    world.tokens.set("second", granted([], { sub: "u1" }));
    const client = await world.client({ token: "first" });
    await world.ask(client, subscribeTo("quote.A"));
    client.connection.takes = () => false;
    world.publish("quote.A", "1");
    world.go(100);
    await world.ask(client, token("second"));
    expect(client.connection.closedWith).toEqual({ code: 4501, reason: "forbidden" });
    world.publish("quote.A", "2");
    world.drain(client);
    expect(client.connection.messages.join("")).not.toContain('"data":2');
  });

  it("that covers less than before, but all that is subscribed, changes the rights only", async () => {
    const world = strict();
    world.tokens.set("first", granted(["**"], { sub: "u1" }));
    world.tokens.set("second", granted(["chat.*"], { sub: "u1" }));
    const client = await world.client({ token: "first" });
    await world.ask(client, subscribeTo("chat.a"));
    await world.ask(client, token("second"));
    expect(client.connection.closedWith).toBeNull();
    const [reply] = await world.ask(client, subscribeTo("quote.A"));
    expect(reply).toContain("forbidden");
  });

  it("that is refused changes nothing", async () => {
    const world = strict();
    world.tokens.set("first", granted(["chat.*"], { sub: "u1" }));
    const client = await world.client({ token: "first" });
    expect(await codeOf(world, client, token("bad"))).toBe("unauthorized");
    const [reply] = await world.ask(client, subscribeTo("chat.a"));
    expect(reply).not.toContain("errors");
  });

  it("whose verification fails in a way of its own is internal, and later commands are answered", async () => {
    const world = new SessionWorld();
    world.tokens.set("odd", new TypeError("x"));
    const client = await world.client();
    world.send(client, token("odd"));
    world.send(client, { id: 10, method: "ping" });
    await tick();
    await tick();
    expect(client.connection.take()).toEqual([
      '{"id":9,"error":{"code":"internal","message":"this failed for a reason of ours","temporary":true}}',
      '{"id":10,"result":{}}',
    ]);
    expect(world.unexpected).toHaveLength(1);
  });

  it("holds later commands back: they have its rights", async () => {
    const world = strict();
    world.tokens.set("good", granted(["chat.*"]));
    const client = await world.client();
    world.send(client, token("good"));
    world.send(client, subscribeTo("chat.a"));
    await tick();
    await tick();
    const replies = client.connection.take();
    expect(replies[0]).toBe('{"id":9,"result":{}}');
    expect(replies[1]).not.toContain("errors");
  });
});

describe("the end of a token", () => {
  it.each(["native", "raw"] as const)("closes with 4502, not before exp, within the jitter: %s", async (kind) => {
    const world = strict();
    world.tokens.set("good", granted(["**"], { expiresWallMs: world.wallMs + 3_600_000 }));
    const { connection } = kind === "native" ? world.connect({ token: "good" }) : world.raw("chat.a", { token: "good" });
    await tick();
    for (let second = 0; second < 3599; second += 1) world.go(1000);
    expect(connection.closedWith).toBeNull();
    for (let second = 0; second < 8; second += 1) world.go(1000);
    expect(connection.closedWith).toEqual({ code: 4502, reason: "token_expired" });
    await tick();
    expect(world.wheel.size).toBe(0);
  }); // prettier-ignore

  it("already over when it comes", async () => {
    const world = new SessionWorld();
    world.tokens.set("old", granted(["**"], { expiresWallMs: world.wallMs - 60_000 }));
    const client = await world.client({ token: "old" });
    world.go(50);
    expect(client.connection.closedWith?.code).toBe(4502);
  });
});

function expiryOf(world: SessionWorld): { expiry: TokenExpiry; ends: number[] } {
  const ends: number[] = [];
  return { ends, expiry: new TokenExpiry(world.wheel, world.clock, () => void ends.push(world.wallMs)) };
}

describe("TokenExpiry", () => {
  it("follows the wall clock when it jumps forwards, within five seconds", () => {
    const world = new SessionWorld();
    const { expiry, ends } = expiryOf(world);
    expiry.set(world.wallMs + 86_400_000);
    world.wallMs += 86_400_000 + expiryJitterMs;
    world.go(4000);
    expect(ends).toHaveLength(0);
    world.go(2000);
    expect(ends).toHaveLength(1);
  });

  it("follows the wall clock when it jumps backwards", () => {
    const world = new SessionWorld();
    const { expiry, ends } = expiryOf(world);
    expiry.set(world.wallMs + 30_000);
    world.wallMs -= 3_600_000;
    for (let second = 0; second < 3500; second += 1) world.go(1000);
    expect(ends).toHaveLength(0);
    for (let second = 0; second < 200; second += 1) world.go(1000);
    expect(ends).toHaveLength(1);
  });

  it("spreads the ends of many over five seconds", () => {
    const world = new SessionWorld();
    const endMs = world.wallMs + 10_000;
    const all = Array.from({ length: 200 }, () => {
      const each = expiryOf(world);
      each.expiry.set(endMs);
      return each;
    });
    for (let step = 0; step < 200; step += 1) world.go(100);
    const delays = all.flatMap(({ ends }) => ends).map((atMs) => atMs - endMs);
    expect(delays).toHaveLength(200);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...delays)).toBeLessThanOrEqual(expiryJitterMs + 200);
    expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(expiryJitterMs / 2);
  });

  it.each([
    { name: "null, which is never", end: (expiry: TokenExpiry) => expiry.set(null) },
    { name: "clear", end: (expiry: TokenExpiry) => expiry.clear() },
  ])("is ended by $name", ({ end }) => {
    const world = new SessionWorld();
    const { expiry, ends } = expiryOf(world);
    expiry.set(world.wallMs + 1000);
    end(expiry);
    world.go(100_000);
    expect(ends).toEqual([]);
    expect(world.wheel.size).toBe(0);
  });
});

describe("the rules of topics", () => {
  const all = granted(["**"], { sub: "u1", publish: ["**"] });
  const none = granted([], { sub: "u1" });
  const nameless = granted(["**"], { publish: ["**"] });
  /** Who asks, and what becomes of it: the code of the refusal, or null. */
  type Row = readonly [topic: string, anonymous: string | null, none: string | null, all: string | null];
  const subscribes: readonly Row[] = [
    ["chat.a", null, "forbidden", null],
    ["open.a", null, null, null],
    ["members.a", "unauthorized", null, null],
    ["paid.a", "unauthorized", "forbidden", null],
    ["inner.a", "forbidden", "forbidden", "forbidden"],
    ["user.u1.orders", "unauthorized", null, null],
    ["user.u2.orders", "unauthorized", "forbidden", "forbidden"],
    ["user.U1.orders", "unauthorized", "forbidden", "forbidden"],
    ["team.u1", "unauthorized", "forbidden", null],
    ["team.u2", "unauthorized", "forbidden", "forbidden"],
  ];
  it.each(subscribes)("subscribe %s: without a token %s, with an empty one %s, with ** %s", async (topic, ...expected) => {
    const world = new SessionWorld();
    world.tokens.set("none", none);
    world.tokens.set("all", all);
    for (const [index, holder] of [null, "none", "all"].entries()) {
      const client = await world.client({ token: holder });
      const [reply] = await world.ask(client, subscribeTo(topic));
      const { result } = JSON.parse(reply!) as { result: { errors?: Record<string, { code: string }> } };
      expect(result.errors?.[topic]?.code ?? null, String(holder)).toBe(expected[index]);
      const raw = world.raw(topic, { token: holder });
      await tick();
      const code = expected[index] === null ? null : holder === null ? "unauthorized" : "forbidden";
      expect(raw.connection.closedWith?.reason ?? null, `raw ${holder}`).toBe(code);
    }
  }); // prettier-ignore

  const publishes: readonly Row[] = [
    ["chat.a", null, "forbidden", null],
    ["quote.A", "forbidden", "forbidden", "forbidden"],
    ["open.a", "unauthorized", null, null],
    ["members.a", "unauthorized", "forbidden", null],
    ["paid.a", "forbidden", "forbidden", "forbidden"],
    ["user.u1.inbox", "unauthorized", null, null],
    ["user.u2.inbox", "unauthorized", "forbidden", "forbidden"],
  ];
  it.each(publishes)("publish %s: without a token %s, with an empty one %s, with ** %s", async (topic, ...expected) => {
    const world = new SessionWorld();
    world.tokens.set("none", none);
    world.tokens.set("all", all);
    for (const [index, holder] of [null, "none", "all"].entries()) {
      const client = await world.client({ token: holder });
      const code = await codeOf(world, client, { id: 1, method: "publish", params: { topic, data: 1 } });
      expect(code, String(holder)).toBe(expected[index]);
    }
  }); // prettier-ignore

  it("a token without a subject is nobody's: {sub} matches it nowhere", async () => {
    const world = new SessionWorld();
    world.tokens.set("nameless", nameless);
    const client = await world.client({ token: "nameless" });
    for (const topic of ["user.u1.a", "user.null.a", "team.null"]) {
      expect((await world.ask(client, subscribeTo(topic)))[0], topic).toContain('"forbidden"');
    }
  });

  it("the history of a private topic is as private", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    const command = { id: 1, method: "history", params: { topic: "members.a" } };
    expect(await codeOf(world, client, command)).toBe("unauthorized");
  });

  it("topics that are not for everybody share no compressed message", () => {
    for (const topic of ["user.u1.a", "team.u1", "members.a", "paid.a", "inner.a", "chat.a"]) {
      expect(topics.topic(topic).sharesCompression, topic).toBe(false);
    }
    expect(topics.topic("quote.A").sharesCompression).toBe(true);
  });
});

describe("limits of a user", () => {
  it("connectionsPerUserMax: one more is closed with 4504, over both endpoints, until one goes", async () => {
    const world = strict();
    world.users = new UserLimits(2, null);
    world.tokens.set("u1", ofUser("u1"));
    world.tokens.set("u2", ofUser("u2"));
    const first = await world.client({ token: "u1" });
    const second = world.raw("quote.A", { token: "u1" });
    await tick();
    const third = await world.client({ token: "u1" });
    const fourth = world.raw("quote.A", { token: "u1" });
    const other = await world.client({ token: "u2" });
    await tick();
    expect([first, second, third, fourth, other].map(({ connection }) => connection.closedWith?.code)).toEqual([
      undefined, undefined, 4504, 4504, undefined,
    ]); // prettier-ignore
    first.connection.end();
    await tick();
    expect((await world.client({ token: "u1" })).connection.closedWith).toBeNull();
    expect((await world.client({ token: "u1" })).connection.closedWith?.code).toBe(4504);
  });

  it("a renewed token counts once, and a refused one gives nothing back", async () => {
    const world = strict();
    world.users = new UserLimits(1, null);
    for (const name of ["u1", "again"]) world.tokens.set(name, ofUser("u1"));
    const first = await world.client({ token: "u1" });
    await world.ask(first, token("again"));
    await world.ask(first, token("bad"));
    expect((await world.client({ token: "u1" })).connection.closedWith?.code).toBe(4504);
    first.connection.end();
    await tick();
    expect((await world.client({ token: "u1" })).connection.closedWith).toBeNull();
  });

  it("a token over the wire is counted as one at the handshake", async () => {
    const world = strict();
    world.users = new UserLimits(1, null);
    world.tokens.set("u1", ofUser("u1"));
    const [first, second] = [await world.client(), await world.client()];
    await world.ask(first, token("u1"));
    await world.ask(second, token("u1"));
    expect(first.connection.closedWith).toBeNull();
    expect(second.connection.closedWith?.code).toBe(4504);
  });

  it("without a subject nobody is counted", async () => {
    const world = new SessionWorld();
    world.users = new UserLimits(1, 1);
    world.tokens.set("nameless", ofUser(null));
    for (const holder of [null, null, "nameless", "nameless"]) {
      expect((await world.client({ token: holder })).connection.closedWith).toBeNull();
    }
  });

  it("clientPublishesPerUserPerSecMax: over all of a user's connections, and again a second later", async () => {
    const world = strict();
    world.users = new UserLimits(null, 2);
    world.tokens.set("u1", ofUser("u1"));
    world.tokens.set("u2", ofUser("u2"));
    const [one, two, other] = [
      await world.client({ token: "u1" }),
      await world.client({ token: "u1" }),
      await world.client({ token: "u2" }),
    ];
    const publish = { id: 1, method: "publish", params: { topic: "chat.a", data: 1 } };
    expect(await codeOf(world, one, publish)).toBeNull();
    expect(await codeOf(world, two, publish)).toBeNull();
    expect(await codeOf(world, two, publish)).toBe("rate_limited");
    expect(await codeOf(world, other, publish)).toBeNull();
    world.go(1000);
    expect(await codeOf(world, one, publish)).toBeNull();
  });
});

describe("limits of a worker", () => {
  it("topicsPerWorkerMax: one more is refused by its name; topics that are open already are not", async () => {
    const world = new SessionWorld();
    world.limits = { ...world.limits, topicsPerWorkerMax: 3 };
    const counted = reachedBefore("topicsPerWorkerMax");
    const [first, second] = [await world.client(), await world.client()];
    const [reply] = await world.ask(first, subscribeTo("quote.A", "quote.B", "quote.C", "quote.D"));
    expect(reply).toContain('"errors":{"quote.D":{"code":"limit"');
    expect(world.hub.counters.topics).toBe(3);
    expect((await world.ask(second, subscribeTo("quote.A")))[0]).not.toContain("errors");
    expect((await world.ask(second, subscribeTo("quote.E")))[0]).toContain('"limit"');
    expect(world.raw("quote.F").connection.closedWith).toEqual({ code: 4004, reason: "overloaded" });
    expect(world.raw("quote.B").connection.closedWith).toBeNull();
    expect(reachedBefore("topicsPerWorkerMax") - counted).toBe(3);
  });

  it("commandsPerWorkerPerSecMax: more are answered rate_limited, whoever sends them", async () => {
    const world = new SessionWorld();
    world.commandBudget = new TokenBucket(2, world.nowMs);
    const counted = reachedBefore("commandsPerWorkerPerSecMax");
    const [first, second] = [await world.client(), await world.client()];
    const ping = { id: 1, method: "ping" };
    expect(await codeOf(world, first, ping)).toBeNull();
    expect(await codeOf(world, second, ping)).toBeNull();
    expect(await world.ask(second, ping)).toEqual([
      '{"id":1,"error":{"code":"rate_limited","message":"the server has too many commands to answer now","temporary":true}}',
    ]);
    world.go(500);
    expect(await codeOf(world, first, ping)).toBeNull();
    expect(reachedBefore("commandsPerWorkerPerSecMax") - counted).toBe(1);
  });
});

function ofUser(sub: string | null) {
  return granted(["**"], { sub, publish: ["**"] });
}

function reachedBefore(name: LimitName): number {
  return limitCounters.reached.get(name)!;
}
