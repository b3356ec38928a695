/** Who may publish and subscribe, end to end; and that no key and no token ever shows up where others read. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { get, publish } from "./http.ts";
import { Peer } from "./peer.ts";
import { tapecast } from "./run.ts";
import { Server } from "./server.ts";
import { until, within } from "./until.ts";

const publishKey = "canary-publish-key-7f3a9c";
const secret = "canary-jwt-secret-of-more-than-32-bytes-51b2";
const jwt = { algorithms: ["HS256"], secret };
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

let server: Server;
let strict: Server;
let token: string;
/** Whatever must never be seen. */
const canaries = [publishKey, secret];

/** `tapecast token`, as an operator makes one. */
async function makeToken(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await tapecast(["token", "--sub", "alice", ...args], {
    env: { TAPECAST_AUTH__JWT__ALGORITHMS: "[HS256]", TAPECAST_AUTH__JWT__SECRET: secret },
  });
  expect(stderr).toBe("");
  expect(code).toBe(0);
  const made = stdout.trim();
  canaries.push(made, made.split(".")[2] ?? made);
  return made;
}

beforeAll(async () => {
  const auth = { "auth.publishKeys": [publishKey], "auth.jwt": jwt, "log.level": "debug" };
  [server, strict, token] = await Promise.all([
    Server.start({ sets: { ...auth, workers: 1 } }),
    Server.start({ sets: { ...auth, workers: 1, "auth.required": true } }),
    makeToken("--subscribe", "quote.**", "chat.*", "--publish", "chat.*", "--expires", "1h"),
  ]);
});

afterAll(async () => {
  for (const each of [server, strict]) {
    // The last figures come with the next second.
    await until("the metrics to have the refusals", async () => {
      return (await each.metrics()).sum("tapecast_http_requests_total", { status: "4xx" }) > 0;
    });
    const metrics = await each.metrics();
    expect(await each.stop()).toEqual({ code: 0, signal: null });
    const seen = each.process.stdout + each.process.stderr + metrics.text;
    for (const canary of canaries)
      expect(seen.includes(canary), `${canary.slice(0, 12)}… is in a log or metric`).toBe(false);
  }
});

describe("auth.publishKeys", () => {
  it.each([
    { row: "no key", headers: {}, status: 401 },
    { row: "a wrong key", headers: bearer(`${publishKey}x`), status: 401 },
    { row: "the key", headers: bearer(publishKey), status: 200 },
    { row: "the scheme in small letters", headers: { authorization: `bearer ${publishKey}` }, status: 200 },
  ])("$row: $status", async ({ headers, status }) => {
    const answer = await publish(server.http, "quote.KEYS", "1", { headers });
    expect(answer.status).toBe(status);
    if (status === 401) expect(answer.headers["www-authenticate"]).toMatch(/^Bearer/u);
  });

  it("a key in the query is not looked at", async () => {
    expect((await publish(server.http, "quote.KEYS", "1")).status).toBe(401);
    const answer = await get(`${server.http}/api/publish?key=${publishKey}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"topic":"quote.KEYS","data":1}',
    });
    expect(answer.status).toBeGreaterThanOrEqual(400);
  });

  it("tapecast publish takes it from --key and from the environment", async () => {
    const args = ["publish", "--url", server.http, "quote.KEYS", "2"];
    expect(await tapecast(args)).toMatchObject({ code: 1 });
    expect(await tapecast([...args, "--key", publishKey])).toMatchObject({ code: 0 });
    expect(await tapecast(args, { env: { TAPECAST_KEY: publishKey } })).toMatchObject({ code: 0 });
  });
});

describe("auth.jwt", () => {
  it.each([
    {
      row: "in the header",
      open: () => Peer.open(`${strict.ws}/ws`, { headers: { Authorization: `Bearer ${token}` } }),
    },
    { row: "as ?token=", open: () => Peer.open(`${strict.ws}/ws?token=${token}`) },
  ])("a token of `tapecast token` $row gives what it names and no more", async ({ open }) => {
    const peer = await open();
    expect(await peer.json()).toMatchObject({ event: "welcome" });
    const { result } = await peer.command("subscribe", { topics: ["quote.A", "trade.A", "chat.room"] });
    expect(Object.keys(result?.topics ?? {}).sort()).toEqual(["chat.room", "quote.A"]);
    expect(result?.errors).toMatchObject({ "trade.A": { code: "forbidden" } });
    expect(await peer.command("publish", { topic: "chat.room", data: "hi" })).toMatchObject({
      result: { topic: "chat.room" },
    });
    expect(await peer.command("publish", { topic: "danmaku.room", data: "hi" })).toMatchObject({
      error: { code: "forbidden" },
    });
    await peer.close();
  });

  it.each([
    { row: "not a token", make: async () => "nonsense" },
    { row: "a token with a changed signature", make: async () => `${token.slice(0, -4)}AAAA` },
    { row: "a token of another secret", make: async () => forged },
  ])("$row: accepted with 101 and closed with 4500", async ({ make }) => {
    const bad = await make();
    canaries.push(bad === "nonsense" ? "nonsense" : bad);
    for (const path of ["/ws", "/raw/quote.A"]) {
      const peer = await Peer.open(`${server.ws}${path}?token=${bad}`);
      expect(await peer.ended).toMatchObject({ code: 4500, reason: "unauthorized", status: null });
    }
  });

  it("a browser-like client sees the open and then 4500", async () => {
    const foreign = new WebSocket(`${server.ws}/ws?token=nonsense`);
    const events: unknown[] = [];
    const closed = new Promise<void>((resolve) => {
      foreign.on("open", () => events.push("open"));
      foreign.on("close", (code, reason) => resolve(void events.push(code, reason.toString())));
    });
    await within("the close", 10_000, closed);
    expect(events).toEqual(["open", 4500, "unauthorized"]);
  });

  it("an expired token closes with 4502 when its time is over", async () => {
    const short = await makeToken("--subscribe", "**", "--expires", "1s");
    const peer = await Peer.open(`${server.ws}/ws?token=${short}`);
    expect(await peer.json()).toMatchObject({ event: "welcome" });
    expect(await peer.subscribe("quote.A")).toBeDefined();
    expect(await peer.ended).toMatchObject({ code: 4502, reason: "token_expired" });
  });

  it("auth.required: without a token nothing but asking for one", async () => {
    const peer = await Peer.native(strict.ws);
    const { result } = await peer.command("subscribe", { topics: ["quote.A"] });
    expect(result?.errors).toMatchObject({ "quote.A": { code: "unauthorized" } });
    expect(await peer.command("token", { token })).toMatchObject({ result: {} });
    expect(await peer.subscribe("quote.A")).toBeDefined();
    await peer.close();
    const raw = await Peer.open(`${strict.ws}/raw/quote.A`);
    expect(await raw.ended).toMatchObject({ code: 4500 });
    expect((await get(`${strict.http}/api/topics/quote.A`)).status).toBe(401);
    expect((await get(`${strict.http}/api/topics/quote.A`, { headers: bearer(token) })).status).toBe(200);
    expect((await get(`${strict.http}/api/topics/trade.A`, { headers: bearer(token) })).status).toBe(403);
  });

  it("tapecast subscribe --token, and what a refused one is told", async () => {
    const refused = await tapecast(["subscribe", "--url", strict.ws, "--token", `${token}x`, "quote.A"]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("4500");
    expect(refused.stderr).not.toContain(token);
  });
});

describe("the rules of topics", () => {
  const rules = [
    { match: "quote.**", delivery: "latest", history: { size: 1, ttlMs: 60_000 }, subscribe: "anyone" },
    { match: "user.{sub}.**", delivery: "every", history: { size: 10, ttlMs: 60_000 } },
    { match: "chat.**", delivery: "every", subscribe: "token", clientPublish: true, publish: "token" },
  ];

  it("public quotes, private topics of a user, chat for those who are logged in; renewal takes rights away", async () => {
    await using brokers = await Server.start({
      sets: { workers: 1, "auth.jwt": jwt, topics: rules, "log.level": "debug" },
    });
    const [plain, wide] = await Promise.all([makeToken(), makeToken("--subscribe", "**")]);
    const visitor = await Peer.native(brokers.ws);
    const asked = { topics: ["quote.A", "user.alice.orders", "user.bob.orders", "chat.room"] };
    const ofVisitor = await visitor.command("subscribe", asked);
    expect(Object.keys(ofVisitor.result?.topics ?? {})).toEqual(["quote.A"]);
    expect(ofVisitor.result?.errors).toMatchObject({
      "user.alice.orders": { code: "unauthorized" },
      "chat.room": { code: "unauthorized" },
    });
    const alice = await Peer.open(`${brokers.ws}/ws?token=${plain}`);
    const ofAlice = await alice.command("subscribe", asked);
    expect(Object.keys(ofAlice.result?.topics ?? {})).toEqual(["quote.A", "user.alice.orders", "chat.room"]);
    expect(ofAlice.result?.errors).toMatchObject({ "user.bob.orders": { code: "forbidden" } });
    expect(await alice.command("publish", { topic: "chat.room", data: "hi" })).toMatchObject({ result: {} });
    const where = `${brokers.http}/api/topics/user.alice.orders`;
    expect((await get(where)).status).toBe(401);
    expect((await get(where, { headers: bearer(plain) })).status).toBe(200);
    expect((await get(`${where}/history`, { headers: bearer(wide) })).status).toBe(200);
    for (const peer of [visitor, alice]) await peer.close();
    expect(await brokers.stop()).toEqual({ code: 0, signal: null });

    // The rights of a connection shrink with its token.
    const shrinking = await Peer.open(`${strict.ws}/ws?token=${wide}`);
    await shrinking.subscribe("quote.SHRINK");
    await shrinking.subscribe("chat.keep");
    await publish(strict.http, "quote.SHRINK", "1", { headers: bearer(publishKey) });
    expect(await shrinking.json()).toMatchObject({ topic: "quote.SHRINK" });
    expect(
      await shrinking.command("token", { token: await makeToken("--subscribe", "chat.*") }),
    ).toMatchObject({
      result: {},
    });
    expect(await shrinking.json()).toEqual({
      event: "unsubscribed",
      topics: ["quote.SHRINK"],
      reason: "forbidden",
    });
    await publish(strict.http, "quote.SHRINK", "2", { headers: bearer(publishKey) });
    await publish(strict.http, "chat.keep", "3", { headers: bearer(publishKey) });
    expect(await shrinking.json()).toMatchObject({ topic: "chat.keep" });
    await shrinking.close();
  });
});

describe("secrets", () => {
  it("no answer repeats one, wherever it was sent, and pages tell nobody their address", async () => {
    const oddToken = `${token.slice(0, -6)}canary`;
    canaries.push(oddToken, "canary-wrong-key", "canary-password", "canary-cookie");
    const headers = {
      ...bearer("canary-wrong-key"),
      cookie: "session=canary-cookie",
      "x-api-key": publishKey,
    };
    const paths = [
      "/",
      "/demo/chat",
      "/openapi.json",
      "/healthz",
      "/readyz",
      "/api/topics/quote.A",
      "/nowhere",
      "/ws",
    ];
    for (const each of [server, strict]) {
      const answers = [
        ...paths.flatMap((path) => [
          get(`${each.http}${path}?token=${oddToken}&key=${publishKey}`, { headers }),
          get(`${each.http}${path}?token=${token}`, { headers: bearer(oddToken) }),
        ]),
        publish(each.http, "quote.A", `"${oddToken}`, { headers }),
        publish(each.http, "quote.A", "{", { headers: bearer(publishKey) }),
        get(`${each.admin}/healthz?token=${oddToken}`, { headers }),
        get(`${each.admin}/readyz?token=${oddToken}`, { headers }),
        get(`${each.admin}/nowhere/${oddToken}`, { headers }),
      ];
      for (const answer of await Promise.all(answers)) {
        const seen = JSON.stringify(answer.headers) + answer.text;
        for (const canary of canaries) expect(seen.includes(canary), `${canary.slice(0, 12)}…`).toBe(false);
        if (answer.text.includes("<html")) expect(answer.headers["referrer-policy"]).toBe("no-referrer");
      }
      // Handshakes that fail in every way, with a token in each.
      for (const path of ["/ws", "/raw/quote.A", "/raw/no.such", "/nowhere", "/ws?interval=x"]) {
        const url = `${each.ws}${path}${path.includes("?") ? "&" : "?"}token=${oddToken}`;
        const peer = new Peer({ url, headers: { Origin: "https://evil.example" } });
        expect((await peer.ended).status, path).toBeGreaterThanOrEqual(400);
      }
      const peer = await Peer.native(each.ws);
      for (const bad of [oddToken, publishKey, `"${oddToken}"`]) {
        const reply = JSON.stringify(await peer.command("token", { token: bad }));
        expect(reply).not.toContain(bad);
      }
      await peer.close();
    }
  });

  it("no command prints one, whatever goes wrong", async () => {
    const nobody = "http://127.0.0.1:1";
    const runs = await Promise.all([
      tapecast(["publish", "--url", nobody, "--key", publishKey, "quote.A", "1"]),
      tapecast(["publish", "--url", server.http, "--key", `${publishKey}-not`, "quote.A", "1"]),
      tapecast(["publish", "--redis", "redis://user:canary-password@127.0.0.1:1", "quote.A", "1"]),
      tapecast(["subscribe", "--url", `ws://127.0.0.1:1`, "--token", token, "quote.A"]),
      tapecast(["subscribe", "--url", `${strict.ws}/ws?token=${token}x`, "quote.A"]),
      tapecast(["check-config", "/nonexistent"], {
        env: { TAPECAST_AUTH__PUBLISH_KEYS: `["${publishKey} x"]` },
      }),
      tapecast(["serve", "--set", `auth.publishKeys=["${publishKey} x"]`]),
      tapecast(["serve", "--set", `auth.jwt={"algorithms":["RS256"],"secret":"${secret}"}`]),
    ]);
    runs.push(await tapecast(["token", "--sub", "a", "--secret", "canary-short-secret"]));
    for (const [index, { code, stdout, stderr }] of runs.entries()) {
      expect(code, `command ${index}`).not.toBe(0);
      for (const canary of [...canaries, "canary-short-secret"]) {
        expect((stdout + stderr).includes(canary), `${canary.slice(0, 12)}… by command ${index}`).toBe(false);
      }
    }
  });

  it("print-config masks them", async () => {
    const { stdout } = await tapecast([
      "print-config",
      "--set",
      `auth.publishKeys=["${publishKey}"]`,
      "--set",
      `auth.jwt=${JSON.stringify(jwt)}`,
      "--set",
      "broker.redis.url=redis://user:canary-password@127.0.0.1:6379",
    ]);
    expect(stdout).toContain("publishKeys");
    for (const canary of [publishKey, secret, "canary-password"]) expect(stdout).not.toContain(canary);
  });
});

/** HS256 over another secret. */
const forged =
  "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsInN1YnNjcmliZSI6WyIqKiJdLCJleHAiOjk5OTk5OTk5OTl9.Zm9yZ2VkLXNpZ25hdHVyZS1vZi10aGlydHktdHdvLWI";
