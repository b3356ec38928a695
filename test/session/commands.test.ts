/** PRODUCT §4: every method and event of tapecast.v1, as it stands on the wire. */
import { describe, expect, it } from "vitest";

import { brokerAway, epoch, SessionWorld, tick, gate } from "./session-world.ts";

describe("a new connection", () => {
  it("is welcomed before anything else", () => {
    const { connection } = new SessionWorld().connect();
    expect(connection.messages).toEqual([
      '{"event":"welcome","connection":"connection-0","heartbeatMs":25000}',
    ]);
  });

  it("?topics= is answered with the event subscribed, then publications follow", async () => {
    const world = new SessionWorld();
    world.publish("quote.AAPL", '{"price":189.30}');
    const { connection } = world.connect({ topics: ["quote.AAPL", "nope!"] });
    await tick();
    expect(connection.take().slice(1)).toEqual([
      `{"event":"subscribed","topics":{"quote.AAPL":{"epoch":"${epoch}","seq":1,"data":{"price":189.30}}},` +
        '"errors":{"nope!":{"code":"bad_topic","message":"a topic is segments of letters, digits, _ and - joined by single dots"}}}',
    ]);
    world.publish("quote.AAPL", '{"price":189.40}');
    world.go();
    expect(connection.take()).toEqual(['{"topic":"quote.AAPL","seq":2,"data":{"price":189.40}}']);
  });

  it("?interval= is the default rate, intervalMs of a subscribe wins over it", async () => {
    const world = new SessionWorld();
    const client = world.connect({ topics: ["quote.A"], intervalMs: 200 });
    await tick();
    expect(client.connection.take()[1]).toContain('"seq":0,"intervalMs":250}');
    const [other] = await world.ask(client, { id: 1, method: "subscribe", params: { topics: ["quote.B"] } });
    expect(other).toContain('"intervalMs":250');
    const [own] = await world.ask(client, {
      id: 2,
      method: "subscribe",
      params: { topics: ["quote.C"], intervalMs: 900 },
    });
    expect(own).toContain('"intervalMs":1000');
    const [live] = await world.ask(client, {
      id: 3,
      method: "subscribe",
      params: { topics: ["quote.D"], intervalMs: 0 },
    });
    expect(live).toContain('"intervalMs":0');
  });

  it("?batch=1 gives the publications of a flush in one message; replies stay by themselves", async () => {
    const world = new SessionWorld();
    const client = await world.client({ batch: true });
    const reply = await world.ask(client, {
      id: 1,
      method: "subscribe",
      params: { topics: ["chat.a", "chat.b"] },
    });
    expect(reply).toHaveLength(1);
    world.publish("chat.a", '"hi"');
    world.publish("chat.b", '"yo"');
    world.go();
    expect(client.connection.take()).toEqual([
      '{"topic":"chat.a","seq":1,"data":"hi"}\n{"topic":"chat.b","seq":1,"data":"yo"}',
    ]);
  });

  it("is told when the server goes away", async () => {
    const client = await new SessionWorld().client();
    client.session.announceClosing("restart", 1840);
    expect(client.connection.take()).toEqual([
      '{"event":"closing","reason":"restart","reconnectAfterMs":1840}',
    ]);
  });
});

describe("ping", () => {
  it.each(["7", '"seven"', "18446744073709551615", "null"])("with id %s", async (id) => {
    const world = new SessionWorld();
    const client = await world.client();
    expect(await world.ask(client, `{"id":${id},"method":"ping"}`)).toEqual([`{"id":${id},"result":{}}`]);
  });
});

describe("subscribe", () => {
  it.each([
    {
      name: "latest with a value",
      topic: "quote.A",
      stored: ['{"p":189.30}'],
      json: `{"epoch":"${epoch}","seq":1,"data":{"p":189.30}}`,
    },
    {
      name: "with history and no publication yet",
      topic: "chat.a",
      stored: [],
      json: `{"epoch":"${epoch}","seq":0}`,
    },
    {
      name: "every with a value",
      topic: "chat.a",
      stored: ["1", "2"],
      json: `{"epoch":"${epoch}","seq":2,"data":2}`,
    },
    {
      name: "sample with a value",
      topic: "danmaku.a",
      stored: ['"哈"'],
      json: `{"epoch":"${epoch}","seq":1,"data":"哈"}`,
    },
    { name: "live only", topic: "wire.a", stored: ["1"], json: "{}" },
    {
      name: "data byte for byte",
      topic: "quote.A",
      stored: ['[1.10, 18446744073709551615 ,"\\u0041"]'],
      json: `{"epoch":"${epoch}","seq":1,"data":[1.10, 18446744073709551615 ,"\\u0041"]}`,
    },
  ])("a topic as the reply shows it: $name", async ({ topic, stored, json }) => {
    // prettier-ignore
    const world = new SessionWorld();
    for (const data of stored) world.publish(topic, data);
    const client = await world.client();
    expect(await world.ask(client, { id: 1, method: "subscribe", params: { topics: [topic] } })).toEqual([
      `{"id":1,"result":{"topics":{"${topic}":${json}}}}`,
    ]);
  });

  it.each([
    { topic: "quote.A", intervalMs: 60, shown: 100, rest: `"epoch":"${epoch}","seq":0,` },
    { topic: "tick.A", intervalMs: 60, shown: 100, rest: "" },
    { topic: "quote.A", intervalMs: 99_999, shown: 5000, rest: `"epoch":"${epoch}","seq":0,` },
    { topic: "chat.a", intervalMs: 60, shown: null, rest: `"epoch":"${epoch}","seq":0` },
    { topic: "wire.a", intervalMs: 60, shown: null, rest: "" },
  ])("says which rate it chose, on latest topics only: $topic, $intervalMs ms → $shown", async ({ topic, intervalMs, shown, rest }) => {
    const world = new SessionWorld();
    const client = await world.client();
    const reply = await world.ask(client, { id: 1, method: "subscribe", params: { topics: [topic], intervalMs } });
    const interval = shown === null ? "" : `"intervalMs":${shown}`;
    expect(reply).toEqual([`{"id":1,"result":{"topics":{"${topic}":{${rest}${interval}}}}}`]);
  }); // prettier-ignore

  it("names each topic that is refused, and why; the others are subscribed", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    const names = ["chat.a", "nope!", "", "__proto__", "other.topic", "$sys"];
    const [reply] = await world.ask(client, { id: 1, method: "subscribe", params: { topics: names } });
    const { result } = JSON.parse(reply!) as {
      result: { topics: object; errors: Record<string, { code: string }> };
    };
    expect(Object.keys(result.topics)).toEqual(["chat.a"]);
    expect(Object.entries(result.errors).map(([name, { code }]) => `${name} ${code}`)).toEqual([
      "nope! bad_topic",
      " bad_topic",
      "__proto__ unknown_topic",
      "other.topic unknown_topic",
      "$sys bad_topic",
    ]);
    expect(world.counters.errorsByCode).toMatchObject({ bad_topic: 3, unknown_topic: 2 });
  });

  it("to what one already has is no error and shows where it stands", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    const command = { id: 1, method: "subscribe", params: { topics: ["chat.a"] } };
    await world.ask(client, command);
    world.publish("chat.a", '"hi"');
    world.go();
    client.connection.take();
    expect(await world.ask(client, command)).toEqual([
      `{"id":1,"result":{"topics":{"chat.a":{"epoch":"${epoch}","seq":1,"data":"hi"}}}}`,
    ]);
    world.publish("chat.a", '"yo"');
    world.go();
    expect(client.connection.take()).toEqual(['{"topic":"chat.a","seq":2,"data":"yo"}']);
    expect(world.hub.counters.subscriptions).toBe(1);
  });

  it("subscribing again changes the rate", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    await world.ask(client, {
      id: 1,
      method: "subscribe",
      params: { topics: ["quote.A"], intervalMs: 1000 },
    });
    await world.ask(client, { id: 2, method: "subscribe", params: { topics: ["quote.A"] } });
    for (const price of [1, 2, 3]) {
      world.publish("quote.A", `${price}`);
      world.go(10);
    }
    expect(client.connection.take()).toHaveLength(3);
  });

  it("a topic that the broker does not open in time is unavailable; the others are there", async () => {
    const world = new SessionWorld();
    const other = await world.client();
    await world.ask(other, { id: 1, method: "subscribe", params: { topics: ["chat.open"] } });
    world.broker.opensAtOnce = false;
    const client = await world.client();
    world.send(client, { id: 1, method: "subscribe", params: { topics: ["chat.slow", "chat.open"] } });
    world.go(4999);
    expect(client.connection.take()).toEqual([]);
    world.go(1);
    expect(client.connection.take()).toEqual([
      `{"id":1,"result":{"topics":{"chat.open":{"epoch":"${epoch}","seq":0}},` +
        '"errors":{"chat.slow":{"code":"unavailable","message":"the topic could not be opened in time","temporary":true}}}}',
    ]);
  });
});

describe("unsubscribe", () => {
  it("names the topics, subscribed or not, and nothing of them follows the reply", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    await world.ask(client, { id: 1, method: "subscribe", params: { topics: ["chat.a", "chat.b"] } });
    world.publish("chat.a", "1");
    const reply = await world.ask(client, { id: 2, method: "unsubscribe", params: { topics: ["chat.a", "chat.never", "nope!"] } });
    expect(reply).toEqual([
      '{"topic":"chat.a","seq":1,"data":1}',
      '{"id":2,"result":{"topics":["chat.a","chat.never","nope!"]}}',
    ]);
    world.publish("chat.a", "2");
    world.publish("chat.b", "1");
    world.go(2000);
    expect(client.connection.take()).toEqual(['{"topic":"chat.b","seq":1,"data":1}']);
  }); // prettier-ignore

  it("waits for a full socket, and what comes in meanwhile waits behind it", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    await world.ask(client, { id: 1, method: "subscribe", params: { topics: ["chat.a"] } });
    client.connection.takes = () => false;
    world.publish("chat.a", "1");
    world.go();
    world.send(client, { id: 2, method: "unsubscribe", params: { topics: ["chat.a"] } });
    world.send(client, { id: 3, method: "ping" });
    world.publish("chat.a", "2");
    world.go();
    expect(client.connection.take()).toEqual(['{"topic":"chat.a","seq":1,"data":1}']);
    world.drain(client);
    world.publish("chat.a", "3");
    world.go();
    expect(client.connection.take()).toEqual([
      '{"topic":"chat.a","seq":2,"data":2}',
      '{"id":2,"result":{"topics":["chat.a"]}}',
      '{"id":3,"result":{}}',
    ]);
  });

  it("waits again when the socket fills while it catches up", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    await world.ask(client, { id: 1, method: "subscribe", params: { topics: ["chat.a"] } });
    client.connection.takes = () => false;
    world.publish("chat.a", "1");
    world.go();
    world.send(client, { id: 2, method: "unsubscribe", params: { topics: ["chat.a"] } });
    world.send(client, { id: 3, method: "ping" });
    world.publish("chat.a", "2");
    world.go();
    client.connection.isFull = false;
    client.session.drained();
    expect(client.connection.take()).toHaveLength(2);
    world.drain(client);
    expect(client.connection.take()).toEqual([
      '{"id":2,"result":{"topics":["chat.a"]}}',
      '{"id":3,"result":{}}',
    ]);
  });
});

describe("publish", () => {
  it.each([
    { name: "with history", topic: "chat.a", result: `{"topic":"chat.a","epoch":"${epoch}","seq":1}` },
    { name: "live only", topic: "wire.a", result: '{"topic":"wire.a"}' },
  ])("answers with the position: $name", async ({ topic, result }) => {
    const world = new SessionWorld();
    const client = await world.client();
    expect(
      await world.ask(client, `{"id":3,"method":"publish","params":{"topic":"${topic}","data":1.10}}`),
    ).toEqual([`{"id":3,"result":${result}}`]);
  });

  it("hands data on byte for byte, also when the command had to wait and its buffer was used again", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    const { open, promise } = gate();
    world.verifyGate = promise;
    world.send(client, { id: 1, method: "token", params: { token: "x" } });
    const buffer = Buffer.from('{"id":2,"method":"publish","params":{"topic":"chat.a","data":{"p": 1.10}}}');
    client.session.receive(buffer);
    buffer.fill("X");
    open();
    await tick();
    expect(Buffer.from(world.broker.log("chat.a").entries[0]!.data).toString()).toBe('{"p": 1.10}');
  });

  it("comes back to its sender like to everybody else", async () => {
    const world = new SessionWorld();
    const [sender, other] = [await world.client(), await world.client()];
    for (const client of [sender, other]) {
      await world.ask(client, { id: 1, method: "subscribe", params: { topics: ["danmaku.a"] } });
    }
    await world.ask(sender, { id: 2, method: "publish", params: { topic: "danmaku.a", data: "哈" } });
    world.go();
    expect(sender.connection.take()).toEqual(['{"topic":"danmaku.a","seq":1,"data":"哈"}']);
    expect(other.connection.take()).toEqual(['{"topic":"danmaku.a","seq":1,"data":"哈"}']);
    expect(world.broker.log("danmaku.a").entries[0]!.origin).toBe(sender.connection.id);
  });

  it.each([
    { name: "no topic", params: '{"data":1}', code: "bad_topic" },
    { name: "a bad topic", params: '{"topic":"nope!","data":1}', code: "bad_topic" },
    { name: "an unknown topic", params: '{"topic":"other","data":1}', code: "unknown_topic" },
    {
      name: "a topic on which clients may not publish",
      params: '{"topic":"quote.A","data":1}',
      code: "forbidden",
    },
    { name: "no data", params: '{"topic":"chat.a"}', code: "bad_request" },
    { name: "too large", params: `{"topic":"chat.a","data":"${"x".repeat(99)}"}`, code: "too_large" },
  ])("is refused: $name", async ({ params, code }) => {
    const world = new SessionWorld();
    world.limits = { ...world.limits, messageBytesMax: 100 };
    const client = await world.client();
    const [reply] = await world.ask(client, `{"id":1,"method":"publish","params":${params}}`);
    expect(JSON.parse(reply!)).toMatchObject({ id: 1, error: { code } });
    expect(world.broker.calls).toEqual([]);
    // The connection stays.
    expect(await world.ask(client, '{"id":2,"method":"ping"}')).toEqual(['{"id":2,"result":{}}']);
  });

  it("at the size limit passes", async () => {
    const world = new SessionWorld();
    world.limits = { ...world.limits, messageBytesMax: 100 };
    const client = await world.client();
    const data = JSON.stringify("x".repeat(98));
    const [reply] = await world.ask(
      client,
      `{"id":1,"method":"publish","params":{"topic":"chat.a","data":${data}}}`,
    );
    expect(reply).toContain('"seq":1');
  });

  it("passes up to the rate limit; one past it is refused and dropped, and later it goes again (ABUSE PS9)", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    const command = { id: 1, method: "publish", params: { topic: "danmaku.a", data: 1 } };
    for (let count = 0; count < 5; count += 1) {
      expect((await world.ask(client, command))[0]).toContain('"result"');
    }
    expect(await world.ask(client, command)).toEqual([
      '{"id":1,"error":{"code":"rate_limited","message":"at most 5 messages a second","temporary":true}}',
    ]);
    world.go(199);
    expect((await world.ask(client, command))[0]).toContain("rate_limited");
    world.go(1);
    expect((await world.ask(client, command))[0]).toContain('"seq":6');
    expect(world.counters.errorsByCode.rate_limited).toBe(2);
  });

  it("refused ones cost nothing of the rate", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    for (let count = 0; count < 20; count += 1) {
      await world.ask(client, { id: 1, method: "publish", params: { topic: "quote.A", data: 1 } });
    }
    expect(
      (await world.ask(client, { id: 2, method: "publish", params: { topic: "chat.a", data: 1 } }))[0],
    ).toContain('"result"');
  });
});

/** Messages m1, m2 and so on. */
function filled(count: number): SessionWorld {
  const world = new SessionWorld();
  for (let seq = 1; seq <= count; seq += 1) world.publish("chat.a", `"m${seq}"`);
  return world;
}

describe("history", () => {
  it.each([
    {
      name: "the newest, oldest first",
      params: '{"topic":"chat.a","limit":2}',
      rest: '"messages":[{"seq":3,"data":"m3"},{"seq":4,"data":"m4"}]',
    },
    {
      name: "after a position",
      params: `{"topic":"chat.a","since":{"epoch":"${epoch}","seq":3}}`,
      rest: '"recovered":true,"messages":[{"seq":4,"data":"m4"}]',
    },
    {
      name: "nothing after the last",
      params: `{"topic":"chat.a","since":{"epoch":"${epoch}","seq":4}}`,
      rest: '"recovered":true,"messages":[]',
    },
    {
      name: "of another epoch",
      params: '{"topic":"chat.a","since":{"epoch":"1","seq":4},"limit":1}',
      rest: '"recovered":false,"messages":[]',
    },
  ])("$name", async ({ params, rest }) => {
    // prettier-ignore
    const world = filled(4);
    const client = await world.client();
    expect(await world.ask(client, `{"id":4,"method":"history","params":${params}}`)).toEqual([
      `{"id":4,"result":{"topic":"chat.a","epoch":"${epoch}","seq":4,${rest}}}`,
    ]);
  });

  it.each([
    { name: "no limit named", limit: "", asked: 50 },
    { name: "a limit", limit: ',"limit":7', asked: 7 },
    { name: "a limit past the largest", limit: ',"limit":100000', asked: 1000 },
  ])("asks the broker for at most so many: $name", async ({ limit, asked }) => {
    const world = filled(1);
    const client = await world.client();
    await world.ask(client, `{"id":4,"method":"history","params":{"topic":"chat.a"${limit}}}`);
    expect(world.broker.calls).toEqual([`history chat.a since - limit ${asked}`]);
  });

  it.each([
    { name: "a live-only topic", topic: "wire.a", code: "bad_request" },
    { name: "an unknown topic", topic: "other", code: "unknown_topic" },
    { name: "a bad topic", topic: "a b", code: "bad_topic" },
  ])("is refused: $name", async ({ topic, code }) => {
    const world = new SessionWorld();
    const client = await world.client();
    const [reply] = await world.ask(client, { id: 1, method: "history", params: { topic } });
    expect(JSON.parse(reply!)).toMatchObject({ error: { code } });
  });

  it("a reply that would be larger than pendingBytesMax is too_large", async () => {
    const world = filled(100);
    world.limits = { ...world.limits, pendingBytesMax: 1024 };
    const client = await world.client();
    const [reply] = await world.ask(client, { id: 1, method: "history", params: { topic: "chat.a" } });
    expect(JSON.parse(reply!)).toMatchObject({ error: { code: "too_large" } });
    const [fewer] = await world.ask(client, {
      id: 1,
      method: "history",
      params: { topic: "chat.a", limit: 10 },
    });
    expect(fewer).toContain('"messages":[');
  });
});

it("a connection reads one history at a time: what is read must be held until it is answered", async () => {
  const world = filled(3);
  const { open, promise } = gate();
  world.broker.gate = promise;
  const client = await world.client();
  client.connection.take();
  for (const id of [1, 2, 3])
    world.send(client, { id, method: "history", params: { topic: "chat.a", limit: id } });
  world.send(client, { id: 4, method: "ping" });
  await tick();
  expect(world.broker.calls).toEqual(["history chat.a since - limit 1"]);
  expect(client.connection.take()).toEqual([]);
  open();
  for (let count = 0; count < 8; count++) await tick();
  expect(world.broker.calls).toHaveLength(3);
  const ids = client.connection.take().map((message) => (JSON.parse(message) as { id: number }).id);
  expect(ids).toEqual([1, 2, 3, 4]);
});

describe("what goes wrong on our side", () => {
  const commands = [
    { id: 1, method: "publish", params: { topic: "chat.a", data: 1 } },
    { id: 1, method: "history", params: { topic: "chat.a" } },
  ];

  it.each(commands)("the broker cannot be reached: $method is unavailable", async (command) => {
    const world = new SessionWorld();
    world.broker.failure = brokerAway;
    const client = await world.client();
    expect(await world.ask(client, command)).toEqual([
      '{"id":1,"error":{"code":"unavailable","message":"the broker cannot be reached","temporary":true}}',
    ]);
    expect(world.unexpected).toEqual([]);
    expect(world.counters.errorsByCode.unavailable).toBe(1);
  });

  it.each(commands)("something nobody expects: $method is internal, and reported", async (command) => {
    const world = new SessionWorld();
    world.broker.failure = new TypeError("cannot read properties of undefined");
    const client = await world.client();
    expect(await world.ask(client, command)).toEqual([
      '{"id":1,"error":{"code":"internal","message":"this failed for a reason of ours","temporary":true}}',
    ]);
    expect(world.unexpected).toEqual([world.broker.failure]);
  });

  it.each(commands)("the connection is gone when the broker answers: $method", async (command) => {
    const world = new SessionWorld();
    const { open, promise } = gate();
    world.broker.gate = promise;
    const client = await world.client();
    world.send(client, command);
    client.connection.end();
    await tick();
    open();
    await tick();
    expect(client.connection.take()).toEqual([]);
    expect(world.unexpected).toEqual([]);
  });
});

describe("unreadable messages", () => {
  it("are answered with id null; the third in a row closes with 4503", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    for (const text of ["{", "[]"]) {
      expect((await world.ask(client, text))[0]).toMatch(/^\{"id":null,"error":\{"code":"bad_request"/);
    }
    expect(client.connection.closedWith).toBeNull();
    await world.ask(client, "hello");
    expect(client.connection.closedWith).toEqual({ code: 4503, reason: "too_many_errors" });
  });

  it("do not add up over time: one good command between, and the count begins anew", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    for (let round = 0; round < 5; round += 1) {
      await world.ask(client, "{");
      await world.ask(client, "{");
      await world.ask(client, '{"id":1,"method":"ping"}');
    }
    expect(client.connection.closedWith).toBeNull();
  });

  it("bad commands with an id close nothing", async () => {
    const world = new SessionWorld();
    const client = await world.client();
    for (let count = 0; count < 10; count += 1) await world.ask(client, '{"id":1,"method":"shout"}');
    expect(client.connection.closedWith).toBeNull();
    expect(world.counters.commandsByMethod.unreadable).toBe(10);
  });
});

it("counts commands by method", async () => {
  const world = new SessionWorld();
  world.tokens.set("good", world.anonymous!);
  const client = await world.client();
  for (const [method, params] of [["subscribe", { topics: ["chat.a"] }], ["unsubscribe", { topics: ["chat.a"] }],
    ["publish", { topic: "chat.a", data: 1 }], ["history", { topic: "chat.a" }], ["token", { token: "good" }], ["ping", {}]] as const) {
    await world.ask(client, { id: 1, method, params });
  } // prettier-ignore
  expect(world.counters.commandsByMethod).toEqual({
    subscribe: 1, unsubscribe: 1, publish: 1, history: 1, token: 1, ping: 1, unreadable: 0,
  }); // prettier-ignore
});
