import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isJson, jsonDepthMax, objectMembers } from "../../src/base/json-scanner.ts";

const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);

/** JSON.parse is the oracle for everything but the depth limit. */
function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe("RFC 8259: what is one JSON value", () => {
  const good = [
    "1", "-0", "0.10", "1e400", "-1.5E+10", "12345678901234567890", '""', '"\\u00e9\\n\\/"', "true", "false", "null",
    "[]", "{}", " [1 , 2] \n", '{"a":{"b":[{},[]]}}', '{"a":1,"a":2}', '"哈哈哈"', '\t"x"\r\n', '"\u007f"', "[[],{}]",
  ]; // prettier-ignore
  it.each(good)("accepts %s", (text) => {
    expect(parses(text)).toBe(true);
    expect(isJson(Buffer.from(text))).toBe(true);
  });

  const bad = [
    "", " ", "01", "1.", ".5", "+1", "-", "1e", "1e+", "--1", "0x1", "NaN", "Infinity", "tru", "truex", "nul", "fals",
    '"', '"\\x"', '"\\u12"', '"\\u12g4"', '"\n"', "[", "]", "[1", "[1,]", "[,1]", "[1 2]", "{", "}", '{"a"}', '{"a":}',
    '{"a":1,}', "{a:1}", "{1:1}", '{"a":1', '{"a":1]', "[1}", '{"a" 1}', "1 2", "{} {}", "'a'", "\u00a01", "\ufeff1",
    '"\\', '"\\u', "/*x*/1", '{"a":1,,"b":2}', "undefined",
  ]; // prettier-ignore
  it.each(bad)("refuses %j", (text) => {
    expect(parses(text)).toBe(false);
    expect(isJson(Buffer.from(text))).toBe(false);
  });

  it.each([
    ["a lone surrogate in UTF-8", "22eda08022"],
    ["an overlong form", "22c08022"],
    ["a cut sequence", "22e4b822"],
    ["a byte order mark", "efbbbf31"],
    ["a byte past F4", "22f580808022"],
  ])("refuses %s", (_name, hex) => {
    expect(isJson(Buffer.from(hex, "hex"))).toBe(false);
  });

  it("holds the depth limit exactly", () => {
    expect(isJson(Buffer.from(nested(jsonDepthMax)))).toBe(true);
    expect(isJson(Buffer.from(nested(jsonDepthMax + 1)))).toBe(false);
    expect(isJson(Buffer.from(`${"[".repeat(jsonDepthMax)}1${"]".repeat(jsonDepthMax)}`))).toBe(true);
    expect(isJson(Buffer.from("[".repeat(65_536)))).toBe(false);
    expect(isJson(Buffer.from(`${'{"a":'.repeat(129)}1${"}".repeat(129)}`))).toBe(false);
  });

  it("agrees with JSON.parse on values, on cut values and on changed bytes", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.nat(), fc.nat(255), (value, at, byte) => {
        const text = JSON.stringify(value);
        const bytes = Buffer.from(text);
        expect(isJson(bytes)).toBe(true);
        const cut = bytes.subarray(0, at % bytes.length);
        expect(isJson(cut)).toBe(
          cut.toString("utf8").includes("\ufffd") ? isJson(cut) : parses(cut.toString()),
        );
        bytes[at % bytes.length] = byte;
        const changed = bytes.toString("utf8");
        if (Buffer.from(changed).equals(bytes)) expect(isJson(bytes)).toBe(parses(changed));
      }),
      { numRuns: 2000 },
    );
  });
});

/** The source text of each member's value. */
const members = (text: string): Record<string, string> | null => {
  const bytes = Buffer.from(text);
  const found = objectMembers(bytes);
  if (found === null) return null;
  return Object.fromEntries(
    [...found].map(([name, { start, end }]) => [name, bytes.toString("utf8", start, end)]),
  );
};

describe("members of an object", () => {
  it("finds the exact bytes of each value", () => {
    expect(members(' { "topic" : "a.b" , "data" : { "price" : 1.10 } } ')).toEqual({
      topic: '"a.b"',
      data: '{ "price" : 1.10 }',
    });
    expect(members("{}")).toEqual({});
    expect(members('{"n":1e400,"s":"\\"}"}')).toEqual({ n: "1e400", s: '"\\"}"' });
  });

  it("takes the last of duplicate names, also when they are written differently", () => {
    expect(members('{"data":1,"d\\u0061ta":2}')).toEqual({ data: "2" });
  });

  it("has no trouble with names that objects inherit", () => {
    expect(objectMembers(Buffer.from('{"__proto__":1,"constructor":2}'))?.get("__proto__")).toEqual({
      start: 13,
      end: 14,
    });
  });

  it.each([
    "[]",
    "1",
    '"x"',
    "",
    "{",
    '{"a":1',
    '{"a":1}x',
    '{"a":1,}',
    '{"a"}',
    "{a:1}",
    '{"a":tru}',
    '{"a":1 "b":2}',
    "{}x",
  ])("answers null to %j", (text) => {
    expect(members(text)).toBeNull();
  });

  it("answers null to invalid UTF-8", () => {
    expect(objectMembers(Buffer.from("7b2261223a22ff227d", "hex"))).toBeNull();
  });

  it("agrees with JSON.parse on random objects", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue({ maxDepth: 3 })), (value) => {
        const text = JSON.stringify(value);
        const parsed = JSON.parse(text) as Record<string, unknown>;
        const found = objectMembers(Buffer.from(text));
        expect(new Set(found?.keys())).toEqual(new Set(Object.keys(parsed)));
        for (const [name, { start, end }] of found ?? []) {
          expect(JSON.parse(Buffer.from(text).toString("utf8", start, end))).toEqual(parsed[name]);
        }
      }),
    );
  });
});
