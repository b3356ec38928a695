/** PRODUCT §3: topic names and patterns; ABUSE PS2 and PS3. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { compilePattern, patternProblem, topicProblem, TopicRules } from "../../src/base/topic.ts";

describe("topic names", () => {
  it.each([
    { name: "one letter", topic: "a" },
    { name: "segments", topic: "quote.AAPL" },
    { name: "digits, _ and - anywhere", topic: "_-.-1_.0" },
    { name: "names of Object", topic: "__proto__" },
    { name: "constructor", topic: "constructor.prototype" },
    { name: "Chinese", topic: "弹幕.房间1" },
    { name: "Arabic", topic: "سهم.أرامكو" },
    { name: "Devanagari with its vowel signs", topic: "शेयर.हिन्दी" },
    { name: "Thai with its tone marks", topic: "หุ้น.ปตท" },
    { name: "Korean, composed", topic: "주식.삼성" },
    { name: "Cyrillic", topic: "акции.Сбер" },
    { name: "letters outside the basic plane", topic: "𠮷野家" },
    { name: "digits of another script", topic: "room.٣" },
    { name: "an accent, composed", topic: "caf\u00E9" },
    { name: "a mark that has no composed form", topic: "x\u0301" },
    { name: "255 bytes of ASCII", topic: "a".repeat(255) },
    { name: "255 bytes of Chinese", topic: "弹".repeat(85) },
    { name: "many segments", topic: Array.from({ length: 128 }, () => "a").join(".") },
  ])("good: $name", ({ topic }) => {
    expect(topicProblem(topic)).toBeNull();
    expect(patternProblem(topic)).toBeNull();
  });

  const bad: { name: string; topic: unknown; problem: RegExp }[] = [
    { name: "empty", topic: "", problem: /not empty/ },
    { name: "256 bytes of ASCII", topic: "a".repeat(256), problem: /255 bytes/ },
    { name: "256 bytes in 86 characters", topic: `a${"弹".repeat(85)}`, problem: /255 bytes/ },
    { name: "256 bytes of 4-byte letters", topic: "𠮷".repeat(64), problem: /255 bytes/ },
    { name: "reserved", topic: "$sys.stats", problem: /reserved/ },
    { name: "$ by itself", topic: "$", problem: /reserved/ },
    { name: "$ inside", topic: "a$b", problem: /segments/ },
    { name: "a dot first", topic: ".a", problem: /segments/ },
    { name: "a dot last", topic: "a.", problem: /segments/ },
    { name: "two dots", topic: "a..b", problem: /segments/ },
    { name: "only dots", topic: "..", problem: /segments/ },
    { name: "a slash", topic: "a//b", problem: /segments/ },
    { name: "a colon, which divides Redis keys", topic: "tape:log", problem: /segments/ },
    { name: "braces, which are hash tags of a Redis cluster", topic: "{a}", problem: /segments/ },
    { name: "a space", topic: "a b", problem: /segments/ },
    { name: "NUL", topic: "a\u0000", problem: /segments/ },
    { name: "LF at the end", topic: "a\n", problem: /segments/ },
    { name: "CR LF", topic: "a\r\nb", problem: /segments/ },
    { name: "a pattern of Redis: *", topic: "quote.*", problem: /segments/ },
    { name: "a pattern of Redis: ?", topic: "quote.?", problem: /segments/ },
    { name: "a pattern of Redis: class", topic: "[a-z]", problem: /segments/ },
    { name: "an exclamation mark", topic: "nope!", problem: /segments/ },
    { name: "a lone surrogate", topic: "a\uD800", problem: /segments/ },
    { name: "an emoji", topic: "🎉", problem: /segments/ },
    { name: "a mark first", topic: "\u0301a", problem: /segments/ },
    { name: "a mark first in a segment", topic: "a.\u0301", problem: /segments/ },
    { name: "zero-width joiner", topic: "a\u200Db", problem: /segments/ },
    { name: "soft hyphen", topic: "a\u00ADb", problem: /segments/ },
    { name: "right-to-left override", topic: "a\u202Eb", problem: /segments/ },
    { name: "byte order mark", topic: "\uFEFFa", problem: /segments/ },
    { name: "no-break space", topic: "a\u00A0b", problem: /segments/ },
    { name: "fullwidth full stop", topic: "a\uFF0Eb", problem: /segments/ },
    { name: "an accent, decomposed (NFD)", topic: "cafe\u0301", problem: /normal form C/ },
    { name: "Korean, decomposed", topic: "주식".normalize("NFD"), problem: /normal form C/ },
    { name: "Angstrom sign, which NFC makes a letter", topic: "\u212B", problem: /normal form C/ },
    { name: "marks in another order than NFC's", topic: "a\u0315\u0300", problem: /normal form C/ },
    { name: "undefined", topic: undefined, problem: /string/ },
    { name: "null", topic: null, problem: /string/ },
    { name: "a number", topic: 1, problem: /string/ },
    { name: "a list", topic: ["a"], problem: /string/ },
    { name: "an object that prints well", topic: { toString: () => "a" }, problem: /string/ },
  ];

  it.each(bad)("bad: $name", ({ topic, problem }) => {
    expect(topicProblem(topic)).toMatch(problem);
  });

  it("case and compatibility forms are different names, not the same one", () => {
    // ﬁ (ligature) and ＡＡＰＬ (fullwidth) are letters and NFC; NFKC would make them the ASCII names.
    for (const [left, right] of [["AAPL", "aapl"], ["fi", "\uFB01"], ["AAPL", "ＡＡＰＬ"]] as const) {
      expect([topicProblem(left), topicProblem(right)]).toEqual([null, null]);
      expect(compilePattern(left)(right)).toBe(false);
    } // prettier-ignore
  });

  it("never throws, and what passes is NFC, short and safe in any key", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary", maxLength: 300 }), fc.anything()), (name) => {
        if (topicProblem(name) !== null) return;
        const topic = name as string;
        expect(topic.normalize("NFC")).toBe(topic);
        expect(Buffer.byteLength(topic)).toBeLessThanOrEqual(255);
        expect(topic).not.toMatch(/[\s\p{C}*?[\]{}:$/\\]/u);
      }),
      { numRuns: 5000 },
    );
  });
});

describe("patterns", () => {
  it.each([
    {
      pattern: "quote.AAPL",
      matches: ["quote.AAPL"],
      misses: ["quote.AAPLX", "quote", "xquote.AAPL", "quotexAAPL"],
    },
    { pattern: "*", matches: ["a", "弹幕"], misses: ["a.b"] },
    { pattern: "**", matches: ["a", "a.b", "a.b.c"], misses: [] },
    { pattern: "quote.*", matches: ["quote.A"], misses: ["quote", "quote.A.b", "quotes.A"] },
    { pattern: "quote.**", matches: ["quote.A", "quote.A.b", "quote.弹.幕"], misses: ["quote", "quotes.A"] },
    { pattern: "*.A", matches: ["quote.A"], misses: ["A", "x.quote.A"] },
    { pattern: "**.A", matches: ["quote.A", "x.quote.A"], misses: ["A", "quote.B"] },
    { pattern: "a.*.c", matches: ["a.b.c"], misses: ["a.c", "a.b.b.c"] },
    { pattern: "a.**.c", matches: ["a.b.c", "a.b.b.c", "a.c.c"], misses: ["a.c", "a.b.d"] },
    { pattern: "**.b.**", matches: ["a.b.c", "a.a.b.c.c", "b.b.b"], misses: ["b.c", "a.b", "a.c.c"] },
    { pattern: "**.**", matches: ["a.b", "a.b.c"], misses: ["a"] },
    { pattern: "**.*.**", matches: ["a.b.c", "a.b.c.d"], misses: ["a.b"] },
    { pattern: "弹幕.*", matches: ["弹幕.房间1"], misses: ["弹幕", "弹.房间1"] },
    { pattern: "a-b.*", matches: ["a-b.c"], misses: ["a.c", "ab.c"] },
  ])("$pattern", ({ pattern, matches, misses }) => {
    // prettier-ignore
    expect(patternProblem(pattern)).toBeNull();
    const isMatch = compilePattern(pattern);
    expect(matches.filter((topic) => !isMatch(topic))).toEqual([]);
    expect(misses.filter((topic) => isMatch(topic))).toEqual([]);
  });

  it.each([
    { name: "empty", pattern: "" },
    { name: "a star inside a segment", pattern: "quote.A*" },
    { name: "a star before letters", pattern: "*A" },
    { name: "three stars", pattern: "***" },
    { name: "an empty segment", pattern: "quote..*" },
    { name: "a dot last", pattern: "quote." },
    { name: "reserved", pattern: "$sys.*" },
    { name: "a regular expression", pattern: "(a|b)" },
    { name: "any character", pattern: "quote.?" },
    { name: "not NFC", pattern: "cafe\u0301.*" },
    { name: "too long", pattern: `${"a".repeat(254)}.*` },
    { name: "no string", pattern: 7 },
  ])("bad: $name", ({ pattern }) => {
    expect(patternProblem(pattern)).toMatch(/^(?:a pattern|\* and \*\*|names that begin with \$)/);
  });

  it("says how stars are meant where one stands inside a segment", () => {
    expect(patternProblem("quote.A*")).toMatch(/whole segments/);
  });

  it("match as a slow twin says", () => {
    const segment = fc.constantFrom("a", "b", "*", "**");
    fc.assert(
      fc.property(
        fc.array(segment, { minLength: 1, maxLength: 6 }),
        fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 8 }),
        (pattern, topic) => {
          expect(compilePattern(pattern.join("."))(topic.join("."))).toBe(twin(pattern, topic));
        },
      ),
      { numRuns: 5000 },
    );
  });

  it("never cost more than a moment, however many ** they have", () => {
    // A token's claim may name any pattern; 12 of them backtracked for hours over 100 segments.
    const isMatch = compilePattern(`${"**.".repeat(12)}x`);
    const startMs = performance.now();
    expect(isMatch(`${"a.".repeat(100)}y`)).toBe(false);
    expect(isMatch(`${"a.".repeat(100)}x`)).toBe(true);
    expect(performance.now() - startMs).toBeLessThan(1000);
  });
});

/** Every way to divide the topic, by recursion. */
function twin(pattern: readonly string[], topic: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return topic.length === 0;
  if (topic.length === 0) return false;
  if (first === "**") return twin(rest, topic.slice(1)) || twin(pattern, topic.slice(1));
  return (first === "*" || first === topic[0]) && twin(rest, topic.slice(1));
}

describe("TopicRules: the first match wins", () => {
  const rules = new TopicRules([
    { match: "quote.AAPL", name: "one" },
    { match: "quote.*", name: "quotes" },
    { match: "quote.**", name: "deep" },
  ]);

  it.each([
    { topic: "quote.AAPL", rule: "one" },
    { topic: "quote.MSFT", rule: "quotes" },
    { topic: "quote.us.MSFT", rule: "deep" },
    { topic: "chat.lobby", rule: null },
    { topic: "__proto__", rule: null },
  ])("$topic → $rule, again and again", ({ topic, rule }) => {
    for (let count = 0; count < 3; count += 1) expect(rules.find(topic)?.name ?? null).toBe(rule);
  });

  it("no rules are valid: every topic is unknown", () => {
    expect(new TopicRules([]).find("a")).toBeNull();
  });

  it("goes on answering rightly past what it remembers", () => {
    for (let index = 0; index < 20_000; index += 1) expect(rules.find(`quote.${index}`)?.name).toBe("quotes");
    expect(rules.find("quote.AAPL")?.name).toBe("one");
    expect(rules.find("other")).toBeNull();
  });
});
