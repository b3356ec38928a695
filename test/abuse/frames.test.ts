/** Rows FR1 to FR25 of docs/ABUSE.md: frames. */
import { constants, deflateRawSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { RawPeer } from "../connection/raw-peer.ts";
import { run } from "../e2e/run.ts";
import { delay } from "../e2e/until.ts";
import { mutate, piecesOf, randomCuts } from "../fuzz/mutate.ts";
import { Random } from "../fuzz/random.ts";
import { AbusedServer } from "./abused-server.ts";
import { closeCodeAfter, closeCodeOf, frame, scale, text, upgrade } from "./raw.ts";

let abused: AbusedServer;
/** Soon tired of peers that do not go on. */
let impatient: AbusedServer;

beforeAll(async () => {
  [abused, impatient] = await Promise.all([
    AbusedServer.start(),
    AbusedServer.start({
      sets: {
        "heartbeat.intervalMs": 2000,
        "heartbeat.timeoutMs": 4000,
        "limits.messageTimeoutMs": 1000,
      },
    }),
  ]);
}, 60_000);
afterEach(async () => {
  await abused.expectNobodyHurt();
  await impatient.expectNobodyHurt();
});
afterAll(async () => {
  try {
    await abused.expectBackToStart();
    await impatient.expectBackToStart();
  } finally {
    await abused.end();
    await impatient.end();
  }
}, 90_000);

const final = 0x80;
const textFrame = final | opcode.text;

/** Both endpoints read frames with the same codec, but not with the same limits. */
async function expectCode(code: number | "open", ...chunks: readonly Uint8Array[]): Promise<void> {
  expect(await closeCodeAfter(abused.where, "/ws", ...chunks), "on /ws").toBe(code);
  expect(await closeCodeAfter(abused.where, "/echo", ...chunks), "on /echo").toBe(code);
}

it("FR1 an unmasked frame: 1002", async () => {
  await expectCode(1002, frame(textFrame, "hello", { isMasked: false }));
});

describe("FR2 reserved bits", () => {
  it.each([
    { row: "RSV1 without deflate", bytes: frame(textFrame | 0x40, "x") },
    { row: "RSV2", bytes: frame(textFrame | 0x20, "x") },
    { row: "RSV3", bytes: frame(textFrame | 0x10, "x") },
    { row: "RSV1 on a continuation", bytes: Buffer.concat([text("x", false), frame(final | 0x40, "x")]) },
    { row: "RSV1 on a ping", bytes: frame(final | 0x40 | opcode.ping, "x") },
  ])("FR2 $row: 1002", ({ bytes }) => expectCode(1002, bytes));
});

describe("FR3 opcodes that mean nothing", () => {
  it.each([3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf])("FR3 %i: 1002", (code) =>
    expectCode(1002, frame(final | code, "x")),
  );
});

describe("FR4 a longer form of the length than needed", () => {
  it.each([
    { row: "16 bits for 125", bytes: frame(textFrame, Buffer.alloc(125, "x"), { form: 16 }) },
    { row: "16 bits for 0", bytes: frame(textFrame, "", { form: 16 }) },
    { row: "64 bits for 126", bytes: frame(textFrame, Buffer.alloc(126, "x"), { form: 64 }) },
    { row: "64 bits for 65,535", bytes: frame(textFrame, Buffer.alloc(65_535, "x"), { form: 64 }) },
  ])("FR4 $row: 1002", ({ bytes }) => expectCode(1002, bytes));
});

describe("FR5 lengths beyond all reason, from the header alone", () => {
  it.each([
    { row: "the top bit", claims: 2n ** 63n, codes: [1002] },
    { row: "all bits", claims: 2n ** 64n - 1n, codes: [1002] },
    { row: "2^63 - 1", claims: 2n ** 63n - 1n, codes: [1002, 1009] },
    { row: "2^53", claims: 2n ** 53n, codes: [1009] },
    { row: "2^32", claims: 2n ** 32n, codes: [1009] },
  ])("FR5 $row: $codes", async ({ claims, codes }) => {
    const bytes = frame(textFrame, "", { claims, form: 64 });
    expect(codes).toContain(await closeCodeAfter(abused.where, "/ws", bytes));
    expect(codes).toContain(await closeCodeAfter(abused.where, "/echo", bytes));
  });
});

describe("FR6 one byte over the limit, claimed and never sent", () => {
  it.each([
    { target: "/ws", limit: 65_536 },
    { target: "/echo", limit: 16_777_216 },
  ])("FR6 $target: 1009 at once, nothing reserved", async ({ target, limit }) => {
    const before = abused.residentBytes();
    for (let round = 0; round < 20; round++) {
      expect(await closeCodeAfter(abused.where, target, frame(textFrame, "", { claims: limit + 1 }))).toBe(
        1009,
      );
    }
    // 20 reserved ones would be more; 8 MB are for code that is needed for the first time.
    expect(abused.residentBytes() - before).toBeLessThan(8 * limit + 8 * 2 ** 20);
  });
});

describe("FR7 a promise and then silence", () => {
  it("FR7 memory is what came, not what was promised", async () => {
    const before = await abused.keptBytes();
    const peers = await Promise.all(
      Array.from({ length: 100 }, () => RawPeer.upgrade(abused.where, "/echo")),
    );
    for (const peer of peers) peer.send(frame(textFrame, "x".repeat(100), { claims: 16_777_216 }));
    await delay(200);
    const during = await abused.keptBytes();
    const cost =
      [...during].reduce((all, [pid, kept]) => all + kept - (before.get(pid) ?? 0), 0) / peers.length;
    for (const peer of peers) peer.socket.destroy();
    expect(cost).toBeLessThan(65_536);
  });

  it("FR7 limits.messageTimeoutMs ends it with 1008, also one that dribbles", async () => {
    const silent = await RawPeer.upgrade(impatient.where, "/ws");
    const dribbling = await RawPeer.upgrade(impatient.where, "/ws");
    const startMs = performance.now();
    silent.send(frame(textFrame, "", { claims: 65_536 }));
    dribbling.send(frame(textFrame, "", { claims: 65_536 }));
    const dribble = setInterval(() => dribbling.send("x"), 100);
    for (const peer of [silent, dribbling]) {
      await peer.until(() => peer.events.some(({ kind }) => kind === "close"));
      expect(peer.events.at(-1)).toEqual({ kind: "close", code: 1008, text: "message_timeout" });
    }
    clearInterval(dribble);
    expect(performance.now() - startMs).toBeGreaterThan(900);
    for (const peer of [silent, dribbling]) peer.socket.destroy();
  });
});

describe("FR8 control frames", () => {
  it.each([
    { row: "a ping of 126 bytes", bytes: frame(final | opcode.ping, Buffer.alloc(126)) },
    { row: "a close of 126 bytes", bytes: frame(final | opcode.close, Buffer.alloc(126)) },
    { row: "a fragmented ping", bytes: frame(opcode.ping, "x") },
    { row: "a fragmented close", bytes: frame(opcode.close, Buffer.from("03e8", "hex")) },
  ])("FR8 $row: 1002", ({ bytes }) => expectCode(1002, bytes));
});

describe("FR9 fragments out of order", () => {
  it.each([
    { row: "a continuation first", bytes: frame(final, "x") },
    { row: "an unfinished continuation first", bytes: frame(0, "x") },
    { row: "a new message inside of one", bytes: Buffer.concat([text("a", false), text("b")]) },
    {
      row: "a continuation behind the last one",
      bytes: Buffer.concat([text("a", false), frame(final, "b"), frame(final, "c")]),
    },
  ])("FR9 $row: 1002", async ({ row, bytes }) => {
    const target = row.includes("last one") ? "/echo" : "/ws";
    expect(await closeCodeAfter(abused.where, target, bytes)).toBe(1002);
  });
});

describe("FR10 131,000 fragments that never end", () => {
  it.each([
    { row: "empty ones", payload: "" },
    { row: "of one byte", payload: "x" },
  ])("FR10 $row: 1008 at the limit of their number", async ({ payload }) => {
    const bytes = Buffer.concat([
      text(payload, false),
      ...Array.from({ length: 131_000 }, () => frame(0, payload)),
    ]);
    const before = await abused.keptBytes();
    expect(await closeCodeAfter(abused.where, "/echo", bytes)).toBe(1008);
    // On /ws as well, or the limit of bytes a second comes first.
    expect([1008, 4505]).toContain(await closeCodeAfter(abused.where, "/ws", bytes));
    for (const [pid, kept] of await abused.keptBytes()) {
      expect(kept - (before.get(pid) ?? 0)).toBeLessThan(2 ** 20);
    }
  });

  it("FR10 at the limit it is a message, one more is 1008", async () => {
    const peer = await RawPeer.upgrade(abused.where, "/echo");
    peer.send(fragments(1024));
    await peer.until(() => peer.events.length === 1);
    expect(peer.events).toEqual([{ kind: "text", text: "" }]);
    peer.send(fragments(1025));
    expect(await closeCodeOf(peer)).toBe(1008);
  });
});

it("FR11 fragments that together pass the limit: 1009 at the one that does", async () => {
  const part = Buffer.alloc(30_000, "x");
  const peer = await RawPeer.upgrade(abused.where, "/ws");
  peer.send(Buffer.concat([text(part, false), frame(0, part)]));
  await delay(100);
  expect(peer.events.some(({ kind }) => kind === "close")).toBe(false);
  // The header of the third is enough.
  peer.send(frame(0, "", { claims: 30_000 }));
  expect(await closeCodeOf(peer)).toBe(1009);
});

it("FR12 a message of 64 KiB, one byte in each segment", { timeout: 60_000 }, async () => {
  const bytes = encodeMaskedFrame(opcode.binary, Buffer.alloc(65_536, 7), 0x01020304);
  const peer = await RawPeer.upgrade(abused.where, "/echo");
  for (let index = 0; index < bytes.length; index++) {
    peer.send(bytes.subarray(index, index + 1));
    if (index % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await peer.until(() => peer.events.length === 1, 30_000);
  expect(peer.events[0]).toEqual({ kind: "binary", text: "\u0007".repeat(65_536) });
  peer.socket.destroy();
});

it("FR12 a large message on /echo?trace=1: back whole, and of its frames the first 128 KiB", async () => {
  // The hex of all of 16 MiB was 185 ms of everybody's time.
  const peer = await RawPeer.upgrade(abused.where, "/echo?trace=1");
  peer.send(frame(0x82, Buffer.alloc(4 * 2 ** 20, 7)));
  await peer.until(() => peer.events.some(({ kind }) => kind === "text"), 30_000);
  const [echo, trace] = peer.events.filter(({ kind }) => kind !== "ping");
  expect([echo?.kind, echo?.text === "\u0007".repeat(4 * 2 ** 20)]).toEqual(["binary", true]);
  const frames = JSON.parse(trace?.text ?? "") as { in: string; out: string };
  // FIN and binary, a length of 64 bits; masked with zeros.
  expect(frames.out).toBe(`827f0000000000400000${"07".repeat(131_072)}`);
  expect(frames.in).toBe(`82ff000000000040000000000000${"07".repeat(131_072 + 1024 * 14 - 14)}`);
  peer.socket.destroy();
});

it("FR13 three frames cut at every point: as if uncut", async () => {
  const bytes = Buffer.concat([
    text("käse", false),
    frame(final | opcode.ping, "p"),
    frame(final, Buffer.alloc(130, "y")),
  ]);
  for (let cut = 1; cut < bytes.length; cut++) {
    const peer = await RawPeer.upgrade(abused.where, "/echo", bytes.subarray(0, cut));
    await new Promise((resolve) => setImmediate(resolve));
    peer.send(bytes.subarray(cut));
    await peer.until(() => peer.events.length === 2);
    expect(peer.events, `cut at ${cut}`).toEqual([
      { kind: "pong", text: "p" },
      { kind: "text", text: `käse${"y".repeat(130)}` },
    ]);
    peer.socket.destroy();
  }
});

describe("FR14 text that is not UTF-8", () => {
  it.each([
    { row: "a lone surrogate", hex: "eda080" },
    { row: "an overlong NUL", hex: "c080" },
    { row: "beyond U+10FFFF", hex: "f4908080" },
    { row: "F5", hex: "f5" },
    { row: "a continuation byte first", hex: "80" },
    { row: "cut off at the end", hex: "e282" },
  ])("FR14 $row: 1007", ({ hex }) => expectCode(1007, text(Buffer.from(hex, "hex"))));

  it("FR14 fails at the first bad byte, not at the end of the message", async () => {
    await expectCode(1007, frame(textFrame, Buffer.from("6161eda0", "hex"), { claims: 60_000 }));
    await expectCode(1007, text(Buffer.from("ce", "hex"), false), frame(0, Buffer.from("ff", "hex")));
  });
});

it("FR15 a character spread over fragments and packets, with pings between", async () => {
  const peer = await RawPeer.upgrade(abused.where, "/echo");
  const [a, b, c, d] = Buffer.from("😀");
  peer.send(text(Buffer.of(a!), false));
  await delay(10);
  peer.send(Buffer.concat([frame(final | opcode.ping, "1"), frame(0, Buffer.of(b!))]));
  await delay(10);
  peer.send(frame(0, Buffer.of(c!)));
  peer.send(frame(final | opcode.ping, "2"));
  peer.send(frame(final, Buffer.of(d!)));
  await peer.until(() => peer.events.length === 3);
  expect(peer.events.map((event) => event.text)).toEqual(["1", "2", "😀"]);
  peer.socket.destroy();
});

describe("FR16 payloads of close frames", () => {
  it.each([
    { row: "one byte", payload: Buffer.of(3), code: 1002 },
    {
      row: "126 bytes",
      payload: Buffer.concat([Buffer.from("03e8", "hex"), Buffer.alloc(124, "x")]),
      code: 1002,
    },
    { row: "a reason that is not UTF-8", payload: Buffer.from("03e8ff", "hex"), code: 1007 },
  ])("FR16 $row: $code", ({ payload, code }) => expectCode(code, frame(final | opcode.close, payload)));
});

describe("FR17 close codes", () => {
  it.each([0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535])("FR17 %i: 1002", (code) =>
    expectCode(1002, closeWith(code)),
  );
  it.each([1000, 1001, 1002, 1003, 1007, 1008, 1014, 3000, 4999])("FR17 %i is repeated", (code) =>
    expectCode(code, closeWith(code)),
  );
});

describe("FR18 after a close frame", () => {
  const close = frame(final | opcode.close, Buffer.from("03e8", "hex"));
  it("FR18 data and a second close are ignored, we send FIN first", async () => {
    const peer = await RawPeer.upgrade(abused.where, "/echo");
    peer.send(Buffer.concat([close, text("late"), close]));
    await peer.until(() => peer.isEnded);
    expect(peer.events).toEqual([{ kind: "close", code: 1000, text: "" }]);
    peer.socket.destroy();
  });

  it("FR18 a peer that never sends FIN is cut within 5 s", async () => {
    const peer = await RawPeer.upgrade(abused.where, "/echo");
    peer.send(close);
    const startMs = performance.now();
    await peer.until(() => peer.isEnded);
    // Half-open from here: written until the server resets it.
    const write = setInterval(() => peer.send(text("x")), 50);
    await peer.untilClosed(6000);
    clearInterval(write);
    expect(performance.now() - startMs).toBeLessThan(5000);
  });
});

it("FR19 FIN without a close frame frees everything within a second", async () => {
  const peers = await Promise.all(
    Array.from({ length: 20 }, () => RawPeer.upgrade(abused.where, "/ws?topics=quote.FIN")),
  );
  for (const peer of peers) peer.socket.end();
  for (const peer of peers) await peer.untilClosed(2000);
});

describe("FR20 control frames without end", () => {
  it.each([
    { row: "100,000 pings of 125 bytes", bytes: frame(final | opcode.ping, Buffer.alloc(125)) },
    { row: "100,000 pongs", bytes: frame(final | opcode.pong, "x") },
  ])("FR20 $row: 4505, and hardly an answer", async ({ bytes }) => {
    const peer = await RawPeer.upgrade(abused.where, "/ws");
    peer.send(Buffer.concat(Array.from({ length: 100_000 }, () => bytes)));
    expect(await closeCodeOf(peer)).toBe(4505);
    expect(peer.events.filter(({ kind }) => kind === "pong").length).toBeLessThanOrEqual(20);
  });
});

describe("FR21 pongs", () => {
  it("FR21 one with a wrong payload is ignored; none at all: 4002", async () => {
    const wrong = await RawPeer.upgrade(impatient.where, "/ws");
    const silent = await RawPeer.upgrade(impatient.where, "/ws");
    await wrong.until(() => wrong.events.some(({ kind }) => kind === "ping"));
    wrong.sendControl(opcode.pong, "something else");
    await silent.until(() => silent.events.some(({ kind }) => kind === "close"), 15_000);
    expect(silent.events.at(-1)).toMatchObject({ code: 4002 });
    expect(wrong.isClosed).toBe(false);
    expect(await closeCodeOf(wrong)).toBe("open");
    silent.socket.destroy();
  });
});

it(
  "FR22 mutated streams at random cuts, compressed ones too: nobody falls",
  { timeout: 120_000 },
  async () => {
    const seed = Number(process.env["ABUSE_SEED"] ?? Date.now() % 2 ** 31);
    const count = 1000 * scale;
    console.info(`FR22: ABUSE_SEED=${seed}, ${count} streams`);
    const compressed = deflateRawSync('"' + "a".repeat(300) + '"', { finishFlush: constants.Z_SYNC_FLUSH });
    const stream = Buffer.concat([
      text('{"id":1,"method":"subscribe","params":{"topics":["quote.FUZZ","chat.fuzz"]}}'),
      text('{"id":2,"method":"pub', false),
      frame(final | opcode.ping, "p"),
      frame(final, 'lish","params":{"topic":"chat.fuzz","data":"哈"}}'),
      frame(final | 0x40 | opcode.text, compressed.subarray(0, -4)),
      frame(final | opcode.close, Buffer.from("03e8", "hex")),
    ]);
    const targets = ["/ws", "/echo", "/echo?trace=1", "/raw/quote.FUZZ", "/ws?batch=1&topics=chat.fuzz"];
    for (let first = 0; first < count; first += 20) {
      await Promise.all(
        Array.from({ length: 20 }, async (_, index) => {
          const random = new Random(seed, first + index);
          const bytes = mutate(random, stream);
          const offers: Record<string, string> = {};
          if (random.chance(50)) offers["Sec-WebSocket-Extensions"] = "permessage-deflate";
          const peer = await upgrade(abused.where, targets[random.int(targets.length)] ?? "/ws", offers);
          for (const piece of piecesOf(bytes, randomCuts(random, bytes.length))) {
            peer.send(piece);
            if (random.chance(30)) await new Promise((resolve) => setImmediate(resolve));
          }
          peer.socket.end();
          await peer.until(() => peer.isEnded || peer.isClosed, 10_000);
          peer.socket.destroy();
        }),
      );
    }
  },
);

it(
  "FR22 a million of them without sockets: nothing thrown, none over 50 ms",
  { timeout: 600_000 },
  async () => {
    const seed = process.env["ABUSE_SEED"] ?? String(Date.now() % 2 ** 31);
    console.info(`FR22: ABUSE_SEED=${seed}, 1,000,000 streams without sockets`);
    // A process of its own: the neighbours' feed goes on in this one.
    const fuzz = ["--import", "tsx", "test/fuzz/main.ts", "--target", "frames", "--seed", seed];
    const args = [...fuzz, "--iterations", "1000000", "--seconds", "3600"];
    const end = await run(process.execPath, args, { withinMs: 590_000 });
    expect(end).toMatchObject({ code: 0, stderr: "" });
    expect(end.stdout).toMatch(/^frames +1000000 inputs/mu);
  },
);

describe("FR23 masks and sizes", () => {
  it.each([0, 0x01020304, 0xff00ff00, 0x000000ff])(
    "FR23 key %i: echoed byte for byte at every size",
    async (key) => {
      const peer = await RawPeer.upgrade(abused.where, "/echo");
      const sizes = [0, 1, 2, 3, 4, 5, 125, 126, 127, 65_535, 65_536, 65_537];
      for (const [index, size] of sizes.entries()) {
        const payload = "abcdefghijklmnopqrstuvwxyz".repeat(Math.ceil(size / 26)).slice(0, size);
        peer.send(encodeMaskedFrame(opcode.text, Buffer.from(payload), key));
        await peer.until(() => peer.events.length === index + 1);
        expect(peer.events[index]?.text === payload, `${size} bytes`).toBe(true);
      }
      peer.socket.destroy();
    },
  );
});

it("FR24 a binary message where there is only text: 1003", async () => {
  expect(await closeCodeAfter(abused.where, "/ws", frame(final | opcode.binary, "x"))).toBe(1003);
});

it("FR25 a close frame of ours holds its reason and nothing else", async () => {
  const secret = "s3cret".repeat(1000);
  const talker = await RawPeer.upgrade(abused.where, "/echo");
  for (let bytes = 1; bytes <= 123; bytes++) {
    talker.send(text(secret));
    const reason = "r".repeat(bytes);
    const peer = await RawPeer.upgrade(abused.where, "/echo");
    peer.sendClose(1000, reason);
    await peer.until(() => peer.events.length === 1);
    expect(peer.events).toEqual([{ kind: "close", code: 1000, text: reason }]);
    peer.socket.destroy();
  }
  talker.socket.destroy();
});

/** A message in so many empty fragments. */
function fragments(count: number): Buffer {
  return Buffer.concat([text("", false), ...Array.from({ length: count - 2 }, () => frame(0)), frame(final)]);
}

function closeWith(code: number): Buffer {
  return frame(final | opcode.close, Buffer.of(code >> 8, code & 255));
}
