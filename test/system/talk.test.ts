/** Chat and danmaku between pages in Chromium. */
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { publishLines } from "../e2e/http.ts";
import { root } from "../e2e/run.ts";
import { Server } from "../e2e/server.ts";
import { until } from "../e2e/until.ts";
import { TcpProxy } from "../fault/tcp-proxy.ts";
import { complaints, launchChromium, linkState, openPage, screenshot } from "./chromium.ts";

let browser: Browser;
let server: Server;

beforeAll(async () => {
  browser = await launchChromium();
  server = await Server.start({ config: join(root, "config/demo.yaml") });
});

afterAll(async () => {
  await browser.close();
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});

async function say(page: Page, name: string, text: string): Promise<void> {
  await page.locator("#name").fill(name);
  await page.locator("#message").fill(text);
  await page.locator("#message").press("Enter");
}

function messages(page: Page): Promise<string[]> {
  return page.locator("#chat-log .chat-text").allTextContents();
}

describe("the chat room", () => {
  it("two pages talk; a reload brings the history; a dead worker costs no message", async () => {
    const [alice, bob] = [
      await openPage(browser, `${server.http}/demo/chat`),
      await openPage(browser, `${server.http}/demo/chat`),
    ];
    const found = [complaints(alice), complaints(bob)];
    await until(
      "both connections",
      async () => (await linkState(alice)) === "open" && (await linkState(bob)) === "open",
    );
    await say(alice, "Alice", "hello 你好 <b>not bold</b>");
    await until("it at the other page", async () => (await messages(bob)).length === 1);
    await say(bob, "Bob", "hi 🎏");
    const both = ["hello 你好 <b>not bold</b>", "hi 🎏"];
    await until("the answer", async () => (await messages(alice)).length === 2);
    expect(await messages(alice)).toEqual(both);
    expect(await alice.locator("#chat-log .chat-name").allTextContents()).toEqual(["Alice", "Bob"]);
    await until(
      "her own message to be marked",
      async () => (await alice.locator(".chat-message.is-own").count()) === 1,
    );

    await bob.reload();
    await until("the history", async () => (await messages(bob)).length === 2);
    expect(await messages(bob)).toEqual(both);
    expect(found.flat()).toEqual([]);
    await screenshot(alice, "chat-wide");
    await bob.setViewportSize({ width: 360, height: 740 });
    await screenshot(bob, "chat-phone");

    for (const pid of server.workerPids()) process.kill(pid, "SIGKILL");
    await until(
      "the loss to show",
      async () => (await linkState(alice)) !== "open" && (await linkState(bob)) !== "open",
    );
    await until(
      "both connections again",
      async () => (await linkState(alice)) === "open" && (await linkState(bob)) === "open",
    );
    await say(alice, "Alice", "still here?");
    await until("it at the other page", async () => (await messages(bob)).includes("still here?"));
    expect(await messages(bob)).toEqual([...both, "still here?"]);
    expect(await messages(alice)).toEqual([...both, "still here?"]);
    await alice.context().close();
    await bob.context().close();
  });

  it("what is said while a page is away comes back in order, each message once", async () => {
    const [away, here] = [
      await openPage(browser, `${server.http}/demo/chat`),
      await openPage(browser, `${server.http}/demo/chat`),
    ];
    await until(
      "the history",
      async () => (await messages(away)).length > 0 && (await messages(here)).length > 0,
    );
    const before = await messages(away);
    await away.locator("#drop").click();
    await until("the loss to show", async () => (await linkState(away)) !== "open");
    for (const text of ["one", "two", "three"]) await say(here, "Here", text);
    await until("the recovery", async () => (await messages(away)).length === before.length + 3);
    expect(await messages(away)).toEqual([...before, "one", "two", "three"]);
    expect((await away.locator(".chat-notice").allTextContents()).at(-1)).toContain("3 recovered");
    await screenshot(away, "chat-recovered");
    await away.context().close();
    await here.context().close();
  });

  it.each([
    ["chat", "#message"],
    ["danmaku", "#comment"],
  ])("%s says that nothing was sent only as long as there is no connection", async (name, field) => {
    const proxy = await TcpProxy.start(server.port);
    const page = await openPage(browser, `http://127.0.0.1:${proxy.port}/demo/${name}`);
    const notice = page.locator("#send-notice");
    await until("the connection", async () => (await linkState(page)) === "open");
    proxy.heal();
    proxy.swallow();
    await until("the loss to show", async () => (await linkState(page)) !== "open");
    await page.locator(field).fill("into the void");
    await page.locator(field).press("Enter");
    await until("the notice", async () => (await notice.textContent()) === "No connection: not sent.");
    expect(await page.locator(field).inputValue(), "what was written is kept").toBe("into the void");
    proxy.heal();
    await until("the connection again", async () => (await linkState(page)) === "open", 30_000);
    await until("no notice", async () => (await notice.textContent()) === "");
    await page.context().close();
    await proxy.stop();
  });
});

describe("the danmaku stage", () => {
  it("a comment of one page runs over the other, and a crowd is sampled", async () => {
    const [one, two] = [
      await openPage(browser, `${server.http}/demo/danmaku`),
      await openPage(browser, `${server.http}/demo/danmaku`),
    ];
    const found = [complaints(one), complaints(two)];
    await until(
      "both connections",
      async () => (await linkState(one)) === "open" && (await linkState(two)) === "open",
    );
    await one.locator("#comment").fill("哈哈哈 hello");
    await one.locator('input[name="color"][value="#ffd23f"]').check({ force: true });
    await one.locator("#comment").press("Enter");
    for (const page of [one, two]) {
      await until("the comment", async () =>
        ((await page.locator("#recent li").first().textContent()) ?? "").startsWith("哈哈哈 hello"),
      );
      await until("it on the stage", async () => (await page.locator("#count-shown").textContent()) === "1");
    }
    await until("it to be marked as own", async () => (await one.locator("#recent .own-mark").count()) === 1);
    expect(await two.locator("#recent .own-mark").count()).toBe(0);
    await one.locator("#comment").fill("at the top 顶部");
    await one.locator('input[name="mode"][value="top"]').check({ force: true });
    await one.locator("#comment").press("Enter");
    await one.locator("#comment").fill("at the bottom 底部");
    await one.locator('input[name="mode"][value="bottom"]').check({ force: true });
    await one.locator("#comment").press("Enter");
    await until("all three", async () => (await two.locator("#count-shown").textContent()) === "3");
    // Yellow of the first comment is somewhere on the canvas of the page that did not send it.
    await until("its colour on the canvas", () => two.evaluate(hasYellow));
    const crowd = Array.from(
      { length: 300 },
      (_, index) =>
        `{"topic":"danmaku.room1","data":{"text":"弹幕 ${index}","color":"#ffffff","mode":"scroll"}}`,
    );
    expect((await publishLines(server.http, crowd)).status).toBe(200);
    await until("the sample", async () => Number(await two.locator("#count-sampled").textContent()) > 100);
    await two.waitForTimeout(1500);
    await screenshot(two, "danmaku-wide");
    await two.setViewportSize({ width: 360, height: 740 });
    await two.waitForTimeout(500);
    await screenshot(two, "danmaku-phone");
    expect(found.flat()).toEqual([]);
    await one.context().close();
    await two.context().close();
  });
});

/** In the page: whether the stage has many pixels of #ffd23f. */
function hasYellow(): boolean {
  const canvas = document.querySelector("canvas");
  const context = canvas?.getContext("2d");
  if (canvas === null || context === null || context === undefined) return false;
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (data[at] === 0xff && data[at + 1] === 0xd2 && data[at + 2] === 0x3f) count += 1;
  }
  return count > 50;
}
