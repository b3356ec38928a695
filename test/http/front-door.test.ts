import { afterEach, describe, expect, it } from "vitest";

import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { clientRequest, createKey } from "../../src/handshake/client-handshake.ts";
import { securityHeaders } from "../../src/http/security-headers.ts";
import { eventually, RawPeer } from "../connection/raw-peer.ts";
import { openDoor, type Door } from "./front-door-fixture.ts";

let open: Door;

afterEach(() => open.stop());

/** A handshake as bytes, with lines replaced. */
function handshake(target = "/ws", headers: Record<string, string> = {}): string {
  return clientRequest({ host: "test", target }, createKey(), [], headers).toString("latin1");
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function text(payload: string): Buffer {
  return encodeMaskedFrame(opcode.text, Buffer.from(payload), 7);
}

/** Sends a request and collects everything until the server ends. */
async function exchange(request: string | Buffer): Promise<RawPeer> {
  const peer = await RawPeer.connect(open.where);
  peer.send(request);
  await peer.until(() => peer.isEnded || peer.isClosed);
  peer.socket.destroy();
  return peer;
}

describe("handshakes on the raw socket", () => {
  it("are taken without node:http, with subprotocol, query and address", async () => {
    open = await openDoor();
    let httpConnections = 0;
    open.httpServer.on("connection", () => (httpConnections += 1));
    const peer = await RawPeer.connect(open.where);
    peer.send(clientRequest({ host: "test", target: "/ws?topics=a%2Cb" }, createKey(), ["x", "tapecast.v1"]));
    await peer.until(() => peer.text.includes("welcome"));
    expect(peer.text).toMatch(/^HTTP\/1\.1 101 [^]*\r\nSec-WebSocket-Protocol: tapecast\.v1\r\n/);
    expect(open.requests[0]).toMatchObject({
      path: "/ws",
      encrypted: false,
      subprotocol: "tapecast.v1",
    });
    expect(open.clients).toEqual(["127.0.0.1"]);
    expect(open.requests[0]!.query.get("topics")).toBe("a,b");
    expect(httpConnections).toBe(0);
    expect(open.door.counters).toMatchObject({ accepted: 1, upgraded: 1, handedToHttp: 0, waiting: 0 });
    peer.socket.destroy();
  });

  it("work at every split", async () => {
    open = await openDoor();
    const bytes = Buffer.concat([Buffer.from(handshake()), text("behind")]);
    const peers = await Promise.all(
      Array.from({ length: bytes.length - 1 }, async (_, index) => {
        const peer = await RawPeer.connect(open.where);
        peer.send(bytes.subarray(0, index + 1));
        await wait(10);
        peer.send(bytes.subarray(index + 1));
        await peer.until(() => peer.text.includes("behind"));
        return peer;
      }),
    );
    expect(open.door.counters).toMatchObject({ upgraded: bytes.length - 1, handedToHttp: 0, waiting: 0 });
    for (const peer of peers) peer.socket.destroy();
    await eventually(() => open.connections.counters.open === 0);
  });

  it("work byte by byte", async () => {
    open = await openDoor();
    const peer = await RawPeer.connect(open.where);
    for (const byte of handshake()) {
      peer.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await peer.until(() => peer.text.includes("welcome"));
    peer.socket.destroy();
  });

  it("lose no frames of the same packet, and answer them after the 101 (HS16)", async () => {
    open = await openDoor();
    const peer = await RawPeer.upgrade(open.where, "/ws", Buffer.concat([text("one"), text("two")]));
    await peer.until(() => peer.events.length === 3);
    expect(peer.events.map((event) => event.text)).toEqual(["welcome", "one", "two"]);
    peer.socket.destroy();
  });

  it("take half a frame of the same packet", async () => {
    open = await openDoor();
    const frame = text("halves");
    const peer = await RawPeer.upgrade(open.where, "/ws", frame.subarray(0, 5));
    peer.send(frame.subarray(5));
    await peer.until(() => peer.events.length === 2);
    expect(peer.events[1]).toEqual({ kind: "text", text: "halves" });
    peer.socket.destroy();
  });

  it("end as 1006 when the peer sends FIN behind its handshake, freed at once", async () => {
    open = await openDoor();
    const peer = await RawPeer.connect(open.where);
    peer.socket.end(handshake());
    await peer.until(() => peer.isEnded || peer.isClosed);
    expect(peer.text).toMatch(/^HTTP\/1\.1 101 /);
    await eventually(() => open.connections.counters.open === 0);
    expect(open.closes).toEqual([1006]);
  });
});

describe("everything else goes to node:http with its bytes", () => {
  it.each([
    { name: "GET", request: "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", answer: "GET /a ;" },
    { name: "HTTP/1.0", request: "GET /a HTTP/1.0\r\n\r\n", answer: "GET /a ;" },
    {
      name: "POST with a body",
      request: "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
      answer: "POST /b hello;",
    },
    {
      name: "a chunked body",
      request: "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      answer: "POST /b abc;",
    },
    {
      name: "Connection without upgrade (HS7)",
      request: "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive\r\n\r\n",
      answer: "GET /ws ;",
    },
    {
      name: "an upgrade to h2c, ignored (RFC 9110 §7.8)",
      request:
        "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
      answer: "GET /a ;",
    },
    {
      name: "a POST that offers h2c, as Java's HttpClient does",
      request:
        "POST /b HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello",
      answer: "POST /b hello;",
    },
    {
      name: "an upgrade to nothing known (HS6)",
      request: "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
      answer: "GET /a ;",
    },
  ])("$name, whole and at every split", async ({ request, answer }) => {
    open = await openDoor();
    await Promise.all(
      Array.from({ length: request.length }, async (_, index) => {
        const peer = await RawPeer.connect(open.where);
        peer.send(request.slice(0, index + 1));
        await wait(10);
        peer.send(request.slice(index + 1));
        await peer.until(() => peer.text.includes(answer));
        expect(peer.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
        peer.socket.destroy();
      }),
    );
    await eventually(() => open.door.counters.httpOpen === 0);
    expect(open.door.counters).toMatchObject({ upgraded: 0, waiting: 0 });
  });

  it("answers pipelined requests in their order", async () => {
    open = await openDoor();
    const peer = await RawPeer.connect(open.where);
    const requests = Array.from({ length: 20 }, (_, index) => `GET /${index} HTTP/1.1\r\nHost: x\r\n\r\n`);
    peer.send(requests.slice(0, 10).join(""));
    peer.send(requests.slice(10).join(""));
    await peer.until(() => peer.text.includes("GET /19 ;"));
    const answered = [...peer.text.matchAll(/GET \/(\d+) ;/g)].map((match) => Number(match[1]));
    expect(answered).toEqual(Array.from({ length: 20 }, (_, index) => index));
    peer.socket.destroy();
  });

  it("takes a body that comes long after its head, and answers a peer that already sent FIN", async () => {
    open = await openDoor();
    const peer = await RawPeer.connect(open.where);
    peer.send("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
    await wait(20);
    peer.send("01234");
    await wait(20);
    peer.socket.end("56789");
    await peer.until(() => peer.text.includes("POST /b 0123456789;"));
    peer.socket.destroy();
  });

  it("upgrades a connection that carried requests before, and its keep-alive time-out does not end it", async () => {
    open = await openDoor({ http: { keepAliveTimeout: 100 } });
    const peer = await RawPeer.connect(open.where);
    peer.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    await peer.until(() => peer.text.includes("GET /a ;"));
    peer.received = Buffer.alloc(0);
    peer.send(Buffer.concat([Buffer.from(handshake()), text("same packet")]));
    await peer.until(() => peer.text.includes("same packet"));
    expect(peer.text).toMatch(/^HTTP\/1\.1 101 /);
    // Node adds a second to its keep-alive time-out.
    await wait(1300);
    peer.received = Buffer.alloc(0);
    peer.send(text("still here"));
    await peer.until(() => peer.text.includes("still here"));
    expect(open.door.counters).toMatchObject({ upgraded: 1, handedToHttp: 1, httpOpen: 0 });
    peer.socket.destroy();
    await eventually(() => open.connections.counters.open === 0);
    expect(open.closes).toEqual([1006]);
  });

  it("answers requests behind an ignored upgrade too", async () => {
    open = await openDoor();
    const peer = await RawPeer.connect(open.where);
    peer.send(
      "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    await peer.until(() => peer.text.includes("GET /b ;"));
    expect(open.door.counters.httpOpen).toBe(1);
    peer.send(handshake());
    await peer.until(() => peer.text.includes("welcome"));
    peer.socket.destroy();
    await eventually(() => open.connections.counters.open === 0);
  });

  it("refuses a handshake whose body is still on its way (HS1)", async () => {
    open = await openDoor();
    const peer = await RawPeer.connect(open.where);
    peer.send(handshake("/ws", { "Content-Length": "6" }) + "abc");
    await peer.until(() => peer.text.includes("}"));
    peer.send("def");
    await peer.until(() => peer.isEnded);
    expect(peer.text).toMatch(/^HTTP\/1\.1 400 /);
    expect(peer.text).toContain("a WebSocket handshake has no body");
    expect(peer.text.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    expect(open.refused("unexpected_body")).toBe(1);
    await eventually(() => open.door.counters.waiting === 0 && open.door.counters.httpOpen === 0);
  });

  it("never answers an upgrade before the request in front of it, nor what stands behind it (HS20)", async () => {
    const late: (() => void)[] = [];
    open = await openDoor({
      onRequest: (request, response) => {
        late.push(() => response.end(`late ${request.url}`));
      },
    });
    const peer = await RawPeer.connect(open.where);
    peer.send(`GET /slow HTTP/1.1\r\nHost: x\r\n\r\n${handshake()}GET /behind HTTP/1.1\r\nHost: x\r\n\r\n`);
    await eventually(() => open.refused("pipelined") === 1);
    expect(peer.text).toBe("");
    for (const answerLate of late) answerLate();
    await peer.until(() => peer.isEnded);
    expect(peer.text).toContain("late /slow");
    expect(peer.text).not.toContain("101");
    expect(peer.text).not.toContain("behind");
    peer.socket.destroy();
    await eventually(() => open.door.counters.httpOpen === 0);
  });

  it("ends a connection with a refused upgrade, though the peer keeps its side open and goes on sending", async () => {
    open = await openDoor();
    const peer = await RawPeer.connect(open.where);
    peer.send(`GET /a HTTP/1.1\r\nHost: x\r\n\r\n${handshake()}`);
    await peer.until(() => peer.isEnded);
    expect(peer.text).toContain("GET /a ;");
    const sending = setInterval(() => peer.socket.write("more"), 20);
    await eventually(() => open?.door.counters.httpOpen === 0);
    clearInterval(sending);
    peer.socket.destroy();
  });

  it("stops without waiting for the answers before a refused upgrade", async () => {
    open = await openDoor({ onRequest: () => undefined });
    const peer = await RawPeer.connect(open.where);
    peer.send(`GET /never HTTP/1.1\r\nHost: x\r\n\r\n${handshake()}`);
    await eventually(() => open?.refused("pipelined") === 1);
    await open.door.stop();
    expect(open.door.counters.httpOpen).toBe(0);
    peer.socket.destroy();
  });
});

describe("refusals", () => {
  /** docs/HTTP.md: the code of an error goes with its status, whoever refused. */
  const codeOfStatus = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    426: "upgrade_required",
    431: "too_large",
  };

  it.each([
    { name: "a POST (HS1)", request: handshake().replace("GET", "POST"), status: 405, reason: "bad_method" },
    {
      name: "a body (HS1)",
      request: handshake("/ws", { "Content-Length": "3" }) + "abc",
      status: 400,
      reason: "unexpected_body",
    },
    {
      name: "HTTP/1.0 (HS2)",
      request: handshake().replace("HTTP/1.1", "HTTP/1.0"),
      status: 400,
      reason: "bad_http_version",
    },
    {
      name: "two Hosts (HS3)",
      request: handshake("/ws", { host: "b" }),
      status: 400,
      reason: "duplicate_header",
    },
    {
      name: "an empty Host (HS3)",
      request: handshake().replace("Host: test", "Host:"),
      status: 400,
      reason: "bad_host",
    },
    {
      name: "a bad key (HS4)",
      request: handshake("/ws", { "Sec-WebSocket-Key": "AAAA" }),
      status: 400,
      reason: "bad_key",
    },
    {
      name: "version 8 (HS5)",
      request: handshake("/ws", { "Sec-WebSocket-Version": "8" }),
      status: 426,
      reason: "bad_version",
    },
    {
      // Of 2,500, node:http of Node 22 and newer says by itself that they are too many (test/abuse, HS8).
      name: "300 headers (HS8)",
      request: handshake().replace("\r\n\r\n", `\r\n${"a:\r\n".repeat(300)}\r\n`),
      status: 431,
      reason: "too_many_headers",
    },
    { name: "/%zz (HS13)", request: handshake("/%zz%00"), status: 400, reason: "bad_target" },
    { name: "no such path", request: handshake("/nowhere"), status: 404, reason: "not_found" },
    { name: "a path with dots (HS13)", request: handshake("//evil/.."), status: 404, reason: "not_found" },
    {
      name: "another origin (HS14)",
      request: handshake("/ws", { Origin: "http://evil.example" }),
      status: 403,
      reason: "origin",
    },
    {
      name: "origin null (HS14)",
      request: handshake("/ws", { Origin: "null" }),
      status: 403,
      reason: "origin",
    },
    {
      name: "two Origins (HS14)",
      request: handshake("/ws", { Origin: "http://test", origin: "http://evil" }),
      status: 400,
      reason: "duplicate_header",
    },
    {
      name: "a 17 KiB header (HS9)",
      request: handshake("/ws", { Cookie: "c".repeat(17_000) }),
      status: 431,
      reason: "head_too_large",
    },
    {
      name: "a head that never ends",
      request: `GET / HTTP/1.1\r\nX: ${"x".repeat(17_000)}`,
      status: 431,
      reason: "head_too_large",
    },
  ] as const)(
    "$name: $status $reason, closed, and what follows is never processed",
    async ({ request, status, reason }) => {
      open = await openDoor();
      const { text: answer } = await exchange(`${request}GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n`);
      expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      expect(answer).toMatch(/\r\nConnection: close/);
      // RFC 9110 §6.6.1, and what docs/SECURITY.md says of every answer.
      expect(Math.abs(Date.parse(/\r\ndate: (.*)\r\n/.exec(answer)?.[1] ?? "") - Date.now())).toBeLessThan(
        60_000,
      );
      expect(answer).toContain("\r\ncache-control: no-store\r\n");
      for (const [name, value] of Object.entries(securityHeaders)) {
        expect(answer).toContain(`\r\n${name}: ${value}\r\n`);
      }
      const body = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n"))) as {
        error: { code: string; message: string };
      };
      expect(body.error.code).toBe(codeOfStatus[status]);
      expect(body.error.message).not.toBe("");
      expect(answer).not.toContain("smuggled");
      expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
      expect(open.refused(reason)).toBe(1);
      await eventually(() => open.door.counters.waiting === 0 && open.door.counters.httpOpen === 0);
    },
  );

  it.each([
    { name: "a TLS hello", bytes: Buffer.from("160301020001000001fc0303", "hex") },
    { name: "the HTTP/2 preface", bytes: Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") },
    { name: "garbage", bytes: Buffer.from("\0\u0001\u0002\r\n\r\n") },
    { name: "a bare LF", bytes: Buffer.from("GET / HTTP/1.1\nHost: x\n\n") },
    {
      name: "line folding in a handshake",
      bytes: Buffer.from(handshake().replace("Upgrade: ", "Upgrade:\r\n ")),
    },
  ])("leaves $name to node's 400", async ({ bytes }) => {
    open = await openDoor();
    expect((await exchange(bytes)).text).toMatch(/^HTTP\/1\.1 400 /);
  });

  it("does not check Origin where the endpoint says so, and accepts the right one", async () => {
    open = await openDoor();
    for (const request of [
      handshake("/echo", { Origin: "http://evil.example" }),
      handshake("/ws", { Origin: "https://test" }),
    ]) {
      const peer = await RawPeer.connect(open.where);
      peer.send(request);
      await peer.until(() => peer.text.includes("welcome"));
      peer.socket.destroy();
    }
  });

  it.each([
    { name: "nothing", bytes: "" },
    { name: "half a head", bytes: "GET /ws HTTP/1.1\r\nHost" },
  ])("frees a socket that ends after $name at once, which is nobody's fault", async ({ bytes }) => {
    open = await openDoor();
    const peer = await RawPeer.connect(open.where);
    peer.socket.end(bytes);
    await peer.until(() => peer.isEnded || peer.isClosed);
    await eventually(() => open.door.counters.accepted === 1 && open.door.counters.waiting === 0);
    expect([...open.door.counters.refused.values()].every((count) => count === 0)).toBe(true);
    expect(open.connections.wheel.size).toBe(0);
  });

  it("survives peers that reset while they are refused or upgraded (HS15)", async () => {
    open = await openDoor();
    const requests = [
      handshake(),
      handshake("/nowhere"),
      handshake("/ws", { "Sec-WebSocket-Version": "8" }),
      "GET /",
    ];
    for (let round = 0; round < 25; round += 1) {
      for (const request of requests) {
        const peer = await RawPeer.connect(open.where);
        peer.socket.write(request, () => peer.socket.resetAndDestroy());
      }
    }
    await eventually(() => {
      const { accepted, waiting, httpOpen } = open.door.counters;
      return accepted === 100 && waiting === 0 && httpOpen === 0 && open.connections.counters.open === 0;
    });
    // Only the heartbeat-less echo connections were in the wheel, and nothing is left there.
    expect(open.connections.wheel.size).toBe(0);
    const peer = await RawPeer.upgrade(open.where);
    peer.socket.destroy();
  });
});
