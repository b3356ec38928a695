/** The examples of docs/REDIS.md, as they stand there, against a server and a cluster. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run, tapecast } from "../e2e/run.ts";
import { Server } from "../e2e/server.ts";
import { RedisCluster } from "../setup/redis-cluster.ts";
import { type RedisServer, startRedisServer } from "../setup/redis-server.ts";

const document = readFileSync(new URL("../../docs/REDIS.md", import.meta.url), "utf8");

let redis: RedisServer;
let cluster: RedisCluster;
const servers: Server[] = [];

beforeAll(async () => {
  redis = await startRedisServer();
  cluster = await RedisCluster.start();
  // Tapecast loads the functions.
  servers.push(
    await Server.start({ sets: { "broker.kind": "redis", "broker.redis.url": redis.url, workers: 1 } }),
    await Server.start({
      sets: {
        "broker.kind": "redis",
        "broker.redis.mode": "cluster",
        "broker.redis.urls": cluster.urls,
        workers: 1,
      },
    }),
  );
}, 90_000);
afterAll(async () => {
  for (const server of servers) await server[Symbol.asyncDispose]();
  await cluster?.stop();
  await redis?.stop();
});

/** The code blocks of a language, with the test's own ports. */
function blocks(language: string): string[] {
  const pattern = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, "gmu");
  return Array.from(document.matchAll(pattern), ([, code = ""]) =>
    code.replaceAll("6379", String(redis.port)).replaceAll("7000", String(cluster.masters[0]?.port)),
  );
}

const position = /^\d{16}-\d+$/u;

describe("docs/REDIS.md", () => {
  it("every line with redis-cli does what it says", async () => {
    const lines = blocks("sh")
      .flatMap((block) => block.split("\n"))
      .filter((line) => line.startsWith("redis-cli"));
    expect(lines).toHaveLength(7);
    for (const line of lines) {
      const { code, stdout } = await run("sh", ["-c", line]);
      // With -c it says where it was redirected to.
      const answer = stdout.trim().split("\n").at(-1) ?? "";
      expect([line, code]).toEqual([line, 0]);
      expect([line, answer]).toEqual([
        line,
        expect.stringMatching(line.includes("FCALL") ? position : /^\d+$/u),
      ]);
    }
  });

  it("tapecast publish finds out that the address is a cluster's, and meets the same log", async () => {
    const port = cluster.masters[1]?.port;
    const results: unknown[] = [];
    const environments: Record<string, string>[] = [{}, { TAPECAST_BROKER__REDIS__MODE: "cluster" }];
    for (const env of environments) {
      const { code, stdout } = await tapecast(
        ["publish", "--redis", `redis://127.0.0.1:${port}`, "chat.lobby", '"hi"'],
        { env },
      );
      expect(code).toBe(0);
      results.push(JSON.parse(stdout));
    }
    const { stdout } = await tapecast([
      "topic-key",
      "--key",
      "-s",
      "broker.redis.mode=cluster",
      "chat.lobby",
    ]);
    const length = await run("redis-cli", ["-c", "-p", String(port), "XLEN", stdout.trim()]);
    expect(length.stdout.trim().split("\n").at(-1)).toBe("2");
    expect(results).toMatchObject([{ seq: 1 }, { seq: 2 }]);
  });

  it("the examples in Python publish", async () => {
    const programs = blocks("python");
    expect(programs).toHaveLength(2);
    for (const program of programs) {
      const { code, stdout, stderr } = await run("/usr/bin/python3", ["-c", program]);
      expect([program, code, stderr]).toEqual([program, 0, ""]);
      expect(stdout.trim()).toMatch(/^b'\d{16}-\d+'$/u);
    }
  });
});
