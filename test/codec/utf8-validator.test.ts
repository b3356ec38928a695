/** RFC 6455 §8.1 and RFC 3629: the incremental validator against its twin and against every code point there is. */
import { isUtf8 } from "node:buffer";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Utf8Validator } from "../../src/codec/utf8-validator.ts";
import { hex } from "./reader-harness.ts";
import { couldBecomeUtf8 } from "./utf8-twin.ts";

describe("RFC 3629 UTF-8, incrementally", () => {
  it("accepts every code point but the surrogates, and none as an end before its last byte", () => {
    const validator = new Utf8Validator();
    const wrong: number[] = [];
    for (let codePoint = 0; codePoint <= 0x10ffff; codePoint += codePoint < 0x11000 ? 1 : 61) {
      if (codePoint >= 0xd800 && codePoint <= 0xdfff) continue;
      const bytes = Buffer.from(String.fromCodePoint(codePoint), "utf8");
      for (let index = 0; index < bytes.length; index += 1) {
        const isGood = validator.push(bytes, index, index + 1);
        if (!isGood || validator.isBetweenCodePoints !== (index === bytes.length - 1)) wrong.push(codePoint);
      }
    }
    expect(wrong).toEqual([]);
  });

  it("agrees with the twin on every sequence of two bytes, and of three and four at the borders", () => {
    const borders = [0x00, 0x61, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf];
    borders.push(0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff);
    const sequences: number[][] = [];
    for (let first = 0; first < 256; first += 1) {
      for (let second = 0; second < 256; second += 1) sequences.push([first, second]);
    }
    for (const a of borders) {
      for (const b of borders)
        for (const c of borders) sequences.push([a, b, c], [a, b, c, 0x80], [0xf0, a, b, c]);
    }
    const validator = new Utf8Validator();
    const wrong = sequences.filter((sequence) => {
      const bytes = Uint8Array.from(sequence);
      validator.reset();
      const isGood = validator.push(bytes, 0, bytes.length);
      if (isGood !== couldBecomeUtf8(bytes)) return true;
      return isGood && validator.isBetweenCodePoints !== isUtf8(bytes);
    });
    expect(wrong).toEqual([]);
  });

  // From 96 bytes on a piece goes through buffer.isUtf8: lengths on both sides, the tail cut in each way.
  const tails = [
    "",
    "e2",
    "e282",
    "e282ac",
    "f0",
    "f09f",
    "f09f92",
    "f09f92b9",
    "c3",
    "c3a9",
    "80",
    "808080",
    "ff",
  ];
  it.each(tails)("long text that ends with '%s'", (tail) => {
    for (const length of [0, 90, 92, 93, 94, 95, 96, 97, 98, 99, 100, 500]) {
      const bytes = Buffer.concat([Buffer.alloc(length, "a"), hex(tail)]);
      const validator = new Utf8Validator();
      const isGood = validator.push(bytes, 0, bytes.length);
      expect(isGood).toBe(couldBecomeUtf8(bytes));
      if (isGood) expect(validator.isBetweenCodePoints).toBe(isUtf8(bytes));
    }
  });

  it("at any cut it accepts as long as the twin does and not a piece longer", () => {
    const text = fc.string({ unit: "binary", maxLength: 200 }).map((value) => Buffer.from(value));
    const broken = fc.tuple(text, fc.nat(), fc.nat(255)).map(([bytes, place, value]) => {
      const copy = Buffer.from(bytes);
      if (copy.length > 0) copy[place % copy.length] = value;
      return copy;
    });
    fc.assert(
      fc.property(fc.oneof(text, broken), fc.array(fc.integer({ min: 0, max: 150 })), (bytes, lengths) => {
        const validator = new Utf8Validator();
        let offset = 0;
        for (const length of [...lengths, bytes.length]) {
          const end = Math.min(bytes.length, offset + length);
          const isGood = validator.push(bytes, offset, end);
          expect(isGood).toBe(couldBecomeUtf8(bytes.subarray(0, end)));
          if (!isGood) return;
          offset = end;
        }
        expect(validator.isBetweenCodePoints).toBe(isUtf8(bytes));
      }),
      { numRuns: 1000 },
    );
  });

  it("reset() forgets a code point begun", () => {
    const validator = new Utf8Validator();
    validator.push(hex("e0"), 0, 1);
    validator.reset();
    expect(validator.isBetweenCodePoints).toBe(true);
    // E0 had narrowed what may follow to A0–BF; C3 80 needs the full range again
    expect(validator.push(hex("c380"), 0, 2)).toBe(true);
  });
});
