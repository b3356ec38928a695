/**
 * Rows HS, FR and DF of docs/ABUSE.md over every way in and at every endpoint: TCP served by its handle, the same behind
 * a first HTTP request, TLS, and unix sockets, by their handles and by node's own sockets. The rows' own files go by TCP
 * alone.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { constants, deflateRawSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { opcode } from "../../src/codec/opcode.ts";
import { RawPeer } from "../connection/raw-peer.ts";
import { Server } from "../e2e/server.ts";
import { until } from "../e2e/until.ts";
import { selfSigned } from "../setup/certificate.ts";
import { closeCodeOf, frame, handshake, text } from "./raw.ts";

const folder = mkdtempSync(join(tmpdir(), "tapecast-ways-"));
/** WebSockets on handles: TCP and a unix socket. */
let handles: Server;
/** On node's own sockets: TLS and a unix socket. */
let streams: Server;

beforeAll(async () => {
  const { cert, key } = selfSigned();
  const files = { cert: join(folder, "cert.pem"), key: join(folder, "key.pem") };
  writeFileSync(files.cert, cert);
  writeFileSync(files.key, key);
  [handles, streams] = await Promise.all([
    Server.start({ sets: { "listen.unixSocket": join(folder, "handles.sock") } }),
    Server.start({
      sets: {
        "listen.unixSocket": join(folder, "streams.sock"),
        "listen.directHandles": false,
        "listen.tls": files,
      },
    }),
  ]);
}, 60_000);
afterAll(async () => {
  try {
    for (const server of [handles, streams]) {
      await until("nothing to be left", async () => {
        const metrics = await server.metrics();
        const gauges = [
          "connections_open",
          "sockets_waiting",
          "subscriptions",
          "pending_bytes",
          "arriving_bytes",
        ];
        return gauges.every((name) => metrics.sum(`tapecast_${name}`) === 0);
      });
      expect((await server.metrics()).sum("tapecast_worker_restarts_total")).toBe(0);
      expect(await server.stop()).toEqual({ code: 0, signal: null });
    }
  } finally {
    await handles[Symbol.asyncDispose]();
    await streams[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);

interface Way {
  readonly name: string;
  readonly where: () => string;
  /** Behind an answered GET, as proxies send it: node:http had the socket first. */
  readonly isSecond?: boolean;
}

const unix = (server: Server): string => server.addresses.find((each) => each.startsWith("unix:")) ?? "none";
const ways: readonly Way[] = [
  { name: "TCP", where: () => handles.http },
  { name: "TCP behind a GET", where: () => handles.http, isSecond: true },
  { name: "a unix socket", where: () => unix(handles) },
  { name: "TLS", where: () => streams.http },
  { name: "TLS behind a GET", where: () => streams.http, isSecond: true },
  { name: "a unix socket without handles", where: () => unix(streams) },
];
const endpoints = ["/ws", "/raw/quote.WAY", "/echo"] as const;

/** Sends a request on a connection of this way and reads until its answer's head is whole, or the end. */
async function request(way: Way, bytes: string): Promise<RawPeer> {
  const peer = await RawPeer.connect(way.where());
  if (way.isSecond === true) {
    peer.send("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    await peer.until(() => peer.text.endsWith('{"status":"ok"}'), 10_000);
    peer.received = Buffer.alloc(0);
  }
  peer.send(Buffer.from(bytes, "latin1"));
  await peer.until(() => peer.text.includes("\r\n\r\n") || peer.isEnded, 10_000);
  return peer;
}

async function open(way: Way, target: string, offer: string | null): Promise<RawPeer> {
  const lines = { "Sec-WebSocket-Extensions": offer };
  const peer = await request(way, handshake(lines, `GET ${target} HTTP/1.1`));
  expect(peer.text).toMatch(/^HTTP\/1\.1 101 /u);
  expect(/permessage-deflate/u.test(peer.text)).toBe(offer !== null);
  peer.readFrames(peer.received.indexOf("\r\n\r\n") + 4, offer !== null);
  return peer;
}

const final = 0x80;
const rsv1 = 0x40;

function deflated(payload: Uint8Array | string): Buffer {
  return deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

interface FrameRow {
  readonly row: string;
  readonly bytes: Buffer;
  readonly code: number;
  /** Offers permessage-deflate. */
  readonly isCompressed?: boolean;
  readonly only?: readonly string[];
}

const small: readonly string[] = ["/ws", "/raw/quote.WAY"];
const rows: readonly FrameRow[] = [
  { row: "FR1 unmasked", bytes: frame(0x81, "hello", { isMasked: false }), code: 1002 },
  { row: "FR1 an unmasked ping behind a masked one", bytes: Buffer.concat([frame(0x89, "a"), frame(0x89, "b", { isMasked: false })]), code: 1002 },
  { row: "FR2 RSV1", bytes: frame(0xc1, "x"), code: 1002 },
  { row: "FR2 RSV1 on a continuation of a compressed message", bytes: Buffer.concat([frame(0x41, "x"), frame(0xc0, "x")]), code: 1002, isCompressed: true },
  { row: "FR2 RSV1 on a ping, deflate agreed on", bytes: frame(0xc9, "x"), code: 1002, isCompressed: true },
  { row: "FR2 RSV2, deflate agreed on", bytes: frame(0xa1, "x"), code: 1002, isCompressed: true },
  { row: "FR3 opcode 3", bytes: frame(0x83), code: 1002 },
  { row: "FR3 opcode 15 without FIN", bytes: frame(0x0f), code: 1002 },
  { row: "FR4 16 bits for 125", bytes: frame(0x81, "", { claims: 125, form: 16 }), code: 1002 },
  { row: "FR5 the top bit", bytes: frame(0x81, "", { claims: 2n ** 63n }), code: 1002 },
  { row: "FR5 2^31", bytes: frame(0x81, "", { claims: 2n ** 31n }), code: 1009 },
  { row: "FR5 2^53 of a compressed message", bytes: frame(0xc1, "", { claims: 2n ** 53n }), code: 1009, isCompressed: true },
  { row: "FR8 a ping of 126 bytes", bytes: frame(0x89, "", { claims: 126 }), code: 1002 },
  { row: "FR8 a close without FIN inside a message", bytes: Buffer.concat([text("a", false), frame(0x08, Buffer.of(3, 232))]), code: 1002 },
  { row: "FR9 a continuation first", bytes: frame(final, "x"), code: 1002 },
  { row: "FR9 a compressed message inside of one", bytes: Buffer.concat([frame(0x41, "a"), frame(0xc1, "b")]), code: 1002, isCompressed: true },
  { row: "FR10 fragments without end", bytes: Buffer.concat([text("", false), ...Array.from({ length: 1024 }, () => frame(0))]), code: 1008 },
  { row: "FR11 a sum over the limit", bytes: Buffer.concat([text("x".repeat(40_000), false), frame(0, "", { claims: 25_537 })]), code: 1009, only: small },
  { row: "FR14 a surrogate at once", bytes: frame(0x81, Buffer.from("6161eda0", "hex"), { claims: 60_000 }), code: 1007 },
  { row: "FR14 an overlong form over two fragments", bytes: Buffer.concat([text(Buffer.of(0xe0), false), frame(0, Buffer.of(0x80))]), code: 1007 },
  { row: "FR14 compressed", bytes: frame(0xc1, deflated(Buffer.of(0x61, 0xff))), code: 1007, isCompressed: true },
  { row: "FR16 one byte of a close", bytes: frame(0x88, "x"), code: 1002 },
  { row: "FR17 1005", bytes: frame(0x88, Buffer.of(3, 237)), code: 1002 },
  { row: "FR17 3000 inside a message", bytes: Buffer.concat([text("a", false), frame(0x88, Buffer.of(11, 184))]), code: 3000 },
  { row: "FR20 pings", bytes: Buffer.concat(Array.from({ length: 400 }, () => frame(0x89, "x"))), code: 4505 },
  { row: "FR20 pongs, deflate agreed on", bytes: Buffer.concat(Array.from({ length: 400 }, () => frame(0x8a))), code: 4505, isCompressed: true },
  { row: "FR24 binary", bytes: frame(0x82, "x"), code: 1003, only: small },
  { row: "FR24 compressed binary, its header alone", bytes: frame(0xc2, "", { claims: 50 }), code: 1003, isCompressed: true, only: small },
  { row: "DF1 a bomb", bytes: frame(0xc1, deflated(Buffer.alloc(2 ** 20, " "))), code: 1009, isCompressed: true, only: small },
  { row: "DF1 one byte too many", bytes: frame(0xc1, deflated(Buffer.alloc(65_537, " "))), code: 1009, isCompressed: true, only: small },
  { row: "DF3 a reserved block", bytes: frame(0xc1, Buffer.of(7)), code: 1007, isCompressed: true },
  { row: "DF3 a window that nobody kept", bytes: frame(0xc1, Buffer.from("f200110000", "hex")), code: 1007, isCompressed: true },
]; // prettier-ignore

describe.each(ways)("by $name", (way) => {
  it.each(rows)("$row: $code", async ({ bytes, code, isCompressed, only = endpoints }) => {
    for (const target of only) {
      for (const cut of [bytes.length, bytes.length - 1, 1]) {
        const peer = await open(way, target, isCompressed === true ? "permessage-deflate" : null);
        peer.send(bytes.subarray(0, cut));
        // In two reads, wherever the system lets it.
        await new Promise((resolve) => setImmediate(resolve));
        if (cut < bytes.length) peer.send(bytes.subarray(cut));
        expect(await closeCodeOf(peer), `${target}, cut at ${cut} of ${bytes.length}`).toBe(code);
      }
    }
  });

  it("FR18 data and a second close behind a close are ignored, and we end TCP first", async () => {
    for (const target of endpoints) {
      const peer = await open(way, target, null);
      const before = peer.events.length;
      peer.send(
        Buffer.concat([frame(0x88, Buffer.of(3, 232)), text("late"), frame(0x89, "late"), frame(0x88)]),
      );
      await peer.until(() => peer.isEnded, 10_000);
      const closes = peer.events.slice(before).filter(({ kind }) => kind !== "text");
      expect(closes, target).toEqual([{ kind: "close", code: 1000, text: "" }]);
      peer.socket.destroy();
    }
  });

  it("HS16 frames in the packet of the handshake; the limits hold from the first byte", async () => {
    const greeting = Buffer.concat([
      Buffer.from(handshake({}, "GET /echo HTTP/1.1")),
      text("one"),
      text("two"),
    ]);
    const peer = await request(way, greeting.toString("latin1"));
    peer.readFrames(peer.received.indexOf("\r\n\r\n") + 4);
    await peer.until(() => peer.events.length === 2);
    expect(peer.events.map((event) => event.text)).toEqual(["one", "two"]);
    peer.socket.destroy();
    const flood = Buffer.concat([Buffer.from(handshake({})), frame(0x81, Buffer.alloc(100_000, "x"))]);
    const flooding = await request(way, flood.toString("latin1"));
    flooding.readFrames(flooding.received.indexOf("\r\n\r\n") + 4);
    await flooding.until(() => flooding.events.some(({ kind }) => kind === "close"), 10_000);
    expect(flooding.events.at(-1)).toMatchObject({ kind: "close", code: 1009 });
    flooding.socket.destroy();
  });

  it("DF4 nothing, compressed: an empty message", async () => {
    const peer = await open(way, "/echo", "permessage-deflate");
    peer.send(frame(final | rsv1 | opcode.text));
    peer.send(Buffer.concat([frame(rsv1 | opcode.text), frame(0), frame(final, Buffer.of(0))]));
    await peer.until(() => peer.events.length === 2);
    expect(peer.events.map((event) => event.text)).toEqual(["", ""]);
    peer.socket.destroy();
  });

  it.each([
    { row: "HS1 another method", bytes: handshake({}, "PUT /ws HTTP/1.1"), status: 405 },
    { row: "HS1 a body", bytes: `${handshake({ "Content-Length": "5" }, "GET /echo HTTP/1.1")}hello`, status: 400 },
    { row: "HS2 HTTP/1.0", bytes: handshake({}, "GET /echo HTTP/1.0"), status: 400 },
    { row: "HS3 two Hosts", bytes: handshake({ Host: ["127.0.0.1", "127.0.0.1"] }), status: 400 },
    { row: "HS3 two Hosts in one line", bytes: handshake({ Host: "a.example,b.example" }), status: 400 },
    { row: "HS3 a port that is none", bytes: handshake({ Host: "a.example:65536" }), status: 400 },
    { row: "HS3 half a percent escape", bytes: handshake({ Host: "a.example%4" }), status: 400 },
    { row: "HS4 a key of another alphabet", bytes: handshake({ "Sec-WebSocket-Key": "_-_-_-_-_-_-_-_-_-_-_A==" }), status: 400 },
    { row: "HS5 version 13 twice", bytes: handshake({ "Sec-WebSocket-Version": "13, 13" }), status: 426 },
    { row: "HS14 another site's page", bytes: handshake({ Origin: "https://evil.example" }), status: 403 },
    { row: "HS14 another site's page at /raw", bytes: handshake({ Origin: "null" }, "GET /raw/quote.A HTTP/1.1"), status: 403 },
    { row: "HS20 a request behind a refusal", bytes: `${handshake({ "Sec-WebSocket-Version": "8" })}GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n`, status: 426 },
  ])("$row: $status, and the end", async ({ bytes, status }) => {
    const peer = await request(way, bytes);
    await peer.until(() => peer.isEnded, 10_000);
    expect(peer.text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `, "u"));
    expect(peer.text.match(/^HTTP\/1\.1 /gmu)).toHaveLength(1);
    expect(peer.text).not.toContain('"openapi"');
    peer.socket.destroy();
  }); // prettier-ignore
});
