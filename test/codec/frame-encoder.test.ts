/** The encoder: header sizes at the borders of the three forms, close reasons, no stale bytes, round trips. */
import { isUtf8 } from "node:buffer";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InvariantError } from "../../src/base/errors.ts";
import {
  encodeCloseFrame,
  encodeFrame,
  encodeMaskedFrame,
  encodeTextFrame,
  frameHeaderBytes,
  writeFrameHeader,
  payloadOf,
} from "../../src/codec/frame-encoder.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { hex, readChunks, serverOptions } from "./reader-harness.ts";

describe("RFC 6455 §5.2 payload length", () => {
  const forms: readonly (readonly [payloadBytes: number, header: string])[] = [
    [0, "82 00"],
    [125, "82 7d"],
    [126, "82 7e 007e"],
    [65_535, "82 7e ffff"],
    [65_536, "82 7f 0000000000010000"],
    [0xffffffff, "82 7f 00000000ffffffff"],
    [2 ** 32 + 5, "82 7f 0000000100000005"],
    [Number.MAX_SAFE_INTEGER, "82 7f 001fffffffffffff"],
  ];
  it.each(forms)("%i bytes in the shortest form", (payloadBytes, header) => {
    const target = Buffer.alloc(16, 0xee);
    const end = writeFrameHeader(target, 3, opcode.binary, payloadBytes);
    expect(end - 3).toBe(frameHeaderBytes(payloadBytes));
    expect(target.subarray(3, end)).toEqual(hex(header));
    // nothing outside the header is touched
    expect(target.subarray(0, 3)).toEqual(Buffer.alloc(3, 0xee));
    expect(target.subarray(end)).toEqual(Buffer.alloc(16 - end, 0xee));
  });
});

describe("RFC 6455 §5.5.1 close frames", () => {
  const characters = ["a", "é", "涨", "📈"];
  it.each(characters)("cuts a long reason of '%s' between two code points", (character) => {
    for (let lead = 0; lead < 8; lead += 1) {
      const reason = "x".repeat(lead) + character.repeat(140);
      const frame = encodeCloseFrame(1008, reason);
      const sent = frame.subarray(4);
      expect(frame[1]).toBe(frame.length - 2);
      expect(frame.length).toBeLessThanOrEqual(127);
      expect(sent.length).toBeGreaterThan(123 - Buffer.byteLength(character));
      expect(isUtf8(sent)).toBe(true);
      expect(reason.startsWith(sent.toString())).toBe(true);
    }
  });

  it("FR25: carries no stale bytes, whatever memory held before", () => {
    for (let length = 0; length <= 140; length += 1) {
      for (let round = 0; round < 20; round += 1) Buffer.allocUnsafe(500).fill("SECRET");
      const frame = encodeCloseFrame(4000, "r".repeat(length));
      expect(frame.subarray(4).toString()).toBe("r".repeat(Math.min(length, 123)));
    }
  });

  it.each([0, 999, 1004, 1006, 1015, 5000])("refuses to send %i", (code) => {
    expect(() => encodeCloseFrame(code, "")).toThrow(InvariantError);
  });
});

describe("round trips", () => {
  it("what encodeMaskedFrame writes, a server's reader reads", () => {
    const input = fc.tuple(fc.uint8Array({ maxLength: 300 }), fc.integer());
    fc.assert(
      fc.property(input, ([payload, key]) => {
        const frame = encodeMaskedFrame(opcode.binary, payload, key);
        expect(readChunks([frame], serverOptions)).toEqual([
          `binary ${Buffer.from(payload).toString("hex")}`,
        ]);
      }),
    );
  });

  it("what encodeTextFrame and encodeFrame write, a client's reader reads", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 400 }), (text) => {
        const payload = Buffer.from(text);
        const wire = Buffer.concat([encodeTextFrame(text), encodeFrame(opcode.text, payload)]);
        const line = `text ${payload.toString("hex")}`;
        expect(readChunks([wire], { ...serverOptions, role: "client" })).toEqual([line, line]);
      }),
    );
  });

  it("leaves the caller's payload as it was", () => {
    const payload = Buffer.from("mine");
    encodeMaskedFrame(opcode.text, payload, 0x01020304);
    expect(payload.toString()).toBe("mine");
  });
});

describe("the payload of a frame of ours", () => {
  it.each([0, 1, 125, 126, 65_535, 65_536])(
    "is found behind every form of length: %i bytes",
    (payloadBytes) => {
      const payload = Buffer.alloc(payloadBytes, "x");
      expect(Buffer.from(payloadOf(encodeFrame(opcode.text, payload))).equals(payload)).toBe(true);
    },
  );
});
