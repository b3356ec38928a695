/**
 * The wall clock jumps, as after a long sleep, a bad NTP server or a slip of the hand: an hour forward, a day back, ten
 * years forward. Nothing but the expiry of tokens may notice. libfaketime moves the wall clock of the server's processes
 * and leaves the monotonic one alone, as a real jump does.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { get, publish } from "../e2e/http.ts";
import { Peer } from "../e2e/peer.ts";
import { tapecast } from "../e2e/run.ts";
import { onRedis, Server } from "../e2e/server.ts";
import { delay, until } from "../e2e/until.ts";
import { redisUrl, uniquePrefix } from "../setup/redis-url.ts";

const jumps = ["+3600", "-86400", "+315360000", "+0"];
const secret = "a secret of at least thirty-two bytes, for a test";

let folder = "";
let clockFile = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tapecast-clock-"));
  clockFile = join(folder, "clock");
  setClock("+0");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** @param offset of the real time, in seconds: `+3600`. */
function setClock(offset: string): void {
  writeFileSync(clockFile, `${offset}\n`);
}

/** What makes a process of Debian's see the clock of the file. */
function faketime(): Record<string, string> {
  const libraries = "/usr/lib";
  const found = readdirSync(libraries)
    .map((name) => join(libraries, name, "faketime", "libfaketime.so.1"))
    .find((path) => existsSync(path));
  if (found === undefined) throw new Error("needs Debian's package libfaketime");
  return {
    LD_PRELOAD: found,
    FAKETIME_TIMESTAMP_FILE: clockFile,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    DONT_FAKE_MONOTONIC: "1",
    // Otherwise each process begins its own time when it starts.
    FAKETIME_DONT_RESET: "1",
  };
}

/** What time it is for the server, in seconds since 1970: the date of an answer. */
async function serverSeconds(server: Server): Promise<number> {
  const { headers } = await get(`${server.http}/healthz`);
  return Date.parse(headers.date ?? "") / 1000;
}

describe.each(["memory", "redis"] as const)("the wall clock jumps under a server, broker %s", (kind) => {
  it("publishing, subscribing, history, idempotency and heartbeats go on", async () => {
    await using server = await Server.start({
      env: faketime(),
      sets: {
        "heartbeat.intervalMs": 1000,
        "heartbeat.timeoutMs": 1000,
        ...(kind === "redis" ? onRedis(redisUrl(), uniquePrefix()) : {}),
      },
    });
    const pids = server.workerPids();
    const peers = [await Peer.native(server.ws), await Peer.native(server.ws)];
    const first = await Promise.all(peers.map((peer) => peer.subscribe("chat.a")));
    const { epoch } = first[0] ?? {};
    let seq = 0;
    for (const jump of jumps) {
      setClock(jump);
      const offset = Number(jump);
      await until(`the server to see ${jump}`, async () => {
        return Math.abs((await serverSeconds(server)) - Date.now() / 1000 - offset) < 60;
      });
      for (let index = 0; index < 3; index++) {
        seq += 1;
        const options = { headers: { "idempotency-key": `key-${seq}` } };
        for (const answer of [
          await publish(server.http, "chat.a", String(seq), options),
          await publish(server.http, "chat.a", String(seq), options),
        ]) {
          expect(answer.results()).toEqual([{ topic: "chat.a", epoch, seq }]);
        }
        for (const peer of peers) expect(await peer.json()).toEqual({ topic: "chat.a", seq, data: seq });
      }
      // Longer than interval and timeout: whoever answers pings stays.
      const pings = peers.map((peer) => peer.pings);
      await delay(2500);
      expect(peers.map(({ client }) => client.state)).toEqual(["open", "open"]);
      for (const [index, peer] of peers.entries()) expect(peer.pings).toBeGreaterThan(pings[index] ?? 0);
      const late = await Peer.native(server.ws);
      const state = await late.subscribe("chat.a", { since: { "chat.a": { epoch, seq: 0 } } });
      expect(state).toMatchObject({ recovered: true, epoch, seq });
      expect(state.messages).toHaveLength(seq);
      await late.close();
    }
    expect(server.workerPids()).toEqual(pids);
    expect((await get(`${server.admin}/readyz`)).status).toBe(200);
    for (const peer of peers) peer.client.destroy();
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });
});

describe("the expiry of tokens", () => {
  it("goes by the wall clock: a token that was good for an hour ends when two have passed", async () => {
    await using server = await Server.start({
      env: faketime(),
      sets: { "auth.jwt": { algorithms: ["HS256"], secret } },
    });
    const made = await tapecast(["token", "--sub", "a", "--subscribe", "**", "--expires", "1h"], {
      env: { TAPECAST_AUTH__JWT__ALGORITHMS: "[HS256]", TAPECAST_AUTH__JWT__SECRET: secret },
    });
    expect(made.stderr).toBe("");
    const withToken = await Peer.open(`${server.ws}/ws?token=${made.stdout.trim()}`);
    const without = await Peer.open(`${server.ws}/ws`);
    for (const peer of [withToken, without]) expect(await peer.json()).toMatchObject({ event: "welcome" });
    setClock("+7200");
    expect(await withToken.ended).toMatchObject({ code: 4502, reason: "token_expired" });
    expect(without.client.state).toBe("open");
    without.client.destroy();
  });
});
