import { describe, expect, it } from "vitest";
import { readDanmaku } from "../../src/web/danmaku-message.ts";
import { codePointCount, plainText } from "../../src/web/plain-text.ts";

describe("other people's text", () => {
  it.each([
    ["keeps plain text", "hello 世界", "hello 世界"],
    ["keeps markup as text", "<b>x</b>&amp;", "<b>x</b>&amp;"],
    ["makes one line of many", " a\n\n\tb\u2028c ", "a b c"],
    ["drops controls", "a\u0000\u0007b", "ab"],
    ["drops direction overrides", "a\u202eb\u2066c", "abc"],
    ["drops half a surrogate pair", "a\ud800b", "ab"],
    ["keeps an emoji family whole", "👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"],
    ["cuts towers of marks", `a${"\u0335".repeat(10)}b`, `a${"\u0335".repeat(3)}b`],
    ["is empty for nothing but controls", "\u0000\u202e ", ""],
  ])("%s", (_name, text, expected) => {
    expect(plainText(text, 100)).toBe(expected);
  });

  it("cuts by code points and says so", () => {
    expect(plainText("😀😀😀😀", 4)).toBe("😀😀😀😀");
    expect(plainText("😀😀😀😀😀", 4)).toBe("😀😀😀…");
    expect(codePointCount("😀a")).toBe(2);
  });

  it("stays cheap on a huge text", () => {
    expect(codePointCount(plainText("x".repeat(10_000_000), 10))).toBe(10);
  });
});

describe("a danmaku comment", () => {
  it.each([
    [
      "as documented",
      { text: "哈哈哈", color: "#ff0000", mode: "top" },
      { text: "哈哈哈", color: "#ff0000", mode: "top" },
    ],
    ["without colour and mode", { text: "a" }, { text: "a", color: "#ffffff", mode: "scroll" }],
    [
      "with a colour that is none",
      { text: "a", color: "url(x)" },
      { text: "a", color: "#ffffff", mode: "scroll" },
    ],
    [
      "with a mode that is none",
      { text: "a", mode: "constructor" },
      { text: "a", color: "#ffffff", mode: "scroll" },
    ],
    ["a bare string", "a", { text: "a", color: "#ffffff", mode: "scroll" }],
    ["without text", { color: "#ff0000" }, null],
    ["with empty text", { text: " " }, null],
    ["null", null, null],
    ["a number", 7, null],
  ])("%s", (_name, data, expected) => {
    expect(readDanmaku(data)).toEqual(expected);
  });
});
