/** The protocol lesson in Chromium, and the client of the lesson that this project began with, unchanged. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../e2e/run.ts";
import { Server } from "../e2e/server.ts";
import { until } from "../e2e/until.ts";
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

/** What the page tells in its log, one text for each notice and message. */
function told(page: Page): Promise<string[]> {
  return page.locator("#content > .lesson-notice > p, #content > details > summary").allTextContents();
}

describe("the lesson page", () => {
  it("【连接成功】, 提交 with both frames, 关闭连接 and 【关闭连接】", async () => {
    const page = await openPage(browser, `${server.http}/demo/lesson`, { locale: "zh-CN" });
    const found = complaints(page);
    await until("【连接成功】", async () => (await told(page))[0]?.startsWith("【连接成功】") === true);
    expect(await page.locator("#btn").textContent()).toContain("提交");
    expect(await page.locator("#close").textContent()).toContain("关闭连接");
    await page.locator("#txt").fill("Hello");
    await page.locator("#btn").click();
    await until("both frames", async () => (await page.locator("#content .frame").count()) === 2);
    expect((await told(page))[1]).toBe("Hello");
    expect(await page.locator("#txt").inputValue()).toBe("");
    const lines = await page.locator("#content .hex-line").allTextContents();
    // RFC 6455 §5.7, "A single-frame unmasked text message" and its masked sister, whose key the browser draws.
    expect(lines[1]?.trim()).toBe("81 05 48 65 6c 6c 6f");
    expect(lines[0]).toMatch(/^81 85 (?:[0-9a-f]{2} ?){4} ?(?:[0-9a-f]{2} ?){5}$/u);
    const bytes = (lines[0] ?? "")
      .trim()
      .split(/\s+/u)
      .map((byte) => Number.parseInt(byte, 16));
    const unmasked = bytes.slice(6).map((byte, index) => byte ^ (bytes[2 + (index % 4)] ?? 0));
    expect(Buffer.from(unmasked).toString()).toBe("Hello");
    await screenshot(page, "lesson-wide");
    await page.locator("#close").click();
    await until("【关闭连接】", async () => (await told(page)).at(-1)?.startsWith("【关闭连接】") === true);
    expect((await told(page)).at(-1)).toContain("1000");
    expect(await page.locator("#btn").isDisabled()).toBe(true);
    await page.locator("#connect").click();
    await until(
      "【连接成功】 again",
      async () => (await told(page)).at(-1)?.startsWith("【连接成功】") === true,
    );
    expect(found).toEqual([]);
    await page.context().close();
  });

  it.each([
    { example: "chinese", length: "6", frames: 2 },
    { example: "long", length: "126", frames: 2 },
    { example: "huge", length: "127", frames: 2 },
    { example: "binary", length: "4", frames: 2 },
  ])("the example $example shows its frames", async ({ example, frames }) => {
    const page = await openPage(browser, `${server.http}/demo/lesson`);
    const found = complaints(page);
    await until("the connection", async () => (await linkState(page)) === "open");
    await page.locator(`[data-example="${example}"]`).click();
    await until("its frames", async () => (await page.locator("#content .frame").count()) === frames);
    await screenshot(page, `lesson-${example}`);
    await page.setViewportSize({ width: 360, height: 740 });
    await screenshot(page, `lesson-${example}-phone`);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
    expect(found).toEqual([]);
    await page.context().close();
  });

  it("works with the keyboard alone", async () => {
    const page = await openPage(browser, `${server.http}/demo/lesson`);
    await until("the connection", async () => (await linkState(page)) === "open");
    const focused = () => page.evaluate(() => document.activeElement?.id ?? "");
    const tabTo = async (id: string): Promise<void> => {
      for (let count = 0; count < 40; count++) {
        if ((await focused()) === id) return;
        await page.keyboard.press("Tab");
      }
      throw new Error(`Tab does not lead to #${id}`);
    };
    await tabTo("txt");
    await page.keyboard.type("by hand");
    await page.keyboard.press("Enter");
    await until("the echo", async () => (await told(page)).includes("by hand"));
    expect(await focused()).toBe("txt");
    await tabTo("close");
    const outline = await page.evaluate(() => {
      const style = getComputedStyle(document.activeElement ?? document.body);
      return `${style.outlineStyle} ${style.outlineWidth} ${style.boxShadow}`;
    });
    expect(outline, "the focus can be seen").not.toBe("none 0px none");
    await page.keyboard.press("Space");
    await until("【关闭连接】", async () => (await told(page)).at(-1)?.includes("【关闭连接】") === true);
    await tabTo("connect");
    await page.keyboard.press("Enter");
    await until("【连接成功】", async () => (await told(page)).at(-1)?.includes("【连接成功】") === true);
    await page.context().close();
  });
});

describe.each(["/", "/demo/danmaku", "/demo/chat", "/demo/lesson"])("the page %s", (path) => {
  it.each([{ width: 320 }, { width: 360 }, { width: 768 }, { width: 1920 }])(
    "fits a screen of $width pixels without scrolling sideways, and complains of nothing",
    async ({ width }) => {
      const page = await openPage(browser, server.http + path, { viewport: { width, height: 740 } });
      const found = complaints(page);
      await page.reload();
      await until("the connection", async () => (await linkState(page)) === "open");
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      await page.getByRole("button", { name: "中文" }).click();
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      expect(found).toEqual([]);
      await page.context().close();
    },
  );
});

describe("the client of the original lesson, with its own JavaScript calls", () => {
  it("works unchanged against demo.rootEcho", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tapecast-lesson-"));
    try {
      const file = join(folder, "client.html");
      writeFileSync(file, originalClient(server.port));
      const page = await openPage(browser, pathToFileURL(file).href);
      const found = complaints(page);
      const content = page.locator("#content > div");
      await until("【连接成功】", async () => (await content.allTextContents())[0] === "【连接成功】");
      await page.locator("#txt").fill("你好, WebSocket");
      await page.locator("#btn").click();
      await until("the echo", async () => (await content.allTextContents()).length === 2);
      await page.locator("#txt").fill("x".repeat(100_000));
      await page.locator("#btn").click();
      await until("the long echo", async () => (await content.allTextContents()).length === 3);
      expect(await content.allTextContents()).toEqual([
        "【连接成功】",
        "你好, WebSocket",
        "x".repeat(100_000),
      ]);
      await page.locator("#close").click();
      // Once from the button and once from onclose, as in the original.
      await until("the close event", async () => (await content.allTextContents()).length === 5);
      expect((await content.allTextContents()).slice(3)).toEqual(["【关闭连接】", "【关闭连接】"]);
      expect(found).toEqual([]);
      await page.context().close();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

/** A page of our own that makes the calls of the lesson's client; its port was 8003. */
function originalClient(port: number): string {
  return `<!DOCTYPE html>
<html>
<head lang="en"><meta charset="UTF-8"><title></title></head>
<body>
<input type="text" id="txt"/>
<input type="button" id="btn" value="提交" onclick="sendMsg();"/>
<input type="button" id="close" value="关闭连接" onclick="closeConn();"/>
<div id="content"></div>
<script type="text/javascript">
  var socket = new WebSocket("ws://127.0.0.1:${port}");
  function show(html) {
    var line = document.createElement('div');
    line.innerHTML = html;
    document.getElementById('content').appendChild(line);
  }
  socket.onopen = function () { show("【连接成功】"); };
  socket.onmessage = function (event) { show(event.data); };
  socket.onclose = function (event) { show("【关闭连接】"); };
  function sendMsg() {
    var txt = document.getElementById('txt');
    socket.send(txt.value);
    txt.value = "";
  }
  function closeConn() {
    socket.close();
    show("【关闭连接】");
  }
</script>
</body>
</html>
`;
}
