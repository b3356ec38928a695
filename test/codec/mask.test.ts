/** RFC 6455 §5.3 masking: both loops against the definition, at every alignment, phase and size around the borders. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { xorMask } from "../../src/codec/mask.ts";

/** The definition: octet i XOR key octet (i modulo 4). */
function slowMask(bytes: Uint8Array, start: number, end: number, key: number, phase: number): Uint8Array {
  const keyOctets = Buffer.alloc(4);
  keyOctets.writeInt32BE(key | 0);
  return Uint8Array.from(bytes, (byte, index) =>
    index < start || index >= end ? byte : byte ^ keyOctets[(index - start + phase) % 4]!,
  );
}

/** `size` bytes with some around them, `padding` bytes into an ArrayBuffer of their own. */
function bytesAt(padding: number, size: number): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(padding + size + 9), padding, size + 6);
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = (index * 37 + 11) & 255;
  return bytes;
}

describe("RFC 6455 §5.3 masking", () => {
  const sizes = [0, 1, 2, 3, 4, 5, 7, 8, 31, 32, 33, 39, 40, 127, 128, 129, 200, 1000];
  it.each(sizes)("%i bytes at 8 alignments and 4 phases, with a fresh and a known chunk", (size) => {
    for (let padding = 0; padding < 8; padding += 1) {
      for (let phase = 0; phase < 4; phase += 1) {
        const bytes = bytesAt(padding, size);
        const once = slowMask(bytes, 3, 3 + size, 0x8102f3c4, phase);
        const original = Uint8Array.from(bytes);
        xorMask(bytes, 3, 3 + size, 0x8102f3c4, phase);
        expect(bytes).toEqual(once);
        xorMask(bytes, 3, 3 + size, 0x8102f3c4, phase);
        expect(bytes).toEqual(original);
      }
    }
  });

  it("any bytes, any range, any key, signed or not; long chunks and short ranges by turns", () => {
    const input = fc.tuple(fc.uint8Array({ maxLength: 400 }), fc.nat(), fc.nat(), fc.integer(), fc.nat(1000));
    fc.assert(
      fc.property(input, ([source, a, b, key, phase]) => {
        const [start, end] = [a % (source.length + 1), b % (source.length + 1)].sort((x, y) => x - y);
        const bytes = Uint8Array.from(source);
        xorMask(bytes, 0, bytes.length, key, 0);
        xorMask(bytes, 0, bytes.length, key, 0);
        xorMask(bytes, start!, end!, key >>> 0, phase);
        expect(bytes).toEqual(slowMask(source, start!, end!, key, phase));
      }),
      { numRuns: 1000 },
    );
  });

  it("frames of one shared pool do not touch each other", () => {
    const pool = new ArrayBuffer(1024);
    const first = new Uint8Array(pool, 3, 300);
    const second = new Uint8Array(pool, 303, 300);
    xorMask(first, 0, 300, 0x01010101, 0);
    xorMask(second, 0, 300, 0x02020202, 0);
    xorMask(second, 0, 100, 0x02020202, 0);
    expect(first.every((byte) => byte === 1)).toBe(true);
    expect(second.every((byte, index) => byte === (index < 100 ? 0 : 2))).toBe(true);
  });
});
