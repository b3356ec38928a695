import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeEnvelope, encodeEnvelope, isOrigin, parsePosition } from "../../src/broker/bus-envelope.ts";
import { bytes, text } from "./recorder.ts";

/** Decoded where it lies between other bytes, which never count. */
function decoded(message: string): unknown {
  const framed = Buffer.from(`@9-9 ${message}\r\n 1-1~x `);
  const end = 5 + Buffer.byteLength(message);
  const envelope = decodeEnvelope(framed, 5, end);
  if (envelope === null) return null;
  return [envelope.epoch, envelope.seq, envelope.origin, text(framed.subarray(envelope.dataStart, end))];
}

describe("the bus envelope", () => {
  const table: readonly (readonly [string, string, unknown])[] = [
    ["raw", '{"a":1}', [null, 0, null, '{"a":1}']],
    ["raw with whitespace before", " @", [null, 0, null, " @"]],
    ["raw, empty", "", [null, 0, null, ""]],
    ["with history", "@1795338789954376-18 {}", ["1795338789954376", 18, null, "{}"]],
    ["with history and origin", "@12-3~aB_-9 [1]", ["12", 3, "aB_-9", "[1]"]],
    ["live-only", "@ 1", [null, 0, null, "1"]],
    ["live-only with origin", "@~x 1", [null, 0, "x", "1"]],
    ["payload with @ and spaces", '@1-1 "@2-2 x"', ["1", 1, null, '"@2-2 x"']],
    ["longest seq", "@1-999999999999999 1", ["1", 999_999_999_999_999, null, "1"]],
    ["longest origin", `@~${"a".repeat(64)} 1`, [null, 0, "a".repeat(64), "1"]],
    ["no payload", "@1-1 ", ["1", 1, null, ""]],
    ["@ alone", "@", null],
    ["no space", "@1-1", null],
    ["no space before the payload", "@{}", null],
    ["no dash", "@1 {}", null],
    ["no seq", "@1- {}", null],
    ["seq 0", "@1-0 {}", null],
    ["seq too long", "@1-1000000000000000 {}", null],
    ["epoch too long", "@123456789012345678901-1 {}", null],
    ["no epoch", "@-1 {}", null],
    ["negative seq", "@1--1 {}", null],
    ["origin empty", "@1-1~ {}", null],
    ["origin too long", `@~${"a".repeat(65)} 1`, null],
    ["origin not base64url", "@1-1~a+b {}", null],
    ["origin without end", "@1-1~abc", null],
    ["two origins", "@1-1~a~b {}", null],
  ];
  for (const [name, message, expected] of table) {
    it(`decodes: ${name}`, () => expect(decoded(message)).toEqual(expected));
  }

  it("never throws, and what it makes it reads", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (noise) => {
        decodeEnvelope(Buffer.from(noise));
        decodeEnvelope(Buffer.concat([bytes("@1-1~"), noise]));
      }),
    );
    const position = fc.record({
      epoch: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map(String),
      seq: fc.integer({ min: 1, max: 999_999_999_999_999 }),
    });
    const origin = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
    fc.assert(
      fc.property(fc.option(position), fc.option(origin), fc.json(), (where, who, json) => {
        const message = encodeEnvelope(where, who, bytes(json));
        expect(decoded(text(message))).toEqual([where?.epoch ?? null, where?.seq ?? 0, who, json]);
      }),
    );
  });

  it("parses positions", () => {
    expect(parsePosition("12-3")).toEqual({ epoch: "12", seq: 3 });
    for (const wrong of ["", "12", "12-", "-3", "12-3 ", "a-1", "1-1000000000000000"]) {
      expect([wrong, parsePosition(wrong)]).toEqual([wrong, null]);
    }
  });

  it("knows what an origin is", () => {
    expect(["a", "AAAAAAAAAAAAAAAAAAAAAA", "_-"].map(isOrigin)).toEqual([true, true, true]);
    expect(["", "a b", "a~", "é", "a".repeat(65)].map(isOrigin)).toEqual([false, false, false, false, false]);
  });
});
