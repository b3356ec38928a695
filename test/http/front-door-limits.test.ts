import { afterEach, describe, expect, it } from "vitest";

import { clientRequest, createKey } from "../../src/handshake/client-handshake.ts";
import { limitCounters } from "../../src/base/limit-counters.ts";
import { TurnQueue, WorkShare } from "../../src/base/turn-queue.ts";
import type { Connection } from "../../src/connection/connection.ts";
import { FrontDoorLimits } from "../../src/http/front-door-limits.ts";
import { TrustedProxies } from "../../src/http/trusted-proxies.ts";
import { eventually, RawPeer } from "../connection/raw-peer.ts";
import { openDoor, type Door } from "./front-door-fixture.ts";

let open: Door;

const unlimitedDoor = {
  socketsMax: null,
  connectionsMax: null,
  connectionsPerAddressMax: null,
  handshakesPerAddressPerSecMax: null,
  handshakesPerSecMax: null,
};

afterEach(() => open.stop());

function handshake(forwardedFor?: string): Buffer {
  const headers: Record<string, string> =
    forwardedFor === undefined ? {} : { "X-Forwarded-For": forwardedFor };
  return clientRequest({ host: "test", target: "/ws" }, createKey(), [], headers);
}

async function refusal(forwardedFor?: string): Promise<string> {
  const peer = await RawPeer.connect(open.where);
  peer.send(handshake(forwardedFor));
  await peer.until(() => peer.isEnded || peer.isClosed || peer.text.includes("welcome"));
  peer.socket.destroy();
  return peer.text;
}

describe("limits of the front door", () => {
  it("connectionsMax: at the limit and one past it, and again when one left", async () => {
    open = await openDoor({ connectionsMax: 2 });
    const peers = [await RawPeer.upgrade(open.where), await RawPeer.upgrade(open.where)];
    expect(await refusal()).toMatch(
      /^HTTP\/1\.1 503 [^]*\r\nRetry-After: \d+\r\n[^]*as many connections as it may have/,
    );
    expect(open.refused("connections")).toBe(1);
    peers[0]!.socket.destroy();
    await eventually(() => open.connections.counters.open === 1);
    expect(await refusal()).toMatch(/^HTTP\/1\.1 101 /);
    peers[1]!.socket.destroy();
  });

  it("connectionsPerAddressMax: 101 and 4504, so that a page sees why", async () => {
    open = await openDoor({ connectionsPerAddressMax: 2 });
    const peers = [await RawPeer.upgrade(open.where), await RawPeer.upgrade(open.where)];
    const third = await RawPeer.upgrade(open.where);
    await third.until(() => third.events.length === 1);
    expect(third.events).toEqual([{ kind: "close", code: 4504, text: "connection_limit" }]);
    third.sendClose(4504);
    await third.until(() => third.isEnded);
    third.socket.destroy();
    expect(open.refused("connections_per_address")).toBe(1);
    expect(open.requests).toHaveLength(2);
    peers[0]!.socket.destroy();
    await eventually(() => open.connections.counters.open === 1);
    const fourth = await RawPeer.upgrade(open.where);
    await fourth.until(() => fourth.events.length === 1);
    expect(fourth.events[0]).toEqual({ kind: "text", text: "welcome" });
    for (const peer of [...peers, fourth]) peer.socket.destroy();
  });

  it("handshakesPerSecMax: 503 with Retry-After (HS18)", async () => {
    open = await openDoor({ handshakesPerSecMax: 5 });
    const answers = await Promise.all(Array.from({ length: 20 }, () => refusal()));
    const accepted = answers.filter((answer) => answer.startsWith("HTTP/1.1 101 ")).length;
    expect(accepted).toBeGreaterThanOrEqual(5);
    expect(accepted).toBeLessThan(10);
    expect(open.refused("handshake_rate")).toBe(20 - accepted);
    expect(answers.find((answer) => answer.startsWith("HTTP/1.1 503 "))).toMatch(/\r\nRetry-After: 1\r\n/);
  });

  it("handshakesPerAddressPerSecMax: 429, at the limit and one past it; other addresses notice nothing", async () => {
    open = await openDoor({
      handshakesPerAddressPerSecMax: 2,
      handshakesPerSecMax: 6,
      trustedProxies: new TrustedProxies(["127.0.0.1"]),
    });
    const before = limitCounters.reached.get("handshakesPerAddressPerSecMax")!;
    const answers: string[] = [];
    for (let count = 0; count < 9; count += 1) answers.push(await refusal("2001:db8::1"));
    const refused = answers.filter((answer) => !answer.startsWith("HTTP/1.1 101 "));
    expect(refused.length).toBeGreaterThanOrEqual(6);
    expect(refused[0]).toMatch(/^HTTP\/1\.1 429 [^]*\r\nRetry-After: 1\r\n[^]*"rate_limited"/);
    expect(open.refused("handshake_rate_per_address")).toBe(refused.length);
    expect(limitCounters.reached.get("handshakesPerAddressPerSecMax")! - before).toBe(refused.length);
    expect(await refusal("2001:db8::ffff"), "the same /64").toMatch(/^HTTP\/1\.1 429 /);
    expect(await refusal("2001:db8:0:1::1"), "nor did it use up what is for all").toMatch(/^HTTP\/1\.1 101 /);
  });

  it("workMsPerAddressPerSecMax: 429 for who comes back again and again", async () => {
    open = await openDoor({
      workMsPerAddressPerSecMax: 1,
      trustedProxies: new TrustedProxies(["127.0.0.1"]),
    });
    expect(await refusal("1.2.3.4")).toMatch(/^HTTP\/1\.1 101 /);
    const answers: string[] = [];
    // Half a millisecond at once, and each opening costs a tenth at least.
    for (let round = 0; round < 50 && open.refused("work_per_address") === 0; round += 1) {
      answers.push(...(await Promise.all(Array.from({ length: 10 }, () => refusal("1.2.3.4")))));
    }
    expect(answers.find((answer) => !answer.startsWith("HTTP/1.1 101 "))).toMatch(
      /^HTTP\/1\.1 429 [^]*\r\nRetry-After: 1\r\n[^]*"rate_limited"/,
    );
    expect(await refusal("1.2.3.5"), "another address").toMatch(/^HTTP\/1\.1 101 /);
    expect(await refusal(), "the proxy itself").toMatch(/^HTTP\/1\.1 101 /);
  });

  it("connectionsPerAddressMax behind a trusted proxy counts clients, and by /64 of IPv6", async () => {
    open = await openDoor({
      connectionsPerAddressMax: 1,
      trustedProxies: new TrustedProxies(["127.0.0.0/8"]),
    });
    const seen = async (forwardedFor: string): Promise<string> => {
      const peer = await RawPeer.connect(open.where);
      peer.send(handshake(forwardedFor));
      await peer.until(() => peer.isEnded || /welcome|connection_limit/.test(peer.text));
      kept.push(peer);
      return peer.text.includes("welcome")
        ? "welcome"
        : peer.text.includes("connection_limit")
          ? "limit"
          : peer.text;
    };
    const kept: RawPeer[] = [];
    expect(await seen("1.2.3.4")).toBe("welcome");
    expect(await seen("9.9.9.9, ::ffff:1.2.3.4")).toBe("limit");
    expect(await seen("1.2.3.4, 1.2.3.5")).toBe("welcome");
    expect(await seen("2001:db8::1")).toBe("welcome");
    expect(await seen("2001:db8::2")).toBe("limit");
    expect(open.clients).toEqual(["1.2.3.4", "1.2.3.5", "2001:db8::1"]);
    for (const peer of kept) peer.socket.destroy();
  });

  it("what a stranger forwards is not looked at", async () => {
    open = await openDoor({ connectionsPerAddressMax: 1 });
    const first = await RawPeer.connect(open.where);
    first.send(handshake("1.2.3.4"));
    await first.until(() => first.text.includes("welcome"));
    const second = await RawPeer.connect(open.where);
    second.send(handshake("1.2.3.5"));
    await second.until(() => second.text.includes("connection_limit"));
    expect(open.clients[0]).toBe("127.0.0.1");
    for (const peer of [first, second]) peer.socket.destroy();
  });

  it.each([
    {
      peer: "a trusted proxy",
      trusted: ["127.0.0.1"],
      origin: "https://tape.test",
      proto: "https",
      status: 101,
    },
    {
      peer: "a trusted proxy",
      trusted: ["127.0.0.1"],
      origin: "http://tape.test",
      proto: "https",
      status: 403,
    },
    {
      peer: "a trusted proxy",
      trusted: ["127.0.0.1"],
      origin: "https://tape.test",
      proto: "http",
      status: 403,
    },
    { peer: "a stranger", trusted: [], origin: "http://tape.test", proto: "https", status: 101 },
  ])(
    "same-origin: $origin by X-Forwarded-Proto $proto of $peer is $status",
    async ({ trusted, origin, proto, status }) => {
      open = await openDoor({ trustedProxies: new TrustedProxies(trusted) });
      const peer = await RawPeer.connect(open.where);
      const headers = { Origin: origin, "X-Forwarded-Proto": proto };
      const head = clientRequest({ host: "tape.test", target: "/ws" }, createKey(), [], headers);
      peer.send(head);
      await peer.until(() => peer.isEnded || peer.text.includes("\r\n\r\n"));
      expect(peer.text.slice(0, 13)).toBe(`HTTP/1.1 ${status} `);
      peer.socket.destroy();
    },
  );

  it("a crowd of sockets beyond connectionsMax and its headroom is not even read from", async () => {
    open = await openDoor({ connectionsMax: 0 });
    const peers = await Promise.all(Array.from({ length: 1024 }, () => RawPeer.connect(open.where)));
    await eventually(() => open.door.counters.waiting === 1024);
    const last = await RawPeer.connect(open.where);
    await last.until(() => last.isEnded || last.isClosed);
    expect(open.refused("sockets")).toBe(1);
    for (const peer of [...peers, last]) peer.socket.destroy();
    await eventually(() => open.door.counters.waiting === 0);
  });

  it("out of files: 503 for all but probes, cut when even that is too much, and again when there is room (RS6)", async () => {
    open = await openDoor({ socketsMax: 3 });
    const peers = await Promise.all([1, 2, 3].map(() => RawPeer.upgrade(open.where)));
    const refused = await Promise.all(Array.from({ length: 32 }, () => RawPeer.connect(open.where)));
    for (const [index, peer] of refused.entries()) {
      peer.send(index % 2 === 0 ? handshake() : "POST /api/publish HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for (const peer of refused) await peer.until(() => peer.isEnded);
    expect(refused.map((peer) => peer.text.slice(0, 12))).toEqual(refused.map(() => "HTTP/1.1 503"));
    expect(refused[0]?.text).toMatch(/\r\nRetry-After: 5\r\n[^]*as many sockets as/);
    const cut = await RawPeer.connect(open.where);
    await cut.until(() => cut.isEnded || cut.isClosed);
    expect(cut.text).toBe("");
    expect(open.refused("sockets")).toBe(33);
    for (const peer of [...refused, cut, ...peers]) peer.socket.destroy();
    await eventually(() => open.connections.counters.open === 0 && open.door.counters.waiting === 0);
    expect(await refusal()).toMatch(/^HTTP\/1\.1 101 /);
  });

  describe("out of files, who asks whether the server lives is answered, and the socket is not kept (RS6)", () => {
    it.each([
      { name: "GET /healthz", head: "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" },
      { name: "HEAD /readyz", head: "HEAD /readyz HTTP/1.1\r\nHost: a\r\n\r\n" },
      {
        name: "a probe of Kubernetes",
        head: "GET /healthz?x=1 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
      },
      { name: "a probe in HTTP/1.0", head: "GET /readyz HTTP/1.0\r\n\r\n" },
    ])("$name", async ({ head }) => {
      open = await openDoor({ socketsMax: 0 });
      const peer = await RawPeer.connect(open.where);
      peer.send(head);
      await peer.until(() => peer.isEnded);
      expect(peer.text).toMatch(/^HTTP\/1\.1 200 /);
      expect(peer.text).toMatch(/\r\nconnection: close\r\n/i);
      expect(open.refused("sockets")).toBe(0);
      peer.socket.destroy();
    });

    it.each([
      { name: "another path", head: "GET /healthzz HTTP/1.1\r\nHost: a\r\n\r\n" },
      { name: "another method", head: "POST /healthz HTTP/1.1\r\nHost: a\r\n\r\n" },
      { name: "half a HEAD", head: "HEAD /healthz HTTP/1.1\r\n" },
      { name: "half a GET, and no more of it within a second", head: "GET /healthz HTTP/1.1\r\n" },
    ])("$name: 503", async ({ head }) => {
      open = await openDoor({ socketsMax: 0 });
      const peer = await RawPeer.connect(open.where);
      peer.send(head);
      await peer.until(() => peer.isEnded);
      expect(peer.text).toMatch(/^HTTP\/1\.1 503 [^]*as many sockets as/);
      expect(open.refused("sockets")).toBe(1);
      peer.socket.destroy();
    });
  });
});

describe("deadlines", () => {
  it("408 for a head that comes too slowly, and nothing at all for a peer that never speaks (HS17)", async () => {
    open = await openDoor({ headTimeoutMs: 150 });
    const silent = await RawPeer.connect(open.where);
    const slow = await RawPeer.connect(open.where);
    const bytes = handshake();
    let offset = 0;
    const drip = setInterval(() => slow.send(bytes.subarray(offset, (offset += 1))), 20);
    await slow.until(() => slow.isEnded);
    await silent.until(() => silent.isEnded || silent.isClosed);
    clearInterval(drip);
    expect(slow.text).toMatch(/^HTTP\/1\.1 408 [^]*"request_timeout"/);
    expect(silent.text).toBe("");
    expect(open.refused("head_timeout")).toBe(2);
    slow.socket.destroy();
    silent.socket.destroy();
    await eventually(() => open.door.counters.waiting === 0);
  });

  it("node's own time-outs hold for what was handed on: a slow body, a slow second head", async () => {
    open = await openDoor({
      http: { headersTimeout: 200, requestTimeout: 400, connectionsCheckingInterval: 50 },
    });
    const body = await RawPeer.connect(open.where);
    body.send("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0");
    const head = await RawPeer.connect(open.where);
    head.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    await head.until(() => head.text.includes("GET /a ;"));
    head.send("GET /b HTTP/1.1\r\nHo");
    await body.until(() => body.isEnded || body.isClosed);
    await head.until(() => head.isEnded || head.isClosed);
    expect(body.text).toMatch(/^HTTP\/1\.1 408 /);
    expect(head.text).toMatch(/HTTP\/1\.1 408 /);
    for (const peer of [body, head]) peer.socket.destroy();
  });

  it("a refused peer that never ends its side is gone after 2 s", async () => {
    open = await openDoor();
    const peer = await RawPeer.connect(open.where);
    peer.send(handshake().toString("latin1").replace("/ws", "/no"));
    await peer.until(() => peer.isEnded);
    expect(open.door.counters.waiting).toBe(1);
    await eventually(() => open.door.counters.waiting === 0);
    peer.socket.destroy();
  });
});

describe("limits.workMsPerAddressPerSecMax", () => {
  it("at the limit and one past it, for all of a /64 together, and no longer than it takes", () => {
    let nowMs = 1000;
    const clock = { nowMs: () => nowMs, wallMs: () => nowMs };
    const turns = new TurnQueue(clock, null);
    const limits = new FrontDoorLimits({ ...unlimitedDoor, workMsPerAddressPerSecMax: 10 }, clock, turns);
    const before = limitCounters.reached.get("workMsPerAddressPerSecMax")!;
    const left: (() => void)[] = [];
    /** A handshake that takes so long, and is followed by that of somebody else. */
    const visit = (address: string, workMs: number): string => {
      turns.touch({ workShare: new WorkShare(1, nowMs), takeTurn: () => false, endWait: () => undefined });
      const refused = limits.admit(0, address);
      if (refused !== null) return `${refused.status} ${refused.reason}`;
      const connection = { addressWork: null, onGone: null } as unknown as Connection;
      limits.shareWork(connection, address, nowMs - workMs);
      left.push(() => connection.onGone?.());
      return "101";
    };
    expect(limits.needsAddress).toBe(true);
    // 5 ms at once; a tenth is for what is not seen.
    expect(visit("2001:db8::1", 4.9)).toBe("101");
    expect(visit("2001:db8::1", 0.9)).toBe("101");
    expect(visit("2001:db8::1", 0)).toBe("429 work_per_address");
    expect(visit("2001:db8::2", 0), "the same /64").toBe("429 work_per_address");
    expect(visit("2001:db8:0:1::1", 0)).toBe("101");
    expect(visit("", 100), "a unix socket").toBe("101");
    expect(visit("", 100)).toBe("101");
    expect(limitCounters.reached.get("workMsPerAddressPerSecMax")! - before).toBe(2);
    // What they owe stays when they go: 1 ms is a tenth of a second.
    for (const leave of left) leave();
    nowMs += 99;
    expect(visit("2001:db8::1", 0)).toBe("429 work_per_address");
    nowMs += 2;
    expect(visit("2001:db8::1", 0)).toBe("101");
  });
});
