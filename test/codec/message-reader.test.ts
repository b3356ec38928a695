/** MessageReader beyond single vectors: memory, limits under attack, stop() from inside, recorded frames. */
import { describe, expect, it } from "vitest";
import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import {
  MessageReader,
  type MessageReaderOptions,
  type MessageSink,
} from "../../src/codec/message-reader.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { bytewise, cutAt, hex, readChunks, recordingSink, serverOptions } from "./reader-harness.ts";

function start(
  options: Partial<MessageReaderOptions> = {},
  overrides: Partial<MessageSink> = {},
): { reader: MessageReader; events: string[] } {
  const events: string[] = [];
  const reader = new MessageReader(
    { ...serverOptions, ...options },
    { ...recordingSink(events), ...overrides },
  );
  return { reader, events };
}

describe("memory of a waiting connection", () => {
  it("holds nothing when idle and nothing between messages", () => {
    const { reader, events } = start();
    expect(reader.bufferedBytes).toBe(0);
    expect(reader.isMidMessage).toBe(false);
    for (const chunk of bytewise(encodeMaskedFrame(opcode.text, Buffer.from("quote"), 1))) reader.push(chunk);
    expect(events).toEqual([`text ${Buffer.from("quote").toString("hex")}`]);
    expect(reader.bufferedBytes).toBe(0);
    expect(reader.isMidMessage).toBe(false);
  });

  it("FR6: refuses one byte over the limit from the header, reserving nothing", () => {
    const { reader, events } = start({ messageBytesMax: 16_384 });
    reader.push(hex("82 fe 4001"));
    expect(events).toEqual(["violation 1009 message_too_big"]);
    expect(reader.bufferedBytes).toBe(0);
  });

  it("FR7: a header that promises 64 KiB reserves nothing, but counts as begun", () => {
    const { reader, events } = start();
    reader.push(hex("82 ff 0000000000010000 00000000"));
    expect(reader.bufferedBytes).toBe(0);
    expect(reader.isMidMessage).toBe(true);
    reader.push(Buffer.alloc(10));
    expect(reader.bufferedBytes).toBe(10);
    expect(events).toEqual([]);
  });

  it.each([
    ["one byte of a header", "81"],
    ["a header without its key", "81 85"],
    ["an empty first fragment", "01 80 00000000"],
    ["half a ping", "89 82 00000000 2a"],
  ])("is in the middle of something after %s", (_name, wire) => {
    const { reader } = start();
    reader.push(hex(wire));
    expect(reader.isMidMessage).toBe(true);
    reader.stop();
    expect(reader.isMidMessage).toBe(false);
    expect(reader.bufferedBytes).toBe(0);
  });

  it("FR12: 64 KiB one byte at a time: right, and never more than twice what has come", () => {
    const payload = Buffer.alloc(65_536, "tape");
    let message: Buffer | null = null;
    const { reader } = start({}, { onMessage: (_isText, bytes) => (message = Buffer.from(bytes)) });
    let receivedBytes = -14;
    for (const chunk of bytewise(encodeMaskedFrame(opcode.text, payload, 0x12345678))) {
      reader.push(chunk);
      receivedBytes += 1;
      if (reader.bufferedBytes > 2 * Math.max(receivedBytes, 0)) throw new Error(`at ${receivedBytes}`);
    }
    expect(message).toEqual(payload);
  });

  it("reserves no more than the message's rest once its length is known", () => {
    const { reader } = start();
    const frame = encodeMaskedFrame(opcode.binary, Buffer.alloc(1000), 1);
    reader.push(frame.subarray(0, 8 + 600));
    reader.push(frame.subarray(8 + 600, 8 + 601));
    expect(reader.bufferedBytes).toBe(1000);
  });

  it("grows by doubling over fragments: a thousand small ones are not copied a thousand times", () => {
    const { reader } = start();
    reader.push(encodeMaskedFrame(opcode.binary, Buffer.alloc(64), 1, false));
    expect(reader.bufferedBytes).toBe(64);
    reader.push(encodeMaskedFrame(opcode.continuation, Buffer.alloc(1), 1, false));
    expect(reader.bufferedBytes).toBe(128);
  });

  it("FR10: 131,000 fragments without an end stop at the limit, empty or of one byte", () => {
    for (const size of [0, 1]) {
      const { reader, events } = start({ fragmentsPerMessageMax: 128 });
      reader.push(encodeMaskedFrame(opcode.text, Buffer.alloc(size), 1, false));
      let fragmentCount = 1;
      while (events.length === 0 && fragmentCount < 131_000) {
        reader.push(encodeMaskedFrame(opcode.continuation, Buffer.alloc(size), 1, false));
        fragmentCount += 1;
        expect(reader.bufferedBytes).toBeLessThanOrEqual(256);
      }
      expect(fragmentCount).toBe(129);
      expect(events).toEqual(["violation 1008 too_many_fragments"]);
    }
  });

  it.each([
    ["of the least size, and a last one that is empty", [64, 64, 64, 64, 0], "binary"],
    ["of the least size on average", [1, 1, 254, 0, 64], "binary"],
    ["one byte below it", [64, 64, 64, 63, 0], "violation"],
    ["of one byte", [1, 1, 1, 1], "violation"],
  ])("frames past fragmentsPerMessageMax with fragmentBytesMin: %s", (_, sizes, outcome) => {
    const { reader, events } = start({ fragmentsPerMessageMax: 3, fragmentBytesMin: 64 });
    for (const [index, size] of sizes.entries()) {
      const isLast = index === sizes.length - 1;
      const bytes = Buffer.alloc(size, index);
      reader.push(encodeMaskedFrame(index === 0 ? opcode.binary : opcode.continuation, bytes, 1, isLast));
    }
    expect(events[0]?.split(" ")[0]).toBe(outcome);
    expect(events.length).toBe(1);
  });

  it("a message whole in the chunk is handed on without a copy; what outlives the push is copied", () => {
    const whole: ArrayBufferLike[] = [];
    const { reader } = start({}, { onMessage: (_isText, payload) => whole.push(payload.buffer) });
    const chunk = encodeMaskedFrame(opcode.text, Buffer.from("quote"), 7);
    reader.push(chunk);
    expect(whole[0]).toBe(chunk.buffer);
    for (const piece of cutAt(encodeMaskedFrame(opcode.text, Buffer.from("quote"), 7), [8]))
      reader.push(piece);
    expect(whole[1]!.byteLength).toBe(5);
  });
});

describe("FR23: payload sizes, alignments and keys, echoed byte for byte", () => {
  const sizes = [0, 1, 2, 3, 31, 32, 33, 125, 126, 127, 128, 65_535, 65_536, 65_537];
  it.each(sizes)("%i bytes", (size) => {
    const payload = Buffer.alloc(size, "0123456789abc");
    for (const key of [0, 1, 0x37fa213d, 0x80000000, -1]) {
      for (let padding = 0; padding < 8; padding += 1) {
        const frame = encodeMaskedFrame(opcode.binary, payload, key);
        const chunk = Buffer.alloc(padding + frame.length);
        frame.copy(chunk, padding);
        const half = padding + (frame.length >> 1);
        const expected = [`binary ${payload.toString("hex")}`];
        expect(readChunks([chunk.subarray(padding)], serverOptions)).toEqual(expected);
        expect(readChunks([chunk.subarray(padding, half), chunk.subarray(half)], serverOptions)).toEqual(
          expected,
        );
      }
    }
  });
});

describe("stop() from inside a callback", () => {
  const rest = "81 81 00000000 62";
  const rows: readonly (readonly [name: string, wire: string, callback: keyof MessageSink])[] = [
    ["onMessage", "81 81 00000000 61", "onMessage"],
    ["onPing", "89 80 00000000", "onPing"],
    ["onPong", "8a 80 00000000", "onPong"],
    ["onClose", "88 80 00000000", "onClose"],
    ["onViolation", "81 00", "onViolation"],
  ];
  it.each(rows)("%s", (_name, wire, callback) => {
    let calls = 0;
    const { reader, events } = start(
      {},
      {
        [callback]: () => {
          calls += 1;
          reader.stop();
        },
      },
    );
    reader.push(hex(wire + rest));
    reader.push(hex(rest));
    expect(calls).toBe(1);
    expect(events).toEqual([]);
  });

  it("keeps the payload of the callback readable", () => {
    const seen: string[] = [];
    const { reader } = start(
      {},
      {
        onMessage: (_isText, payload) => {
          reader.stop();
          seen.push(Buffer.from(payload).toString());
        },
      },
    );
    for (const chunk of bytewise(encodeMaskedFrame(opcode.text, Buffer.from("last"), 9))) reader.push(chunk);
    expect(seen).toEqual(["last"]);
  });
});

/** What `recordedFrames` held in each onMessage. */
function record(chunks: readonly Uint8Array[], fragmentsPerMessageMax = 128): string[] {
  const seen: string[] = [];
  const { reader } = start(
    { recordFrames: true, fragmentsPerMessageMax, messageBytesMax: 4_194_304 },
    { onMessage: () => seen.push(Buffer.from(reader.recordedFrames!).toString("hex")) },
  );
  for (const chunk of chunks) reader.push(Buffer.from(chunk));
  expect(reader.recordedFrames).toEqual(new Uint8Array(0));
  expect(reader.bufferedBytes).toBe(0);
  return seen;
}

describe("recorded frames", () => {
  it("are the wire bytes, masked, of each message, without the control frames between", () => {
    const first = "81 85 37fa213d 7f9f4d5158";
    const second = "01 83 00000001 48656d  80 82 00000000 6c6f";
    const wire = hex(`${first} 01 83 00000001 48656d 89 81 00000000 2a 80 82 00000000 6c6f`);
    const expected = [first, second].map((text) => hex(text).toString("hex"));
    expect(record([wire])).toEqual(expected);
    expect(record(bytewise(wire))).toEqual(expected);
  });

  it("stop at 128 KiB and the headers", () => {
    const wire = encodeMaskedFrame(opcode.binary, Buffer.alloc(2_000_000, 7), 0x01020304);
    const bytesMax = 131_072 + 3 * 14;
    const expected = [wire.subarray(0, bytesMax).toString("hex")];
    const chunks = cutAt(wire, [65_536, 131_070, 131_100, 1_500_000]);
    expect(record(chunks, 3)).toEqual(expected);
  });

  it("are not kept unless asked for", () => {
    const { reader } = start();
    expect(reader.recordedFrames).toBeNull();
  });

  it("of an unfinished message go with stop()", () => {
    const { reader } = start({ recordFrames: true });
    reader.push(hex("01 81 00000000 61"));
    expect(reader.bufferedBytes).toBeGreaterThan(0);
    reader.stop();
    expect(reader.bufferedBytes).toBe(0);
  });
});
