/** RFC 7692: compressed messages in and out, golden bytes, bombs and rubbish. */
import { randomBytes } from "node:crypto";
import { createDeflateRaw, createInflateRaw, constants, deflateRawSync, inflateRawSync } from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createEngine, deflateBytesMax, deflateBytesMin, deflateFrame } from "../../src/codec/deflate.ts";
import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import { InflateEngine } from "../../src/codec/inflate-engine.ts";
import { inflateMessage } from "../../src/codec/inflate.ts";
import type { MessageReaderOptions } from "../../src/codec/message-reader.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { violation } from "../../src/codec/violation.ts";
import { hex, readChunks, readEveryWay, serverOptions } from "./reader-harness.ts";

const options: MessageReaderOptions = { ...serverOptions, allowCompressed: true };
const clientOptions: MessageReaderOptions = { ...options, role: "client" };
const hello = "48656c6c6f";
const rsv1 = 0x40;

/** A client's compressed message of one frame. */
function compressedFrame(payload: Uint8Array, frameOpcode: number = opcode.text): Buffer {
  return encodeMaskedFrame(rsv1 | frameOpcode, payload, 0x37fa213d);
}

/** As RFC 7692 §7.2.1 says, by zlib's defaults. */
function compress(bytes: Uint8Array, level = 6): Buffer {
  return deflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH, level }).subarray(0, -4);
}

/** Options with a limit. */
const limited = (messageBytesMax: number): MessageReaderOptions => ({ ...options, messageBytesMax });

/** As many quotes, one a line. */
const quotes = (count: number): Buffer =>
  Buffer.from(
    Array.from({ length: count }, (_, index) =>
      JSON.stringify({
        topic: `quote.S${index}`,
        seq: 1000 + index * 7,
        data: { price: 100 + index / 8, time: 1795338789954 + index },
      }),
    ).join("\n"),
  );

describe("RFC 7692 §7.2.3 examples", () => {
  const rows: readonly (readonly [name: string, wire: string, events: string[]])[] = [
    // c1 FIN, RSV1, text; 07 bytes
    ["§7.2.3.1 a message of one DEFLATE block", "c1 07 f248cdc9c90700", [`text ${hello}`]],
    // 41 RSV1, text, no FIN; 80 FIN, continuation: RSV1 on the first frame only
    ["§7.2.3.1 in two fragments", "41 03 f248cd  80 04 c9c90700", [`text ${hello}`]],
    // 00 stored, not final; LEN 5, NLEN; then the header of the empty block whose tail was cut off
    ["§7.2.3.3 a block without compression", "c1 0b 000500faff 48656c6c6f 00", [`text ${hello}`]],
    // f3: BFINAL 1; the last 00 begins the empty block behind it
    ["§7.2.3.4 a final block", "c1 08 f348cdc9c9070000", [`text ${hello}`]],
    ["§7.2.3.5 two blocks", "c1 0d f248050000 00ffff cac9c90700", [`text ${hello}`]],
    ["§7.2.3.6 an empty message", "c1 01 00", ["text "]],
    // the first message, then "Hello" by reference into the first one's window, which nobody has kept
    [
      "§7.2.3.2 a window shared between messages",
      "c1 07 f248cdc9c90700  c1 05 f200110000",
      [`text ${hello}`, "violation 1007 deflate_corrupt"],
    ],
  ];
  it.each(rows)("%s", (_name, wire, events) => {
    expect(readEveryWay(hex(wire), clientOptions)).toEqual(events);
  });
});

describe("RFC 7692 §6 and §7.2.2 messages from a peer", () => {
  const halves = (payload: Buffer, at: number): Buffer =>
    Buffer.concat([
      encodeMaskedFrame(rsv1 | opcode.text, payload.subarray(0, at), 1, false),
      encodeMaskedFrame(opcode.continuation, payload.subarray(at), 2),
    ]);
  const euro = compress(Buffer.from("€".repeat(50)));

  it.each([
    [
      "plain messages beside compressed ones",
      Buffer.concat([
        encodeMaskedFrame(opcode.text, Buffer.from("Hello"), 1),
        compressedFrame(compress(Buffer.from("Hello"))),
      ]),
      [`text ${hello}`, `text ${hello}`],
    ],
    ["binary that is no UTF-8", compressedFrame(compress(hex("ff00ff")), opcode.binary), ["binary ff00ff"]],
    ["DF4: a compressed message without a byte", compressedFrame(Buffer.alloc(0)), ["text "]],
    [
      "DF4: empty compressed fragments",
      Buffer.concat([
        encodeMaskedFrame(rsv1 | opcode.text, Buffer.alloc(0), 1, false),
        encodeMaskedFrame(opcode.continuation, Buffer.alloc(0), 2, false),
        encodeMaskedFrame(opcode.continuation, Buffer.alloc(0), 3),
      ]),
      ["text "],
    ],
    [
      "DF4: an empty fragment first",
      Buffer.concat([
        encodeMaskedFrame(rsv1 | opcode.text, Buffer.alloc(0), 1, false),
        encodeMaskedFrame(opcode.continuation, hex("f248cdc9c90700"), 2),
      ]),
      [`text ${hello}`],
    ],
    ["a code point cut by a fragment", halves(euro, 2), [`text ${"e282ac".repeat(50)}`]],
    [
      "a ping between compressed fragments",
      Buffer.concat([
        encodeMaskedFrame(rsv1 | opcode.text, hex("f248cd"), 1, false),
        encodeMaskedFrame(opcode.ping, hex("2a"), 2),
        encodeMaskedFrame(opcode.continuation, hex("c9c90700"), 3),
      ]),
      ["ping 2a", `text ${hello}`],
    ],
    [
      "two final blocks, §7.2.1",
      compressedFrame(hex("f348cdc9c90700 f348cdc9c90700 00")),
      [`text ${hello}${hello}`],
    ],
  ])("takes %s", (_name, wire, events) => {
    expect(readEveryWay(wire, options)).toEqual(events);
  });

  it.each([
    [
      "§6: RSV1 on a control frame",
      encodeMaskedFrame(rsv1 | opcode.ping, Buffer.alloc(0), 1),
      "1002 reserved_bits",
    ],
    [
      "§6: RSV1 on a continuation",
      Buffer.concat([
        encodeMaskedFrame(rsv1 | opcode.text, hex("f248cd"), 1, false),
        encodeMaskedFrame(rsv1 | opcode.continuation, hex("c9c90700"), 2),
      ]),
      "1002 reserved_bits",
    ],
    ["DF3: rubbish", compressedFrame(hex("ffffffff")), "1007 deflate_corrupt"],
    ["DF3: the last byte missing", compressedFrame(hex("f248cdc9c907")), "1007 deflate_corrupt"],
    ["DF3: cut in the middle of a block", compressedFrame(hex("f248cd")), "1007 deflate_corrupt"],
    [
      "DF3: rubbish behind the message",
      compressedFrame(hex("f248cdc9c90700 deadbeef")),
      "1007 deflate_corrupt",
    ],
    [
      "DF3: rubbish behind a final block",
      compressedFrame(hex("f348cdc9c90700 deadbeef")),
      "1007 deflate_corrupt",
    ],
    [
      "DF3: a stored block whose lengths disagree",
      compressedFrame(hex("000500faf0 48656c6c6f 00")),
      "1007 deflate_corrupt",
    ],
    ["DF3: a zlib header", compressedFrame(hex("789cf248cdc9c90700")), "1007 deflate_corrupt"],
    ["text that inflates to no UTF-8", compressedFrame(compress(hex("c328"))), "1007 text_not_utf8"],
    [
      "text that inflates to a cut code point",
      compressedFrame(compress(hex("61e282"))),
      "1007 text_not_utf8",
    ],
    [
      "DF2: an inflater for every two bytes",
      compressedFrame(hex("0300".repeat(30_000))),
      "1008 too_many_final_blocks",
    ],
  ])("refuses %s", (_name, wire, verdict) => {
    const events = wire.length < 1000 ? readEveryWay(wire, options) : readChunks([wire], options);
    expect(events).toEqual([`violation ${verdict}`]);
  });

  it("without the extension RSV1 stays an error", () => {
    expect(readEveryWay(compressedFrame(hex("00")), serverOptions)).toEqual(["violation 1002 reserved_bits"]);
  });
});

describe("the limit counts what comes out", () => {
  it.each([1, 100, 1024, 16_384, 65_536, 65_537, 200_000])(
    "at the limit of %i bytes, and one past",
    (bytes) => {
      for (const content of [Buffer.alloc(bytes), randomBytes(bytes)]) {
        const wire = compressedFrame(compress(content), opcode.binary);
        expect(readChunks([wire], limited(bytes))).toEqual([`binary ${content.toString("hex")}`]);
        const past = compressedFrame(compress(Buffer.concat([content, Buffer.alloc(1)])), opcode.binary);
        expect(readChunks([past], limited(bytes))).toEqual(["violation 1009 message_too_big"]);
      }
    },
  );

  it("a message that cannot be compressed may be a little longer on the wire", () => {
    const noise = randomBytes(65_536);
    const stored = deflateRawSync(noise, {
      finishFlush: constants.Z_SYNC_FLUSH,
      memLevel: 1,
      level: 1,
    }).subarray(0, -4);
    expect(stored.length).toBeGreaterThan(noise.length);
    expect(readChunks([compressedFrame(stored, opcode.binary)], limited(65_536))).toHaveLength(1);
    // far beyond that its header is enough
    expect(readChunks([hex("c2 ff 0000000000012000")], limited(65_536))).toEqual([
      "violation 1009 message_too_big",
    ]);
  });

  it("DF1: 100 bombs of 1 MiB in 1 KB against 64 KiB take neither time nor memory", () => {
    const bomb = compressedFrame(compress(Buffer.alloc(1_048_576)));
    expect(bomb.length).toBeLessThan(1100);
    const before = process.memoryUsage();
    const startMs = performance.now();
    for (let count = 0; count < 100; count += 1) {
      expect(readChunks([bomb], limited(65_536))).toEqual(["violation 1009 message_too_big"]);
    }
    expect(performance.now() - startMs).toBeLessThan(1000);
    const after = process.memoryUsage();
    expect(after.rss - before.rss).toBeLessThan(64 * 1_048_576);
  });

  it("a bomb behind a final block, and one spread over final blocks", () => {
    const zeros = deflateRawSync(Buffer.alloc(40_000));
    const twice = compressedFrame(Buffer.concat([zeros, zeros, hex("00")]));
    expect(readChunks([twice], limited(65_536))).toEqual(["violation 1009 message_too_big"]);
    expect(readChunks([twice], limited(80_000))).toHaveLength(1);
    // nothing left, and nothing more comes
    const full = Buffer.concat([zeros, hex("00")]);
    expect(inflateMessage(full, 40_000)).toHaveLength(40_000);
    expect(inflateMessage(full, 39_999)).toBe(violation.messageTooBig);
  });

  it("no limit is no limit", () => {
    expect(inflateMessage(compress(Buffer.alloc(100_000)), Number.POSITIVE_INFINITY)).toHaveLength(100_000);
  });

  it("a limit of nothing lets nothing out", () => {
    expect(inflateMessage(compress(Buffer.from("x")), 0)).toBe(violation.messageTooBig);
    expect(inflateMessage(compress(Buffer.alloc(0)), 0)).toHaveLength(0);
  });

  it.each([
    { name: "the one byte of §7.2.3.6", payload: "00" },
    { name: "no byte at all, as some senders have it", payload: "" },
  ])("an empty message is $name", ({ payload }) => {
    expect(inflateMessage(Buffer.from(payload, "hex"), 10)).toHaveLength(0);
  });
});

describe("frames that we compress", () => {
  it("read back as they were, by ourselves and by zlib with our window", () => {
    const payload = quotes(20);
    const frame = deflateFrame(opcode.text, payload);
    expect(frame).not.toBeNull();
    expect(frame![0]).toBe(0xc1);
    expect(readEveryWay(frame!, clientOptions)).toEqual([`text ${payload.toString("hex")}`]);
    const inner = Buffer.concat([frame!.subarray(4), hex("0000ffff")]);
    expect(inflateRawSync(inner, { windowBits: 12, finishFlush: constants.Z_SYNC_FLUSH })).toEqual(payload);
  });

  it("twenty quotes shrink fourfold", () => {
    const payload = quotes(20);
    expect(deflateFrame(opcode.text, payload)!.length).toBeLessThan(payload.length / 4);
  });

  it("never look back further than a window of 4 KiB", () => {
    // The second half repeats the first, 8 KiB away: a window of 32 KiB would halve it.
    const noise = Buffer.from(randomBytes(4096).toString("hex"));
    const payload = Buffer.concat([noise, noise]);
    const frame = deflateFrame(opcode.binary, payload)!;
    const inner = Buffer.concat([frame.subarray(4), hex("0000ffff")]);
    expect(
      inflateRawSync(inner, { windowBits: 12, finishFlush: constants.Z_SYNC_FLUSH }).equals(payload),
    ).toBe(true);
  });

  it.each([
    ["too small", Buffer.alloc(deflateBytesMin - 1)],
    ["too large", Buffer.alloc(deflateBytesMax + 1)],
    ["noise", randomBytes(4000)],
    ["nothing", Buffer.alloc(0)],
  ])("are not made of what is %s", (_name, payload) => {
    expect(deflateFrame(opcode.binary, payload)).toBeNull();
  });

  it.each([deflateBytesMin, deflateBytesMax])("are made of %i bytes", (bytes) => {
    expect(deflateFrame(opcode.text, Buffer.alloc(bytes, "ab"))).not.toBeNull();
  });

  it("DF9: two equal messages are two equal frames: nothing is remembered", () => {
    const payload = quotes(10);
    const first = deflateFrame(opcode.text, payload);
    deflateFrame(opcode.text, Buffer.from("secret".repeat(200)));
    expect(deflateFrame(opcode.text, payload)).toEqual(first);
  });
});

/** Insides of a zlib stream that are not as we know them. */
const strangeStreams: readonly (readonly [string, unknown])[] = [
  ["no stream", null],
  ["no handle", {}],
  ["no write state", { _handle: { reset() {}, writeSync() {} } }],
  ["no reset", { _handle: { writeSync() {} }, _writeState: new Uint32Array(2) }],
  [
    "a handle that does nothing",
    { _handle: { reset() {}, writeSync() {} }, _writeState: new Uint32Array(2) },
  ],
];

describe("our deflater and node's", () => {
  const engine = createEngine();

  it("this Node has an inside that we know", () => {
    expect(engine).not.toBeNull();
  });

  it("make the same frames, in any order", () => {
    const text = fc.string({ minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(text, fc.nat(9000), fc.nat(4), (piece, bytes, noise) => {
        const payload = Buffer.alloc(deflateBytesMin + bytes, piece);
        randomBytes(Math.floor((payload.length * noise) / 4)).copy(payload);
        const ours = deflateFrame(opcode.text, payload, engine);
        expect(ours).toEqual(deflateFrame(opcode.text, payload, null));
      }),
      { numRuns: 500 },
    );
    const largest = Buffer.from(randomBytes(deflateBytesMax / 2).toString("hex"));
    expect(deflateFrame(opcode.text, largest, engine)).toEqual(deflateFrame(opcode.text, largest, null));
  });

  it.each(strangeStreams)("a Node whose zlib has %s is served by its public function", (_name, stream) => {
    expect(createEngine(stream)).toBeNull();
  });

  it.each([
    { name: "other bytes", lie: 0 },
    { name: "what it remembers of the last message", lie: 1 },
    { name: "no word of what does not fit", lie: 2 },
  ])("nor is one taken that gives $name", ({ lie }) => {
    const stream = createDeflateRaw({ windowBits: 12, memLevel: 5, level: 6 });
    const real = Reflect.get(stream, "_handle") as { reset(): void; writeSync(...parts: unknown[]): void };
    const state = Reflect.get(stream, "_writeState") as Uint32Array;
    let calls = 0;
    const handle = {
      reset: () => (lie === 1 && calls > 0 ? undefined : real.reset()),
      writeSync: (...parts: unknown[]) => {
        real.writeSync(...parts);
        calls += 1;
        if (lie === 0) (parts[4] as Buffer).fill(0);
        if (lie === 2 && calls === 3) state[0] = 1;
      },
    };
    expect(createEngine({ _handle: handle, _writeState: state })).toBeNull();
  });
});

describe("our inflater and node's", () => {
  const engine = InflateEngine.create();

  it("this Node has an inside that we know", () => {
    expect(engine).not.toBeNull();
  });

  it.each([65_535, 65_536, 65_537, 65_538, 131_074, 300_000])("give the same %i bytes", (bytes) => {
    const payload = Buffer.from(randomBytes(bytes / 2 + 1).toString("hex")).subarray(0, bytes);
    for (const packed of [compress(payload), compress(Buffer.alloc(bytes, "ab"))]) {
      const ours = Buffer.from(inflateMessage(packed, bytes, engine) as Uint8Array);
      expect(ours).toHaveLength(bytes);
      expect(ours.equals(inflateMessage(packed, bytes, null) as Uint8Array)).toBe(true);
      expect(inflateMessage(packed, bytes - 1, engine)).toBe(violation.messageTooBig);
      expect(inflateMessage(packed, bytes - 1, null)).toBe(violation.messageTooBig);
    }
  });

  it.each([
    ["three final blocks", [40, 40, 40], 120, 120],
    ["the limit reached in the first", [40, 40], 39, "message_too_big"],
    ["the limit reached in the second", [40, 40], 79, "message_too_big"],
    ["more final blocks than there may be", [1, 1, 1, 1, 1], 100, "too_many_final_blocks"],
  ])("give the same of %s", (_name, blocks, limit, expected) => {
    const message = Buffer.concat([
      ...blocks.map((bytes) => deflateRawSync(Buffer.alloc(bytes, "x"))),
      hex("00"),
    ]);
    for (const which of [engine, null]) {
      const result = inflateMessage(message, limit, which);
      expect("closeCode" in result ? result.reason : result.length).toBe(expected);
    }
  });

  it("a message over the limit gets no memory", () => {
    const bomb = compress(Buffer.alloc(16 * 2 ** 20));
    inflateMessage(bomb, 2 ** 20, engine);
    const before = process.memoryUsage().arrayBuffers;
    for (let count = 0; count < 20; count += 1) {
      expect(inflateMessage(bomb, 16 * 2 ** 20 - 1, engine)).toBe(violation.messageTooBig);
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
  });

  it("a bad message leaves nothing behind for the next", () => {
    const good = compress(Buffer.from("good"));
    for (const bad of [hex("ff"), good.subarray(0, -2), compress(Buffer.alloc(100_000))]) {
      expect(inflateMessage(bad, 1000, engine)).toHaveProperty("closeCode");
      expect(Buffer.from(inflateMessage(good, 1000, engine) as Uint8Array).toString()).toBe("good");
    }
  });

  it.each(strangeStreams)("a Node whose zlib has %s is served by its public function", (_name, stream) => {
    expect(InflateEngine.create(stream)).toBeNull();
  });

  it.each([
    { name: "other bytes", lie: 0 },
    { name: "an input that is never read to its end", lie: 1 },
    { name: "no word of bad data", lie: 2 },
    { name: "nothing of what does not fit at once", lie: 3 },
    { name: "a wrong place for the end of the input", lie: 4 },
  ])("nor is one taken that gives $name", ({ lie }) => {
    const stream = createInflateRaw();
    const real = Reflect.get(stream, "_handle") as {
      reset(): void;
      writeSync(...parts: unknown[]): void;
    };
    const state = Reflect.get(stream, "_writeState") as Uint32Array;
    let calls = 0;
    const handle = {
      onerror: () => undefined,
      reset: () => real.reset(),
      writeSync: (...parts: unknown[]) => {
        Reflect.set(real, "onerror", () => (lie === 2 ? undefined : handle.onerror()));
        real.writeSync(...parts);
        if (lie === 0) (parts[4] as Buffer).fill(0);
        if (lie === 1) state[1] = 1;
        if (lie === 3) state[0] = 1;
        calls += 1;
        if (lie === 4 && calls === 2) state[1] = 1;
      },
    };
    expect(InflateEngine.create({ _handle: handle, _writeState: state })).toBeNull();
  });
});

describe("rubbish", () => {
  it("any bytes are inflated or refused, never thrown, and agree with zlib", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const result = inflateMessage(bytes, 10_000);
        if ("closeCode" in result) return;
        // What we accept, zlib accepts too, by the letter of §7.2.2.
        if (bytes.length === 0) return;
        const plain = inflateRawSync(Buffer.concat([bytes, hex("0000ffff")]), {
          finishFlush: constants.Z_SYNC_FLUSH,
        });
        expect(Buffer.from(result).subarray(0, plain.length).equals(plain)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  it("a changed or cut message is refused or taken, at any chunking, and nothing is thrown", () => {
    const good = compress(
      Buffer.from(
        JSON.stringify({ id: 1, method: "subscribe", params: { topics: ["quote.AAPL", "quote.IBM"] } }),
      ),
    );
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, value, length) => {
        const payload = Buffer.from(good);
        payload[at] = value;
        const events = readChunks([compressedFrame(payload.subarray(0, length))], options);
        expect(events).toHaveLength(1);
        expect(events[0]).toMatch(/^(text|violation 100[789])/);
      }),
      { numRuns: 3000 },
    );
  });

  it("what one side compresses the other reads, at any level and fragmentation", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 3000 }),
        fc.integer({ min: 0, max: 9 }),
        fc.nat(3000),
        (bytes, level, cut) => {
          const payload = compress(bytes, level);
          const at = Math.min(cut, payload.length);
          const wire = [
            encodeMaskedFrame(rsv1 | opcode.binary, payload.subarray(0, at), 1, false),
            encodeMaskedFrame(opcode.continuation, payload.subarray(at), 2),
          ];
          expect(readChunks(wire, options)).toEqual([`binary ${Buffer.from(bytes).toString("hex")}`]);
        },
      ),
      { numRuns: 300 },
    );
  });
});
