/** PRODUCT §4: which path and query lead to which endpoint, with which limits, or to which refusal. */
import { describe, expect, it } from "vitest";

import { recordedBytesMax } from "../../src/codec/wire-record.ts";
import { defaultConfig } from "../../src/config/schema.ts";
import type { Config } from "../../src/config/schema.ts";
import type { Connection } from "../../src/connection/connection.ts";
import type { ConnectionHandler } from "../../src/connection/connection-options.ts";
import type { Refusal } from "../../src/handshake/refusal.ts";
import type { Endpoint } from "../../src/http/upgrade-request.ts";
import { createRouter } from "../../src/worker/endpoints.ts";
import type { SessionBook } from "../../src/worker/endpoints.ts";
import { FakeConnection, granted, SessionWorld, tick } from "../session/session-world.ts";

const config = defaultConfig();
const withRootEcho: Config = { ...config, demo: { ...config.demo, rootEcho: true } };

interface Routed {
  readonly world: SessionWorld;
  readonly sessions: SessionBook;
  readonly found: Endpoint | Refusal;
  readonly query: URLSearchParams;
}

function route(target: string, used: Config = config, world = new SessionWorld()): Routed {
  const { pathname, searchParams } = new URL(target, "http://x");
  const sessions: SessionBook = new Map();
  const router = createRouter(used, world.services(), sessions);
  return { world, sessions, query: searchParams, found: router(decodeURIComponent(pathname), searchParams) };
}

function endpointOf({ found }: Routed): Endpoint {
  if ("status" in found) throw new Error(`refused: ${found.message}`);
  return found;
}

/** A connection with what `/echo` needs beyond a session. */
class FullConnection extends FakeConnection {
  recordedFrames = null;
  readonly echoes: string[] = [];
  pauseReading(): void {
    this.echoes.push("pause");
  }
  resumeReading(): void {
    this.echoes.push("resume");
  }
  sendCompressed(isText: boolean, payload: Uint8Array): boolean {
    this.echoes.push(`${isText ? "text" : "binary"} ${Buffer.from(payload).toString()}`);
    return true;
  }
}

function accept(
  routed: Routed,
  headers: Readonly<Record<string, string>> = {},
): { connection: FullConnection; handler: ConnectionHandler } {
  const connection = new FullConnection("connection-x");
  const handler = endpointOf(routed).accept(connection as unknown as Connection, {
    path: "",
    query: routed.query,
    headers: new Map(Object.entries(headers)),
    encrypted: false,
    subprotocol: null,
  });
  connection.onClosed = () => handler.onClosed(1000, "normal");
  return { connection, handler };
}

describe("paths", () => {
  const native = { subprotocols: ["tapecast.v1"], checkOrigin: true };
  const raw = { subprotocols: [], checkOrigin: true };
  const echo = { subprotocols: ["echo"], checkOrigin: false };

  it.each([
    { target: "/ws", endpoint: native },
    { target: "/ws?topics=quote.A&interval=250&batch=1&token=x", endpoint: native },
    { target: "/ws?interval=0", endpoint: native },
    { target: "/ws?interval=999999999", endpoint: native },
    { target: "/raw/quote.A", endpoint: raw },
    { target: "/raw/quote.A?interval=1000", endpoint: raw },
    { target: "/raw/chat.%E5%BC%B9%E5%B9%95", endpoint: raw },
    { target: "/echo", endpoint: echo },
    { target: "/echo?trace=1", endpoint: echo },
  ])("$target", ({ target, endpoint }) => {
    expect(route(target).found).toMatchObject(endpoint);
  });

  it.each([
    { target: "/", status: 404, reason: "not_found" },
    { target: "/WS", status: 404, reason: "not_found" },
    { target: "/ws/", status: 404, reason: "not_found" },
    { target: "/wss", status: 404, reason: "not_found" },
    { target: "/echo/", status: 404, reason: "not_found" },
    { target: "/raw", status: 404, reason: "not_found" },
    { target: "/raw/", status: 400, reason: "bad_topic" },
    { target: "/raw/nope!", status: 400, reason: "bad_topic" },
    { target: "/raw/quote.*", status: 400, reason: "bad_topic" },
    { target: "/raw/quote.A/", status: 400, reason: "bad_topic" },
    { target: "/raw/%24sys", status: 400, reason: "bad_topic" },
    { target: "/raw/cafe%CC%81", status: 400, reason: "bad_topic" },
    { target: `/raw/${"a".repeat(256)}`, status: 400, reason: "bad_topic" },
    { target: "/raw/other", status: 404, reason: "unknown_topic" },
    { target: "/raw/__proto__", status: 404, reason: "unknown_topic" },
    { target: "/ws?interval=-1", status: 400, reason: "bad_target" },
    { target: "/ws?interval=1.5", status: 400, reason: "bad_target" },
    { target: "/ws?interval=1e3", status: 400, reason: "bad_target" },
    { target: "/ws?interval=", status: 400, reason: "bad_target" },
    { target: "/ws?interval=abc", status: 400, reason: "bad_target" },
    { target: "/ws?interval=1000000000", status: 400, reason: "bad_target" },
    { target: "/ws?interval=٣", status: 400, reason: "bad_target" },
    { target: "/raw/quote.A?interval=fast", status: 400, reason: "bad_target" },
  ])("$target is refused with $status", ({ target, status, reason }) => {
    const { found } = route(target);
    expect(found).toMatchObject({ status, reason });
    // The answer is a constant: nothing of the peer's goes back.
    expect((found as Refusal).message).not.toMatch(/nope|other|abc|fast/);
  });

  it("demo.rootEcho makes / an echo, and nothing else", () => {
    expect(route("/", withRootEcho).found).toMatchObject(echo);
    expect(route("/other", withRootEcho).found).toMatchObject({ status: 404 });
  });
});

describe("limits", () => {
  it("of /ws and /raw are those of the configuration; binary messages are not taken", () => {
    for (const target of ["/ws", "/raw/quote.A"]) {
      expect(endpointOf(route(target)).connection).toMatchObject({
        role: "server",
        messageBytesMax: config.limits.messageBytesMax,
        allowBinary: false,
        pendingBytesMax: config.limits.pendingBytesMax,
        inboundMessagesPerSecMax: config.limits.inboundMessagesPerSecMax,
        inboundBytesPerSecMax: config.limits.inboundBytesPerSecMax,
        heartbeatIntervalMs: config.heartbeat.intervalMs,
        echoesCloseReason: false,
      });
    }
  });

  it("of /echo: its own message size, no inbound rates, room for an echo of the largest message", () => {
    const { connection } = endpointOf(route("/echo"));
    expect(connection).toMatchObject({
      messageBytesMax: config.limits.echoMessageBytesMax,
      fragmentBytesMin: 64,
      inboundMessagesPerSecMax: null,
      inboundBytesPerSecMax: null,
      echoesCloseReason: true,
    });
    expect(connection.allowBinary).not.toBe(false);
    expect(connection.recordFrames).not.toBe(true);
    expect(connection.pendingBytesMax).toBeGreaterThan(config.limits.echoMessageBytesMax! + 1_048_576);
  });

  it("of a traced /echo: frames are recorded, with room for their hex", () => {
    const { connection } = endpointOf(route("/echo?trace=1"));
    expect(connection.recordFrames).toBe(true);
    expect(connection.pendingBytesMax).toBeGreaterThan(
      config.limits.echoMessageBytesMax! + config.limits.pendingBytesMax! + 4 * recordedBytesMax,
    );
    expect(endpointOf(route("/echo?trace=yes")).connection.recordFrames).not.toBe(true);
  });

  it("null is no limit, also of /echo", () => {
    const unlimited: Config = {
      ...config,
      limits: {
        ...config.limits,
        messageBytesMax: null,
        echoMessageBytesMax: null,
        echoFragmentBytesMin: null,
        pendingBytesMax: null,
      },
    };
    expect(endpointOf(route("/ws", unlimited)).connection.messageBytesMax).toBe(Number.POSITIVE_INFINITY);
    expect(endpointOf(route("/echo", unlimited)).connection).toMatchObject({
      messageBytesMax: Number.POSITIVE_INFINITY,
      fragmentBytesMin: 0,
      pendingBytesMax: null,
    });
  });

  it("are one object for all connections of an endpoint", () => {
    const router = createRouter(config, new SessionWorld().services(), new Map());
    const first = router("/ws", new URLSearchParams());
    const second = router("/ws", new URLSearchParams("batch=1"));
    expect((first as Endpoint).connection).toBe((second as Endpoint).connection);
  });
});

describe("what a connection gets", () => {
  it("/ws: a session with the query's topics, each once; empty names are none", async () => {
    const { connection } = accept(route("/ws?topics=quote.A,,quote.B,quote.A&interval=200"));
    await tick();
    const subscribed = JSON.parse(connection.messages[1]!) as { event: string; topics: Record<string, { intervalMs: number }> };
    expect(subscribed.event).toBe("subscribed");
    expect(Object.entries(subscribed.topics).map(([name, { intervalMs }]) => `${name} ${intervalMs}`)).toEqual([
      "quote.A 250",
      "quote.B 250",
    ]);
  }); // prettier-ignore

  it("/ws: topics may be given more than once", async () => {
    const { connection } = accept(route("/ws?topics=quote.A,quote.B&topics=quote.C"));
    await tick();
    const { topics } = JSON.parse(connection.messages[1]!) as { topics: object };
    expect(Object.keys(topics)).toEqual(["quote.A", "quote.B", "quote.C"]);
  });

  it.each([
    { name: "no topics", target: "/ws" },
    { name: "topics empty", target: "/ws?topics=" },
    { name: "only commas", target: "/ws?topics=,,," },
  ])("/ws: $name is a welcome and nothing else", async ({ target }) => {
    const { connection } = accept(route(target));
    await tick();
    expect(connection.messages).toEqual([
      '{"event":"welcome","connection":"connection-x","heartbeatMs":25000}',
    ]);
  });

  it("/ws: messages, drains and the end reach the session", async () => {
    const routed = route("/ws?topics=chat.a");
    const { connection, handler } = accept(routed);
    await tick();
    connection.take();
    handler.onText(Buffer.from('{"id":1,"method":"ping"}'));
    expect(connection.take()).toEqual(['{"id":1,"result":{}}']);
    connection.isFull = true;
    routed.world.publish("chat.a", "1");
    routed.world.go();
    connection.isFull = false;
    handler.onDrained();
    expect(connection.take()).toHaveLength(1);
    handler.onBinary(Buffer.from("x"));
    expect(routed.sessions.size).toBe(1);
    connection.end();
    await tick();
    expect(routed.sessions.size).toBe(0);
    expect(routed.world.hub.counters.subscriptions).toBe(0);
  });

  it("/ws: batch=1 and nothing else makes a batch", async () => {
    for (const [query, messages] of [["batch=1", 1], ["batch=0", 2], ["batch=true", 2]] as const) {
      const routed = route(`/ws?topics=chat.a&${query}`);
      const { connection } = accept(routed);
      await tick();
      connection.take();
      routed.world.publish("chat.a", "1");
      routed.world.publish("chat.a", "2");
      routed.world.go();
      expect(connection.take()).toHaveLength(messages);
    }
  }); // prettier-ignore

  it("/raw: the data of its topic; a message closes, the end frees", async () => {
    const routed = route("/raw/chat.a");
    const { connection, handler } = accept(routed);
    await tick();
    routed.world.publish("chat.a", "1.10");
    routed.world.go();
    expect(connection.take()).toEqual(["1.10"]);
    handler.onBinary(Buffer.from("x"));
    handler.onDrained();
    handler.onText(Buffer.from("x"));
    expect(connection.closedWith?.code).toBe(1008);
    await tick();
    expect(routed.sessions.size).toBe(0);
    expect(routed.world.hub.counters.subscriptions).toBe(0);
  });

  it("/echo: text and binary come back, reading goes on after a drain", async () => {
    const routed = route("/echo");
    const { connection, handler } = accept(routed);
    handler.onText(Buffer.from("a"));
    handler.onBinary(Buffer.from("b"));
    handler.onDrained();
    expect(connection.echoes).toEqual(["text a", "binary b", "resume"]);
    connection.end();
    await tick();
    expect(routed.sessions.size).toBe(0);
  });

  it("a drain is announced on /ws and on nothing else", () => {
    for (const [target, told] of [["/ws", 1], ["/raw/quote.A", 0], ["/echo", 0]] as const) {
      const routed = route(target);
      const { connection } = accept(routed);
      connection.take();
      for (const session of routed.sessions.values()) session.depart(1840);
      expect(connection.take()).toHaveLength(told);
    }
  }); // prettier-ignore
});

describe("where the token is", () => {
  it.each<{ name: string; target: string; headers: Record<string, string>; isAccepted: boolean }>([
    { name: "Authorization", target: "/ws", headers: { authorization: "Bearer good" }, isAccepted: true },
    {
      name: "the scheme in any case, with spaces",
      target: "/ws",
      headers: { authorization: "bearer   good  " },
      isAccepted: true,
    },
    { name: "?token=", target: "/ws?token=good", headers: {}, isAccepted: true },
    {
      name: "the header before the query",
      target: "/ws?token=bad",
      headers: { authorization: "Bearer good" },
      isAccepted: true,
    },
    {
      name: "another scheme is no token: the query counts",
      target: "/ws?token=good",
      headers: { authorization: "Basic Z29vZA==" },
      isAccepted: true,
    },
    {
      name: "a bad header is not made good by the query",
      target: "/ws?token=good",
      headers: { authorization: "Bearer bad" },
      isAccepted: false,
    },
    { name: "/raw as well", target: "/raw/quote.A?token=good", headers: {}, isAccepted: true },
    { name: "/raw with a bad one", target: "/raw/quote.A?token=bad", headers: {}, isAccepted: false },
  ])("$name", async ({ target, headers, isAccepted }) => {
    // prettier-ignore
    const world = new SessionWorld();
    world.anonymous = null;
    world.tokens.set("good", granted(["**"]));
    const { connection } = accept(route(target, config, world), headers);
    await tick();
    await tick();
    expect(connection.closedWith?.code ?? null).toBe(isAccepted ? null : 4500);
  });
});
