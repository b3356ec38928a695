/** Rows PS1 to PS12 of docs/ABUSE.md: the native protocol and the bus. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { freePort, startRedisServer, type RedisServer } from "../setup/redis-server.ts";
import { publish, publishLines, get } from "../e2e/http.ts";
import { Peer } from "../e2e/peer.ts";
import { redisCli, run } from "../e2e/run.ts";
import { onRedis } from "../e2e/server.ts";
import { until } from "../e2e/until.ts";
import { AbusedServer } from "./abused-server.ts";
import { scale } from "./raw.ts";

const prefix = "abuse:";
/** One of its own, so that its figures tell of this file only. */
let redis: RedisServer;
let redisUrl: string;
let abused: AbusedServer;

beforeAll(async () => {
  const port = await freePort();
  redis = await startRedisServer({ port });
  redisUrl = `redis://127.0.0.1:${port}`;
  abused = await AbusedServer.start({
    sets: { ...onRedis(redisUrl, prefix), "limits.pendingAgeMsMax": 4000 },
  });
}, 60_000);
afterEach(() => abused.expectNobodyHurt());
afterAll(async () => {
  try {
    await abused.expectBackToStart();
  } finally {
    await abused.end();
    await redis.stop();
  }
}, 60_000);

function open(query = ""): Promise<Peer> {
  return Peer.native(abused.server.ws, query);
}

/** Sends a text as it is and gives the next answer. */
async function answerOf(peer: Peer, text: string): Promise<Awaited<ReturnType<Peer["json"]>>> {
  peer.client.send(text);
  return peer.json();
}

/** `redis-cli publish` with the message on standard input, whatever its bytes. */
async function redisPublish(topic: string, message: string): Promise<void> {
  const end = await run("redis-cli", ["-u", redisUrl, "-x", "publish", `${prefix}${topic}`], {
    input: message,
  });
  expect(end).toMatchObject({ code: 0, stderr: "" });
}

describe("PS1 what is no command", () => {
  it.each([
    { row: "not JSON", text: "hello" },
    { row: "nested 10,000 deep", text: `${"[".repeat(10_000)}${"]".repeat(10_000)}` },
    { row: "64 KB of [", text: "[".repeat(65_536) },
    { row: "objects without end", text: '{"a":'.repeat(10_000) },
    { row: "a byte order mark", text: '\uFEFF{"id":1,"method":"ping"}' },
    { row: "an array", text: "[1]" },
    { row: "a number", text: "1e999" },
    { row: "nothing", text: "" },
    { row: "__proto__", text: '{"__proto__":{"method":"ping"}}' },
  ])("PS1 $row: bad_request with id null, the third time 4503", async ({ text }) => {
    const peer = await open();
    const beforeMs = abused.cpuMs();
    for (let round = 0; round < 3; round++) {
      expect(await answerOf(peer, text)).toMatchObject({ id: null, error: { code: "bad_request" } });
    }
    expect(abused.cpuMs() - beforeMs, "three of them, beside the feed").toBeLessThan(200);
    expect(await peer.ended).toMatchObject({ code: 4503 });
  });

  it("PS1 a key that stands twice is judged the same way each time", async () => {
    const peer = await open();
    const twice = '{"id":1,"id":2,"method":"subscribe","method":"ping","params":{}}';
    const first = await answerOf(peer, twice);
    expect(await answerOf(peer, twice)).toEqual(first);
    await peer.close();
  });
});

describe("PS2 names that are no topics", () => {
  it.each([
    "__proto__.",
    "",
    ".",
    "quote.",
    ".quote",
    "quote..A",
    "*",
    "quote.*",
    "quote.**",
    "?",
    "[a-z]",
    "quote.[A]",
    "quote.A\u0000",
    "quote.A\r\nPING",
    "quote.\ud800",
    "quote A",
    "quote:A",
    "quote.A/..",
    `quote.${"a".repeat(250)}`,
  ])("PS2 %j: bad_topic, and Redis never hears of it", async (name) => {
    const peer = await open();
    const { result, error } = await peer.command("subscribe", { topics: [name] });
    const codes = Object.values(result?.errors ?? {}).map(({ code }) => code);
    expect(error?.code ?? codes[0]).toMatch(/^bad_(?:topic|request)$/u);
    expect((await peer.command("publish", { topic: name, data: 1 })).error?.code).toMatch(
      /^bad_(?:topic|request)$/u,
    );
    await peer.close();
  });

  it.each(["constructor", "__proto__", "hasOwnProperty", "toString"])(
    "PS2 %s is a name without a rule",
    async (name) => {
      const peer = await open();
      const { result } = await peer.command("subscribe", { topics: [name, `quote.${name}`] });
      expect(result?.errors).toMatchObject({ [name]: { code: "unknown_topic" } });
      expect(Object.keys(result?.topics ?? {})).toEqual([`quote.${name}`]);
      await peer.close();
    },
  );

  it("PS2 255 bytes are a topic, 256 are not", async () => {
    const peer = await open();
    const [longest, longer] = [`quote.${"a".repeat(249)}`, `quote.${"a".repeat(250)}`];
    const { result } = await peer.command("subscribe", { topics: [longest, longer] });
    expect(Object.keys(result?.topics ?? {})).toEqual([longest]);
    expect(result?.errors).toMatchObject({ [longer]: { code: "bad_topic" } });
    await peer.close();
  });
});

describe("PS3 topics of others", () => {
  it.each([
    { name: "$system", code: "bad_topic" },
    { name: "$system.workers", code: "bad_topic" },
    { name: "internal:bus", code: "bad_topic" },
    { name: "a//b", code: "bad_topic" },
    { name: "QUOTE.A", code: "unknown_topic" },
    { name: "Chat.lobby", code: "unknown_topic" },
    { name: "chat.e\u0301", code: "bad_topic" },
    { name: "chat.\uFF41\u200B", code: "bad_topic" },
  ])("PS3 $name: $code", async ({ name, code }) => {
    const peer = await open();
    const { result } = await peer.command("subscribe", { topics: [name] });
    expect(result?.errors).toMatchObject({ [name]: { code } });
    await peer.close();
  });
});

describe("PS4 too many, twice, unknown, too often", () => {
  it("PS4 the 1,025th topic: limit; twice the same: no error; unknown: nothing happens", async () => {
    const peer = await open();
    const names = Array.from({ length: 1025 }, (_, index) => `quote.N${index}`);
    const { result } = await peer.command("subscribe", { topics: names });
    expect(Object.keys(result?.topics ?? {})).toHaveLength(1024);
    expect(result?.errors).toMatchObject({ "quote.N1024": { code: "limit" } });
    expect((await peer.command("subscribe", { topics: ["quote.N1"] })).result?.errors).toBeUndefined();
    expect((await peer.command("unsubscribe", { topics: ["quote.NEVER"] })).error).toBeUndefined();
    await peer.close();
  });

  it("PS4 subscribe and unsubscribe 1,000 times a second: 4505", async () => {
    const peer = await open();
    for (let round = 0; round < 500; round++) {
      peer.send("subscribe", { topics: ["quote.TURN"] });
      peer.send("unsubscribe", { topics: ["quote.TURN"] });
    }
    expect(await peer.ended).toMatchObject({ code: 4505 });
  });
});

describe("PS5 leaving in the middle", () => {
  it.each([
    { row: "unsubscribe while subscribe is under way", leave: "unsubscribe" },
    { row: "the socket goes while subscribe is under way", leave: "terminate" },
    { row: "a close frame behind subscribe", leave: "close" },
  ])("PS5 $row: nothing is left", async ({ leave }) => {
    for (let round = 0; round < 20 * scale; round++) {
      const peer = await open();
      peer.send("subscribe", { topics: [`chat.leave${round}`, `quote.LEAVE${round}`] });
      if (leave === "unsubscribe") {
        expect(await peer.command("unsubscribe", { topics: [`chat.leave${round}`] })).toMatchObject({
          result: { topics: [`chat.leave${round}`] },
        });
        await peer.close();
      } else if (leave === "close") await peer.close();
      else peer.client.destroy();
    }
  });
});

describe("PS6 positions that cannot be", () => {
  it("PS6 every one: recovered false or bad_request, never a crash", async () => {
    const peer = await open();
    await publishLines(abused.server.http, [
      '{"topic":"chat.since","data":1}',
      '{"topic":"chat.other","data":1}',
    ]);
    const { epoch = "" } = await peer.subscribe("chat.since");
    const other = (await peer.subscribe("chat.other")).epoch ?? "";
    await peer.command("unsubscribe", { topics: ["chat.since", "chat.other"] });
    const seqs = [
      { epoch, seq: -1 }, { epoch, seq: 2 ** 53 }, { epoch, seq: "1e9" }, { epoch, seq: 1.5 }, { epoch, seq: null },
      { epoch, seq: 1_000_000 }, { epoch: "0", seq: 1 }, { epoch: "9".repeat(100), seq: 1 }, { epoch: "-1", seq: 1 },
      { epoch: other === epoch ? "1" : other, seq: 1 }, { epoch: "*", seq: 1 }, { epoch: 5, seq: 1 }, {}, null, [],
    ]; // prettier-ignore
    for (const since of seqs) {
      const reply = await peer.command("subscribe", {
        topics: ["chat.since"],
        since: { "chat.since": since },
      });
      const state = reply.result?.topics?.["chat.since"];
      const said =
        reply.error?.code ?? reply.result?.errors?.["chat.since"]?.code ?? `recovered ${state?.recovered}`;
      expect(["bad_request", "recovered false"], JSON.stringify(since)).toContain(said);
      expect(state?.messages).toBeUndefined();
      await peer.command("unsubscribe", { topics: ["chat.since"] });
    }
    await peer.close();
  });
});

it("PS7 resuming a long history over and over: the rate holds, and Redis reads once for many", async () => {
  const lines = Array.from({ length: 300 }, (_, n) => JSON.stringify({ topic: "chat.long", data: n }));
  const [first] = (await publishLines(abused.server.http, lines)).results();
  const since = { "chat.long": { epoch: first?.epoch, seq: 1 } };
  const greedy = await open();
  for (let round = 0; round < 300; round++) {
    greedy.send("subscribe", { topics: ["chat.long"], since });
    greedy.send("unsubscribe", { topics: ["chat.long"] });
  }
  expect(await greedy.ended).toMatchObject({ code: 4505 });
  const readsBefore = await xrangeCalls();
  const crowd = await Promise.all(Array.from({ length: 100 }, () => open()));
  const states = await Promise.all(crowd.map((peer) => peer.subscribe("chat.long", { since })));
  expect(states.every(({ messages }) => messages?.length === 299)).toBe(true);
  expect((await xrangeCalls()) - readsBefore).toBeLessThanOrEqual(20);
  await Promise.all(crowd.map((peer) => peer.close()));
});

async function xrangeCalls(): Promise<number> {
  const { stdout } = await run("redis-cli", ["-u", redisUrl, "info", "commandstats"]);
  return Array.from(stdout.matchAll(/cmdstat_xrev?range:calls=(\d+)/gu), ([, calls]) => Number(calls)).reduce(
    (all, calls) => all + calls,
    0,
  );
}

describe("PS8 danmaku of all kinds", () => {
  const combining = `a${"\u0301".repeat(5000)}`;
  it.each([
    { row: "HTML", text: "<script>alert(1)</script><img src=x onerror=alert(1)>" },
    { row: "bidi overrides", text: "\u202Egnp.exe\u2066" },
    { row: "10 KB of combining marks", text: combining },
    { row: "control characters", text: "\u0000\u0007\u001B[31m\u2028" },
  ])("PS8 $row is data and comes as it was sent", async ({ text }) => {
    const peer = await open();
    await peer.subscribe("danmaku.ps8");
    peer.send("publish", { topic: "danmaku.ps8", data: { text } });
    for (;;) {
      const message = await peer.json();
      if (message.topic !== "danmaku.ps8") continue;
      expect(message.data).toEqual({ text });
      break;
    }
    await peer.close();
  });

  it("PS8 one byte over limits.messageBytesMax is too_large or 1009", async () => {
    const peer = await open();
    peer.send("publish", { topic: "danmaku.ps8", data: "x".repeat(65_536) });
    expect(await peer.ended).toMatchObject({ code: 1009 });
  });
});

describe("PS9 publishing", () => {
  it("PS9 on a read-only topic: forbidden", async () => {
    const peer = await open();
    expect(await peer.command("publish", { topic: "quote.A", data: 1 })).toMatchObject({
      error: { code: "forbidden" },
    });
    await peer.close();
  });

  it("PS9 100 danmaku a second: five are taken, the rest is rate_limited and not kept for later", async () => {
    const [writer, reader] = [await open(), await open()];
    await reader.subscribe("danmaku.ps9");
    for (let n = 0; n < 80; n++) writer.send("publish", { topic: "danmaku.ps9", data: n });
    const codes: string[] = [];
    while (codes.length < 80) {
      const { id, error } = await writer.json();
      if (id !== undefined) codes.push(error?.code ?? "taken");
    }
    const taken = codes.filter((code) => code === "taken").length;
    expect(taken).toBeGreaterThanOrEqual(5);
    expect(taken).toBeLessThan(20);
    expect(codes.filter((code) => code === "rate_limited")).toHaveLength(80 - taken);
    for (let n = 0; n < taken; n++) expect(await reader.json()).toMatchObject({ topic: "danmaku.ps9" });
    await reader.command("ping");
    expect(reader.waitingCount).toBe(0);
    await Promise.all([writer.close(), reader.close()]);
  });
});

describe("PS10 a poisoned bus", () => {
  it.each([
    { row: "not JSON", message: "hello" },
    { row: "two values", message: "1 2" },
    { row: "cut off", message: '{"a":' },
    { row: "an envelope that is none", message: "@1-x {}" },
    { row: "an envelope with a seq of 0", message: "@1-0 {}" },
    { row: "an envelope from far away", message: '@99999999999999999999-999999999999999 "x"' },
    { row: "5 MB", message: JSON.stringify("x".repeat(5_000_000)) },
    { row: "nested 100,000 deep", message: `${"[".repeat(100_000)}${"]".repeat(100_000)}` },
  ])("PS10 $row: the readers go on", async ({ message }) => {
    const peer = await open();
    await peer.subscribe("quote.POISON");
    const before = (await abused.server.metrics()).sum("tapecast_broker_rejected_total");
    await redisPublish("quote.POISON", message);
    expect((await publish(abused.server.http, "quote.POISON", '"good"')).status).toBe(200);
    for (;;) if ((await peer.json()).data === "good") break;
    if (!message.startsWith("@999") && !message.startsWith("[[")) {
      await until("it to be counted", async () => {
        return (await abused.server.metrics()).sum("tapecast_broker_rejected_total") > before;
      });
    }
    await peer.close();
  });
});

it("PS10 bytes that are not UTF-8: dropped and counted", async () => {
  const before = (await abused.server.metrics()).sum("tapecast_broker_rejected_total");
  const peer = await open();
  await peer.subscribe("quote.BYTES");
  const script = "return redis.call('publish', KEYS[1], '\"\\255\"')";
  expect(await redisCli(redisUrl, "eval", script, "1", `${prefix}quote.BYTES`)).toBe("1");
  await abused.untilCounted("tapecast_broker_rejected_total", {}, before + 1);
  await peer.close();
});

it("PS11 commands without end and no reply read: closed", { timeout: 60_000 }, async () => {
  const peer = await open();
  await peer.command("ping");
  peer.client.pause();
  const topics = Array.from({ length: 1000 }, (_, index) => `quote.R${index}`);
  const startMs = performance.now();
  // 40 a second are within every rate; each asks for a reply of tens of kilobytes.
  const asking = setInterval(() => {
    for (let count = 0; count < 5; count++) peer.send("subscribe", { topics });
  }, 130);
  await abused.untilCounted("tapecast_connections_closed_total", { reason: "slow_consumer" }, 1);
  clearInterval(asking);
  peer.client.resume();
  await peer.ended;
  expect(performance.now() - startMs).toBeLessThan(40_000);
});

describe("PS12 one session, two tabs", () => {
  it("PS12 connection ids are 128 random bits and mean nothing to the server", async () => {
    const ids = new Set<string>();
    for (let count = 0; count < 20; count++) {
      const peer = await Peer.open(`${abused.server.ws}/ws`);
      const { connection } = JSON.parse(await peer.text()) as { connection: string };
      expect(connection).toMatch(/^[A-Za-z0-9_-]{22}$/u);
      ids.add(connection);
      await peer.close();
    }
    expect(ids.size).toBe(20);
  });

  it("PS12 two that resume the same position are independent, and both get everything", async () => {
    const lines = [1, 2, 3].map((n) => JSON.stringify({ topic: "chat.tabs", data: n }));
    const [first] = (await publishLines(abused.server.http, lines)).results();
    const since = { "chat.tabs": { epoch: first?.epoch, seq: 1 } };
    const tabs = [await open(), await open()];
    for (const tab of tabs) {
      expect(await tab.subscribe("chat.tabs", { since })).toMatchObject({
        recovered: true,
        messages: [{ seq: 2 }, { seq: 3 }],
      });
    }
    await tabs[0]?.close();
    await publish(abused.server.http, "chat.tabs", "4");
    expect(await tabs[1]?.json()).toMatchObject({ topic: "chat.tabs", data: 4 });
    await tabs[1]?.close();
    expect((await get(`${abused.server.http}/healthz`)).status).toBe(200);
  });
});
