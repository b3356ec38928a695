/** What reaches Redis, by whatever way, reaches the clients of every worker. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { redisUrl, uniquePrefix } from "../setup/redis-url.ts";
import { onBothWorkers } from "./both-workers.ts";
import { get, publish } from "./http.ts";
import { Peer } from "./peer.ts";
import { redisCli, Running, cli, root, tapecast } from "./run.ts";
import { onRedis, Server } from "./server.ts";
import { until } from "./until.ts";
import { join } from "node:path";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";

const prefix = uniquePrefix();
const price = '{"price":1.10}';
const peerCount = 8;

let server: Server;
let folder: string;
/** For the commands that go to Redis by themselves: `--config` names the prefix. */
let configFile: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tapecast-e2e-"));
  configFile = join(folder, "redis.yaml");
  writeFileSync(configFile, `broker: { kind: redis, redis: { prefix: "${prefix}" } }\n`);
  server = await Server.start({ sets: onRedis(redisUrl(), prefix) });
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function closeAll(peers: readonly Peer[]): Promise<void> {
  await Promise.all(peers.map((peer) => peer.close()));
}

it("says its addresses first, one a line, then logs", () => {
  const lines = server.process.stdout.split("\n");
  expect(lines.slice(0, 3)).toEqual([
    expect.stringMatching(/^listening http:/),
    expect.stringMatching(/^admin http:/),
    expect.stringMatching(/^\{"level":/),
  ]);
});

describe("redis-cli PUBLISH reaches clients of both workers", () => {
  it("through /ws, without a seq, byte for byte", async () => {
    const peers = await onBothWorkers(server, () => Peer.native(server.ws), peerCount);
    for (const peer of peers) await peer.subscribe("quote.TEST");
    const receivers = await redisCli(redisUrl(), "PUBLISH", `${prefix}quote.TEST`, price);
    expect(receivers, "one subscription per worker, however many clients").toBe("2");
    for (const peer of peers) expect(await peer.text()).toBe(`{"topic":"quote.TEST","data":${price}}`);
    await closeAll(peers);
  });

  it("through /raw/quote.TEST, where the frame is the data and nothing else", async () => {
    const peers = await onBothWorkers(server, () => Peer.open(`${server.ws}/raw/quote.TEST2`), peerCount);
    await until("both workers to subscribe", async () => {
      return (await redisCli(redisUrl(), "PUBSUB", "NUMSUB", `${prefix}quote.TEST2`)).endsWith("\n2");
    });
    await redisCli(redisUrl(), "PUBLISH", `${prefix}quote.TEST2`, price);
    for (const peer of peers) expect(await peer.text()).toBe(price);
    await closeAll(peers);
  });
});

describe("FCALL tape_publish", () => {
  it("stores, answers with the stream's own id, and reaches both workers with its seq", async () => {
    const peers = await onBothWorkers(server, () => Peer.native(server.ws), peerCount);
    for (const peer of peers) await peer.subscribe("quote.FCALL");
    const log = `${prefix}log:quote.FCALL`;
    const id = await redisCli(redisUrl(), "FCALL", "tape_publish", "1", log, price);
    const [epoch = "", seq] = id.split("-");
    expect(seq).toBe("1");
    for (const peer of peers)
      expect(await peer.text()).toBe(`{"topic":"quote.FCALL","seq":1,"data":${price}}`);
    expect(await redisCli(redisUrl(), "XRANGE", log, id, id)).toContain(price);
    const value = await get(`${server.http}/api/topics/quote.FCALL`);
    expect(value.text).toBe(`{"topic":"quote.FCALL","epoch":"${epoch}","seq":1,"data":${price}}`);
    const late = await Peer.native(server.ws);
    const state = await late.subscribe("quote.FCALL");
    expect(state).toMatchObject({ epoch, seq: 1, data: { price: 1.1 } });
    await closeAll([...peers, late]);
  });

  it("is how HTTP publishes: seq goes on, and the entry is in the stream", async () => {
    const log = `${prefix}log:trade.MIX`;
    await redisCli(redisUrl(), "FCALL", "tape_publish", "1", log, "1", "300", "300000");
    const answer = await publish(server.http, "trade.MIX", "2.0");
    expect(answer.results()).toMatchObject([{ topic: "trade.MIX", seq: 2 }]);
    expect(await redisCli(redisUrl(), "XLEN", log)).toBe("2");
  });
});

describe("the command line", () => {
  it("tapecast publish --redis and --url, and tapecast subscribe on the other end", async () => {
    const subscriber = new Running(process.execPath, [
      cli,
      "subscribe",
      "chat.cli",
      "quote.CLI",
      "--url",
      server.ws,
    ]);
    try {
      await until("the subscription", async () => {
        return (await redisCli(redisUrl(), "PUBSUB", "NUMSUB", `${prefix}chat.cli`)).endsWith("\n1");
      });
      const straight = await tapecast([
        "publish",
        "--redis",
        redisUrl(),
        "--config",
        configFile,
        "chat.cli",
        '"from redis"',
      ]);
      expect(straight).toMatchObject({ code: 0, stderr: "" });
      const byHttp = await tapecast(["publish", "--url", server.http, "chat.cli", '"from http"']);
      expect(byHttp).toMatchObject({ code: 0, stderr: "" });
      const stream = await tapecast(["publish", "--url", server.http, "-"], {
        input: [
          '{"topic":"quote.CLI","data":{"price":1.10}}',
          "oops",
          '{"topic":"quote.CLI","data":{"price":1.20}}',
          "",
        ].join("\n"),
      });
      expect(stream.code, "a line was refused").toBe(1);
      expect(stream.stderr).toContain("2");
      await until("four publications", () => subscriber.stdout.split("\n").length > 4);
      expect(subscriber.stdout.trimEnd().split("\n")).toEqual([
        '{"topic":"chat.cli","seq":1,"data":"from redis"}',
        '{"topic":"chat.cli","seq":2,"data":"from http"}',
        '{"topic":"quote.CLI","seq":1,"data":{"price":1.10}}',
        '{"topic":"quote.CLI","seq":2,"data":{"price":1.20}}',
      ]);
      subscriber.signalGroup("SIGINT");
      expect(await subscriber.end()).toEqual({ code: 0, signal: null });
    } finally {
      await subscriber.kill();
    }
  });

  it.each([
    { way: "--redis", target: () => ["--redis", redisUrl(), "--config", configFile] },
    { way: "--url", target: () => ["--url", server.http] },
  ])("tapecast replay $way moves quotes in time order", async ({ way, target }) => {
    const symbol = way === "--redis" ? "REPR" : "REPU";
    const file = join(folder, `${symbol}.csv`);
    const rows = Array.from(
      { length: 20 },
      (_, day) => `2000-01-${String(day + 1).padStart(2, "0")},${day + 1}.50`,
    );
    writeFileSync(file, ["date,price", ...rows, ""].join("\n"));
    const peer = await Peer.native(server.ws);
    await peer.subscribe(`quote.${symbol}`);
    const replay = await tapecast(["replay", file, "--speed", "50", ...target()], { cwd: root });
    expect(replay).toMatchObject({ code: 0 });
    const prices: string[] = [];
    while (prices.at(-1) !== "20.50") {
      const text = await peer.text();
      prices.push(/"price":([\d.]+)/u.exec(text)?.[1] ?? `no price in ${text}`);
    }
    expect(prices).toEqual([...prices].sort((a, b) => Number(a) - Number(b)));
    // `latest`: what one batch of the replay overtakes is left out.
    expect(prices.length).toBeGreaterThan(1);
    const history = await get(`${server.http}/api/topics/quote.${symbol}`);
    expect(history.json()).toMatchObject({ seq: 20, data: { price: 20.5 } });
    await peer.close();
  });
});

describe("what Redis brings that is no JSON", () => {
  it.each([
    { row: "text", payload: "hello" },
    { row: "two values", payload: "1 2" },
    { row: "cut short", payload: '{"price":1.' },
  ])("is dropped and counted, and the server lives: $row", async ({ payload }) => {
    const peer = await Peer.native(server.ws);
    await peer.subscribe("quote.BAD");
    const before = (await server.metrics()).sum("tapecast_broker_rejected_total");
    await redisCli(redisUrl(), "PUBLISH", `${prefix}quote.BAD`, payload);
    await redisCli(redisUrl(), "PUBLISH", `${prefix}quote.BAD`, price);
    expect(await peer.text()).toBe(`{"topic":"quote.BAD","data":${price}}`);
    await until("it to be counted", async () => {
      return (await server.metrics()).sum("tapecast_broker_rejected_total") > before;
    });
    await peer.close();
    expect(server.process.stdout).toContain("dropped a message from Redis");
    expect(server.process.stdout).not.toContain(payload);
  });
});
