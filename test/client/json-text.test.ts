import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { elementTexts, memberTexts } from "../../src/client/json-text.ts";

describe("source text of JSON members", () => {
  const rows: [name: string, text: string, members: [string, string][]][] = [
    ["keeps the decimals of a price", '{"price":189.30}', [["price", "189.30"]]],
    ["keeps the digits of a large integer", '{"n":12345678901234567890}', [["n", "12345678901234567890"]]],
    [
      "trims the spaces around a value",
      '{ "a" : [1, 2] , "b" : null }',
      [
        ["a", "[1, 2]"],
        ["b", "null"],
      ],
    ],
    [
      "takes a nested object whole",
      '{"a":{"b":"}"},"c":1}',
      [
        ["a", '{"b":"}"}'],
        ["c", "1"],
      ],
    ],
    [
      "sees escaped quotes and backslashes",
      String.raw`{"a\"":"x\\","b":"\""}`,
      [
        ['a"', String.raw`"x\\"`],
        ["b", String.raw`"\""`],
      ],
    ],
    ["has the last of duplicate names", '{"a":1,"a":2}', [["a", "2"]]],
    ["knows __proto__ as a name", '{"__proto__":1}', [["__proto__", "1"]]],
    ["is empty for an empty object", " {} ", []],
    ["is empty for an array", "[1]", []],
    ["is empty for a string with braces", '"{}"', []],
  ];
  it.each(rows)("%s", (_name, text, members) => {
    expect([...memberTexts(text)]).toEqual(members);
  });

  it("agrees with JSON.parse on any object", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat(3), (value, indent) => {
        const expected = JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
        const members = memberTexts(JSON.stringify(value, null, indent));
        expect([...members.keys()].sort()).toEqual(Object.keys(expected).sort());
        for (const [name, text] of members) expect(JSON.parse(text)).toEqual(expected[name]);
      }),
    );
  });

  it("agrees with JSON.parse on any array", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.nat(3), (value, indent) => {
        const elements = elementTexts(JSON.stringify(value, null, indent));
        expect(elements.map((text) => JSON.parse(text) as unknown)).toEqual(
          JSON.parse(JSON.stringify(value)),
        );
      }),
    );
  });

  it("ends on any text, JSON or not", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("{", "}", "[", "]", '"', "\\", ",", ":", "1", " ") }),
        (text) => {
          expect(memberTexts(text)).toBeInstanceOf(Map);
          expect(elementTexts(text)).toBeInstanceOf(Array);
        },
      ),
    );
  });
});
