/** Topic names and patterns (docs/PROTOCOL.md, "Topics") beside the grammar written as one would say it. */
import { isUtf8 } from "node:buffer";
import { compilePattern, patternProblem, topicProblem } from "../../src/base/topic.ts";
import { expectSame, type FuzzInput, type FuzzTarget } from "./fuzz-target.ts";
import { mutate } from "./mutate.ts";
import type { Random } from "./random.ts";

const segments = [
  "a",
  "b",
  "a-1",
  "_",
  "哈",
  "é",
  "e\u0301",
  "*",
  "**",
  "",
  "$a",
  "A",
  "x".repeat(80),
  "\u0301",
  "🎏",
  "٣",
];

export const topicTarget: FuzzTarget = {
  name: "topics",
  make(random) {
    const valid = Buffer.from(`${joined(random, 5)} ${joined(random, 6)}`);
    return { bytes: random.chance(50) ? mutate(random, valid) : valid, cuts: [], variant: 0 };
  },
  check({ bytes }: FuzzInput) {
    if (!isUtf8(bytes)) return;
    const text = bytes.toString("utf8");
    const border = text.indexOf(" ");
    const pattern = border === -1 ? text : text.slice(0, border);
    const name = border === -1 ? text : text.slice(border + 1);
    expectSame("a good name", topicProblem(name) === null, isName(name));
    const isPattern = isName(
      pattern
        .split(".")
        .map((each) => (/^\*\*?$/.test(each) ? "x" : each))
        .join("."),
    );
    // A pattern's length is that with one letter for each star.
    expectSame("a good pattern", patternProblem(pattern) === null, isPattern);
    if (!isPattern || !isName(name)) return;
    expectSame("match", compilePattern(pattern)(name), matches(pattern.split("."), name.split(".")));
  },
};

function joined(random: Random, most: number): string {
  return Array.from({ length: 1 + random.int(most) }, () => random.pick(segments)).join(".");
}

function isName(name: string): boolean {
  const areGood = name.split(".").every((each) => {
    const [first, ...rest] = Array.from(each);
    return (
      first !== undefined &&
      /[\p{L}\p{N}_-]/u.test(first) &&
      rest.every((character) => /[\p{L}\p{M}\p{N}_-]/u.test(character))
    );
  });
  return areGood && name.normalize("NFC") === name && Buffer.byteLength(name) <= 255;
}

/** `**` is tried with one segment, with two, and so on. */
function matches(pattern: readonly string[], name: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return name.length === 0;
  if (name.length === 0) return false;
  if (first === "**") return name.some((_, index) => matches(rest, name.slice(index + 1)));
  return (first === "*" || first === name[0]) && matches(rest, name.slice(1));
}
