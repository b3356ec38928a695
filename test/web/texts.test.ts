import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { chatTexts } from "../../src/web/chat-texts.ts";
import { danmakuTexts } from "../../src/web/danmaku-texts.ts";
import { endpoint } from "../../src/web/endpoint.ts";
import { preferredLanguage } from "../../src/web/language.ts";
import { lessonTexts } from "../../src/web/lesson-texts.ts";
import { shellTexts } from "../../src/web/shell-texts.ts";
import { filled, joined } from "../../src/web/texts.ts";
import type { Catalogue } from "../../src/web/texts.ts";
import { tickerTexts } from "../../src/web/ticker-texts.ts";

const pages: [file: string, catalogue: Catalogue<string>][] = [
  ["index.html", joined(shellTexts, tickerTexts)],
  ["danmaku.html", joined(shellTexts, danmakuTexts)],
  ["chat.html", joined(shellTexts, chatTexts)],
  ["lesson.html", joined(shellTexts, lessonTexts)],
];

/** What is wrong with a page: keys without a text, and what the content security policy would block. */
function problems(html: string, catalogue: Catalogue<string>): string[] {
  const keys = [...html.matchAll(/data-(?:text|label|placeholder)="([^"]*)"/g)].map(
    (match) => match[1] ?? "",
  );
  const found = keys.filter((key) => !Object.hasOwn(catalogue.en, key)).map((key) => `no text for ${key}`);
  if (/<script(?![^>]*\ssrc=)/.test(html)) found.push("inline script");
  if (/\sstyle\s*=|<style/.test(html)) found.push("inline style");
  if (/\son[a-z]+\s*=/.test(html)) found.push("inline handler");
  if (/(?:src|href)="(?!\/)/.test(html)) found.push("an address that is not on this server");
  return found;
}

/** The places of arguments in a text, sorted: another language may name them in another order. */
function placesOf(text: string): string[] {
  return (text.match(/\{\d\}/g) ?? []).sort();
}

describe("the pages", () => {
  it.each(pages)("%s has a text for each key and nothing that the policy blocks", (file, catalogue) => {
    const html = readFileSync(new URL(`../../src/web/static/${file}`, import.meta.url), "utf8");
    expect(problems(html, catalogue)).toEqual([]);
    expect(html).toMatch(/data-text="title"/);
  });

  it.each([
    ["a misspelt key", '<p data-text="hedaing">', "no text for hedaing"],
    ["an inline script", "<script>1</script>", "inline script"],
    ["a style attribute", '<p style="color: red">', "inline style"],
    ["a handler", '<p onclick="x()">', "inline handler"],
    [
      "a foreign script",
      '<script src="https://cdn.test/x.js"></script>',
      "an address that is not on this server",
    ],
  ])("the check sees %s", (_name, html, problem) => {
    expect(problems(html, shellTexts)).toEqual([problem]);
  });

  it.each(pages)("%s says everything in both languages, with the same arguments", (_file, { en, zh }) => {
    expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
    for (const [key, text] of Object.entries(en)) {
      expect(text, key).not.toBe("");
      expect(zh[key], key).not.toBe("");
      expect(placesOf(zh[key] ?? ""), key).toEqual(placesOf(text));
    }
  });

  it("keeps the words of the original lesson", () => {
    for (const texts of [lessonTexts.en, lessonTexts.zh]) {
      expect(texts.submit).toContain("提交");
      expect(texts.close).toContain("关闭连接");
      expect(texts.opened).toContain("【连接成功】");
      expect(texts.closed).toContain("【关闭连接】");
    }
  });
});

describe("the language", () => {
  it.each([
    ["the remembered one first", "zh", ["en-US"], "zh"],
    ["Chinese in any script", null, ["zh-Hant-TW", "en"], "zh"],
    ["the first that we speak", null, ["fr-FR", "en-GB", "zh-CN"], "en"],
    ["English where we speak none", null, ["fr"], "en"],
    ["English without preferences", null, [], "en"],
    ["not a remembered one that we do not speak", "fr", ["zh-CN"], "zh"],
  ])("is %s", (_name, remembered, preferred, expected) => {
    expect(preferredLanguage(remembered, preferred)).toBe(expected);
  });
});

describe("arguments of texts", () => {
  it.each([
    ["takes their places", "{0} of {1}", ["a", 2], "a of 2"],
    ["leaves a place without one", "{0} of {1}", ["a"], "a of {1}"],
    ["does not fill what an argument says", "{0}{1}", ["{1}", "b"], "{1}b"],
    ["does not read $ in an argument", "{0}", ["$&"], "$&"],
  ])("%s", (_name, template, values, expected) => {
    expect(filled(template, values)).toBe(expected);
  });
});

describe("the endpoint", () => {
  it.each([
    ["plain", { protocol: "http:", host: "127.0.0.1:8080" }, "ws://127.0.0.1:8080/ws"],
    ["with TLS", { protocol: "https:", host: "tape.test" }, "wss://tape.test/ws"],
  ])("%s", (_name, page, url) => {
    expect(endpoint(page, "/ws")).toBe(url);
  });
});
