/** Rows DF1 to DF10 of docs/ABUSE.md: permessage-deflate. */
import { deflateRawSync, inflateRawSync, constants } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { opcode } from "../../src/codec/opcode.ts";
import { connect } from "node:net";
import { publish, publishLines } from "../e2e/http.ts";
import { delay } from "../e2e/until.ts";
import { AbusedServer } from "./abused-server.ts";
import { answerTo, closeCodeOf, frame, handshake, scale, text, upgrade } from "./raw.ts";

let abused: AbusedServer;

beforeAll(async () => {
  abused = await AbusedServer.start();
}, 60_000);
afterEach(() => abused.expectNobodyHurt());
afterAll(async () => {
  try {
    await abused.expectBackToStart();
  } finally {
    await abused.end();
  }
}, 60_000);

const offer = { "Sec-WebSocket-Extensions": "permessage-deflate" };
const compressedText = 0x80 | 0x40 | opcode.text;

/** RFC 7692 §7.2.1: deflated, flushed, and without the last four bytes. */
function deflated(payload: Uint8Array | string): Buffer {
  const bytes = deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH });
  return bytes.subarray(0, -4);
}

function bomb(bytes: number): Buffer {
  return frame(compressedText, deflated(Buffer.alloc(bytes, " ")));
}

describe("DF1 bombs", () => {
  it.each([
    { target: "/ws", bytes: 2 ** 20 },
    { target: "/echo", bytes: 2 ** 25 },
  ])("DF1 $bytes bytes on $target: 1009 when the output passes the limit", async ({ target, bytes }) => {
    expect(await closeCodeOf(await armed(target, bomb(bytes)))).toBe(1009);
  });

  it("DF1 on 100 sockets at once: one output at a time", async () => {
    const before = abused.residentBytes();
    const bytes = bomb(2 ** 20);
    const peers = await Promise.all(
      Array.from({ length: 100 * scale }, () => upgrade(abused.where, "/ws", offer)),
    );
    for (const peer of peers) peer.send(bytes);
    const codes = await Promise.all(peers.map((peer) => closeCodeOf(peer)));
    expect(new Set(codes)).toEqual(new Set([1009]));
    expect(abused.residentBytes() - before).toBeLessThan(32 * 2 ** 20);
  });
});

it("DF2 small frames that inflate over and over: what comes out counts against the rate, 4505", async () => {
  const peer = await upgrade(abused.where, "/ws", offer);
  const message = frame(compressedText, deflated(`{"id":1,"method":"ping"${" ".repeat(60_000)}}`));
  for (let count = 0; count < 40; count++) peer.send(message);
  expect(await closeCodeOf(peer)).toBe(4505);
});

describe("DF3 what does not inflate", () => {
  const good = deflated("hello hello hello hello");
  it.each([
    { row: "a reserved block type", bytes: Buffer.of(0x07, 0x00) },
    { row: "noise", bytes: Buffer.from("fe23a1b2c3d4e5f60718", "hex") },
    { row: "cut off", bytes: good.subarray(0, good.length - 3) },
    { row: "a stored block whose lengths disagree", bytes: Buffer.from("000500ff00aabbccdd", "hex") },
    {
      row: "more behind the last block",
      bytes: Buffer.concat([deflateRawSync("hello"), Buffer.from("deadbeef", "hex")]),
    },
    { row: "a distance before the beginning", bytes: Buffer.from("4b04c4ffff00", "hex") },
  ])("DF3 $row: 1007", async ({ bytes }) => {
    const code = await closeCodeOf(await armed("/echo", frame(0x80 | 0x40 | opcode.binary, bytes)));
    expect([1002, 1007]).toContain(code);
  });

  it("DF3 text that is not UTF-8 once it is inflated: 1007", async () => {
    expect(await closeCodeOf(await armed("/echo", frame(compressedText, deflated(Buffer.of(0xff)))))).toBe(
      1007,
    );
  });
});

describe("DF4 nothing, compressed", () => {
  it.each([
    { row: "a message of the one byte that stands for it", frames: [frame(compressedText, Buffer.of(0))] },
    { row: "a message without a byte", frames: [frame(compressedText)] },
    { row: "empty fragments", frames: [frame(0x40 | opcode.text), frame(0), frame(0x80, Buffer.of(0))] },
  ])("DF4 $row: an empty message", async ({ frames }) => {
    const peer = await upgrade(abused.where, "/echo", offer);
    for (const each of frames) peer.send(each);
    await peer.until(() => peer.events.length === 1);
    expect(peer.events).toEqual([{ kind: "text", text: "" }]);
    peer.socket.destroy();
  });
});

describe("DF5 parameters", () => {
  it.each([
    { offered: "permessage-deflate; client_max_window_bits=7", status: 101, agreed: false },
    { offered: "permessage-deflate; client_max_window_bits=16", status: 101, agreed: false },
    { offered: "permessage-deflate; server_max_window_bits=08", status: 101, agreed: false },
    { offered: "permessage-deflate; server_max_window_bits", status: 101, agreed: false },
    { offered: "permessage-deflate; server_no_context_takeover=1", status: 101, agreed: false },
    { offered: "permessage-deflate; unknown", status: 101, agreed: false },
    {
      offered: "permessage-deflate; client_max_window_bits=10; client_max_window_bits=10",
      status: 101,
      agreed: false,
    },
    { offered: "permessage-deflate; server_max_window_bits=", status: 400, agreed: false },
    { offered: "permessage-deflate; =10", status: 400, agreed: false },
    { offered: 'permessage-deflate; client_max_window_bits="10', status: 400, agreed: false },
    { offered: 'permessage-deflate; client_max_window_bits="10"', status: 101, agreed: true },
    { offered: "permessage-deflate; client_max_window_bits", status: 101, agreed: true },
    { offered: "permessage-deflate; unknown, permessage-deflate", status: 101, agreed: true },
  ])("DF5 $offered: $status, agreed $agreed", async ({ offered, status, agreed }) => {
    const answer = await answerTo(abused.where, handshake({ "Sec-WebSocket-Extensions": offered }));
    expect(answer.status).toBe(status);
    expect(/\r\nSec-WebSocket-Extensions: permessage-deflate/iu.test(answer.text)).toBe(agreed);
  });
});

describe("DF6 small windows", () => {
  const payload = "a small window and what lies behind it. ".repeat(1000);
  it.each([8, 9, 10, 11, 12, 13, 14, 15])(
    "DF6 server_max_window_bits=%i is held on echo and broadcast",
    async (bits) => {
      const lines = {
        "Sec-WebSocket-Extensions": `permessage-deflate; server_max_window_bits=${bits}; server_no_context_takeover`,
      };
      for (const target of ["/echo", "/raw/quote.WINDOW"]) {
        const wire = await Wire.open(target, lines);
        if (target === "/echo") wire.send(text(payload));
        else
          expect((await publish(abused.server.http, "quote.WINDOW", JSON.stringify(payload))).status).toBe(
            200,
          );
        const [first, bytes] = await wire.nextFrame();
        const isCompressed = (first & 0x40) !== 0;
        // zlib takes 8 for 9 when it deflates, not when it inflates.
        const plain = isCompressed
          ? inflateRawSync(bytes, { windowBits: bits, finishFlush: constants.Z_SYNC_FLUSH })
          : bytes;
        expect(plain.toString()).toBe(target === "/echo" ? payload : JSON.stringify(payload));
        if (bits < 12) expect(isCompressed, "the shared bytes have a window of 12 bits").toBe(false);
        wire.destroy();
      }
    },
  );
});

describe("DF7 many offers", () => {
  it.each([
    { row: "deflate 50 times", offered: Array.from({ length: 50 }, () => "permessage-deflate").join(", ") },
    {
      row: "9 KB of others first",
      offered: `${Array.from({ length: 600 }, (_, index) => `x-unknown-${index}`).join(", ")}, permessage-deflate`,
    },
  ])("DF7 $row: one is taken, in less than 5 ms", async ({ offered }) => {
    const count = 40;
    const beforeMs = abused.cpuMs();
    const answers = await Promise.all(
      Array.from({ length: count }, () =>
        answerTo(abused.where, handshake({ "Sec-WebSocket-Extensions": offered })),
      ),
    );
    expect((abused.cpuMs() - beforeMs - 100) / count).toBeLessThan(5);
    for (const { text: answer } of answers) {
      expect(answer.match(/permessage-deflate/gu), answer.slice(0, 60)).toHaveLength(1);
    }
  });
});

describe("DF8 gone in the middle", () => {
  it.each([
    { row: "a reset while the echo is deflated", leave: "reset" },
    { row: "a close frame behind the message", leave: "close" },
    { row: "FIN in the middle of a compressed message", leave: "fin" },
  ])("DF8 $row: nothing is left", async ({ leave }) => {
    const whole = frame(compressedText, deflated("some text that shrinks ".repeat(5000)));
    for (let round = 0; round < 30; round++) {
      const peer = await upgrade(abused.where, "/echo", offer);
      if (leave === "fin") {
        peer.send(whole.subarray(0, whole.length - 2));
        peer.socket.end();
      } else peer.send(whole);
      if (leave === "close") peer.sendClose(1000);
      if (leave === "reset") peer.socket.resetAndDestroy();
      else await peer.until(() => peer.isEnded || peer.isClosed);
      peer.socket.destroy();
    }
  });
});

it("DF9 many clients, shared compressed bytes: each sees its own topics only", async () => {
  const names = ["quote.ONE", "quote.TWO"];
  const peers = await Promise.all(
    Array.from({ length: 40 }, async (_, index) => {
      const name = names[index % 2] ?? "";
      const peer = await upgrade(abused.where, `/ws?batch=1&topics=${name}`, offer);
      await peer.until(() => peer.events.length === 2);
      return { name, peer };
    }),
  );
  const filler = "the same words again and again ".repeat(60);
  const lines = names.map((name) => JSON.stringify({ topic: name, data: `${name} ${filler}` }));
  for (let round = 0; round < 10; round++) {
    expect((await publishLines(abused.server.http, lines)).status).toBe(200);
    await delay(30);
  }
  for (const { name, peer } of peers) {
    await peer.until(() => peer.events.some((event) => event.text.includes('"seq":10,')));
    const all = peer.events.map((event) => event.text).join("\n");
    for (const other of names)
      expect(all.includes(`${other} the same`), `${name} sees ${other}`).toBe(other === name);
    peer.socket.destroy();
  }
});

it("DF10 what clients wrote and what they must not guess share no compressed message (CRIME)", async () => {
  const wire = await Wire.open("/ws?batch=1&topics=quote.SECRET,chat.crime", offer);
  for (let count = 0; count < 2; count++) await wire.nextFrame();
  const filler = "words that shrink well ".repeat(60);
  const lines = [
    JSON.stringify({ topic: "quote.SECRET", data: `secret ${filler}` }),
    JSON.stringify({ topic: "chat.crime", data: `guess ${filler}` }),
  ];
  expect((await publishLines(abused.server.http, lines)).status).toBe(200);
  let seen = "";
  while (!seen.includes("secret") || !seen.includes("guess")) {
    const [first, bytes] = await wire.nextFrame();
    const isCompressed = (first & 0x40) !== 0;
    const plain = isCompressed ? inflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH }) : bytes;
    if (isCompressed) expect(plain.toString()).not.toContain("guess");
    seen += plain.toString();
  }
  wire.destroy();
});

async function armed(target: string, bytes: Buffer): ReturnType<typeof upgrade> {
  const peer = await upgrade(abused.where, target, offer);
  peer.send(bytes);
  return peer;
}

/** A connection whose frames are looked at as they came. */
class Wire {
  readonly #socket;
  #bytes = Buffer.alloc(0);
  #wake: () => void = () => undefined;

  private constructor() {
    this.#socket = connect(abused.server.port, "127.0.0.1");
    this.#socket.on("error", () => undefined);
    this.#socket.on("data", (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
  }

  static async open(target: string, lines: Readonly<Record<string, string>>): Promise<Wire> {
    const wire = new Wire();
    wire.send(Buffer.from(handshake(lines, `GET ${target} HTTP/1.1`)));
    await wire.#until(() => wire.#bytes.includes("\r\n\r\n"));
    wire.#bytes = wire.#bytes.subarray(wire.#bytes.indexOf("\r\n\r\n") + 4);
    return wire;
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** The first byte and the payload of the next frame, which is not masked. */
  async nextFrame(): Promise<[first: number, payload: Buffer]> {
    await this.#until(() => this.#frameEnd() <= this.#bytes.length);
    const end = this.#frameEnd();
    const taken = this.#bytes.subarray(0, end);
    this.#bytes = this.#bytes.subarray(end);
    return [taken[0] ?? 0, taken.subarray(this.#headerBytes(taken))];
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #headerBytes(bytes: Buffer): number {
    const short = (bytes[1] ?? 0) & 0x7f;
    return short < 126 ? 2 : short === 126 ? 4 : 10;
  }

  #frameEnd(): number {
    const bytes = this.#bytes;
    if (bytes.length < 2 || bytes.length < this.#headerBytes(bytes)) return Number.POSITIVE_INFINITY;
    const short = (bytes[1] ?? 0) & 0x7f;
    const length =
      short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    return this.#headerBytes(bytes) + length;
  }

  async #until(check: () => boolean): Promise<void> {
    const endMs = performance.now() + 10_000;
    while (!check()) {
      if (performance.now() > endMs) throw new Error(`no frame came, ${this.#bytes.length} bytes did`);
      await Promise.race([new Promise<void>((resolve) => (this.#wake = resolve)), delay(100)]);
    }
  }
}
