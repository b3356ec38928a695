/** `tapecast publish --redis` and `replay --redis` against a real Redis: what ends up there, byte for byte. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { redisUrl, uniquePrefix } from "../setup/redis-url.ts";
import { runCli } from "./run-cli.ts";

const prefix = uniquePrefix();
const env = {
  TAPECAST_BROKER__REDIS__PREFIX: prefix,
  TAPECAST_TOPICS: JSON.stringify([
    { match: "quote.**", delivery: "latest", history: { size: 10, ttlMs: 60_000 } },
    { match: "live.*", delivery: "every" },
  ]),
};
let redis: Redis;
let subscriber: Redis;
const heard: (readonly [string, string])[] = [];

beforeAll(async () => {
  redis = new Redis(redisUrl());
  subscriber = new Redis(redisUrl());
  subscriber.on("pmessage", (_pattern, channel: string, message: string) => {
    heard.push([channel.slice(prefix.length), message]);
  });
  await subscriber.psubscribe(`${prefix}*`);
});
afterAll(async () => {
  const keys = await redis.keys(`${prefix}*`);
  if (keys.length > 0) await redis.del(keys);
  redis.disconnect();
  subscriber.disconnect();
});

describe("past the server, into its Redis", () => {
  it("stores where the rule has history, and hands on where it has none", async () => {
    const stored = await runCli(["publish", "--redis", redisUrl(), "quote.A", '{"price":1.10}'], { env });
    expect(stored).toMatchObject({ code: 0, stderr: "" });
    const { epoch, seq } = JSON.parse(stored.stdout) as { epoch: string; seq: number };
    expect(await redis.xrange(`${prefix}log:quote.A`, "-", "+")).toEqual([
      [`${epoch}-${seq}`, expect.arrayContaining(['{"price":1.10}'])],
    ]);
    const handedOn = await runCli(["publish", "--redis", redisUrl(), "live.x", "1.0"], { env });
    expect(handedOn).toEqual({ code: 0, stdout: '{"topic":"live.x"}\n', stderr: "" });
    expect(heard).toEqual([
      ["quote.A", `@${epoch}-${seq} {"price":1.10}`],
      ["live.x", "@ 1.0"],
    ]);
  });

  it("keeps the order of standard input and names what no rule matches", async () => {
    heard.length = 0;
    const lines = Array.from({ length: 500 }, (_, index) => `{"topic":"quote.B","data":${index}.0}`);
    const input = [...lines, '{"topic":"chat.x","data":1}'].join("\n");
    const run = await runCli(["publish", "--redis", redisUrl(), "-"], { input, env });
    expect(run.code).toBe(1);
    expect(run.stderr).toContain("line 501: unknown_topic");
    expect(heard.map(([, message]) => message.slice(message.indexOf(" ") + 1))).toEqual(
      lines.map((_, index) => `${index}.0`),
    );
  });

  it("takes a replay", async () => {
    heard.length = 0;
    const file = join(mkdtempSync(join(tmpdir(), "tapecast-cli-")), "gold.csv");
    writeFileSync(file, "date,price\n2000-01-01,1.10\n2000-01-02,1.20\n");
    const run = await runCli(["replay", file, "--redis", redisUrl(), "--speed", "100"], { env });
    expect(run).toEqual({ code: 0, stdout: "", stderr: "replayed 2\n" });
    expect(heard.map(([channel, message]) => [channel, message.slice(message.indexOf(" ") + 1)])).toEqual([
      ["quote.GOLD", '{"symbol":"GOLD","price":1.10,"date":"2000-01-01"}'],
      ["quote.GOLD", '{"symbol":"GOLD","price":1.20,"date":"2000-01-02"}'],
    ]);
  });
});
