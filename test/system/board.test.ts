/** The ticker board in Chromium: recorded prices, and whatever Redis brings, move it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { redisCli, root, tapecast } from "../e2e/run.ts";
import { onRedis, Server } from "../e2e/server.ts";
import { until } from "../e2e/until.ts";
import { redisUrl, uniquePrefix } from "../setup/redis-url.ts";
import { complaints, launchChromium, linkState, openPage, screenshot } from "./chromium.ts";

let browser: Browser;

beforeAll(async () => {
  browser = await launchChromium();
});

afterAll(async () => {
  await browser.close();
});

const symbols = ["AAPL", "AMZN", "GOOG", "IBM", "MSFT", "SP500"];
/** GOOG was not listed before August 2004: 28 seconds into the recording, which begins in 2000. */
const symbolsOf2000 = symbols.filter((symbol) => symbol !== "GOOG");

/** The row of a symbol. */
function row(page: Page, symbol: string) {
  return page.locator("#board-rows tr", {
    has: page.locator(".symbol-name", { hasText: new RegExp(`^${symbol}$`, "u") }),
  });
}

async function lasts(page: Page): Promise<string[]> {
  return page.locator("#board-rows td.last").allTextContents();
}

async function hasPrices(page: Page): Promise<boolean> {
  const prices = (await lasts(page)).filter((text) => /^[\d.]+$/u.test(text));
  return prices.length >= symbolsOf2000.length;
}

/** Run in the page: on how many lines the text of an element is. */
function linesOf(element: Element): number {
  const text = document.createRange();
  text.selectNodeContents(element);
  return new Set(Array.from(text.getClientRects(), ({ top }) => Math.round(top))).size;
}

describe("the board of the demonstration", () => {
  let server: Server;

  beforeAll(async () => {
    server = await Server.start({ config: join(root, "config/demo.yaml") });
  });

  afterAll(async () => {
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });

  it("shows every symbol's price, and each of them moves", async () => {
    const page = await openPage(browser, `${server.http}/`);
    const found = complaints(page);
    const startMs = performance.now();
    await page.goto(`${server.http}/`);
    await until("the first prices", () => hasPrices(page));
    const firstMs = performance.now() - startMs;
    expect(await page.locator(".symbol-name").allTextContents()).toEqual(symbols);
    const seen = new Map<string, Set<string>>();
    await until("each price to move three times", async () => {
      const texts = await lasts(page);
      for (const [index, symbol] of symbols.entries()) {
        seen.set(symbol, (seen.get(symbol) ?? new Set()).add(texts[index] ?? ""));
      }
      return symbolsOf2000.every((symbol) => (seen.get(symbol)?.size ?? 0) > 3);
    });
    console.log(
      `board: first prices ${firstMs.toFixed(0)} ms after the address, moving ${(performance.now() - startMs - firstMs).toFixed(0)} ms later`,
    );
    expect(Number(await page.locator("#per-second").textContent())).toBeGreaterThan(0);
    const points = await row(page, "AAPL").locator(".sparkline-line").getAttribute("points");
    expect(points?.split(" ").length, "the sparkline").toBeGreaterThan(3);
    expect(await row(page, "AAPL").getAttribute("data-flash")).toMatch(/^(?:up|down)-[01]$/u);
    expect(await row(page, "AAPL").locator(".change-percent").textContent()).toMatch(/%$/u);
    await screenshot(page, "board-wide");
    await page.setViewportSize({ width: 360, height: 740 });
    await screenshot(page, "board-phone");
    await page.emulateMedia({ colorScheme: "dark" });
    // The narrowest phones: eleven digits of a price stay on one line.
    await page.setViewportSize({ width: 320, height: 640 });
    await until(
      "a long price",
      async () => (await row(page, "SP500").locator("td.last").innerText()).length > 10,
    );
    expect(await row(page, "SP500").locator("td.last").evaluate(linesOf)).toBe(1);
    await page.setViewportSize({ width: 1440, height: 900 });
    await screenshot(page, "board-wide-dark");
    expect(found).toEqual([]);
    await page.context().close();
  });

  it("a rate of one a second slows it down to that", async () => {
    const page = await openPage(browser, `${server.http}/`);
    await until("prices", () => hasPrices(page));
    await page.locator('input[name="rate"][value="1000"]').check({ force: true });
    await page.waitForTimeout(1500);
    const before = Number(await row(page, "AAPL").locator("td.updates").textContent());
    await page.waitForTimeout(3000);
    const after = Number(await row(page, "AAPL").locator("td.updates").textContent());
    expect(after - before).toBeGreaterThanOrEqual(2);
    expect(after - before).toBeLessThanOrEqual(4);
    await page.context().close();
  });

  it("switches between English and Chinese and remembers it", async () => {
    const page = await openPage(browser, `${server.http}/`);
    expect(await page.locator("h1").textContent()).toBe("Quotes");
    await page.getByRole("button", { name: "中文" }).click();
    expect(await page.locator("h1").textContent()).toBe("行情");
    expect(await page.locator("html").getAttribute("lang")).toMatch(/^zh/u);
    await page.goto(`${server.http}/demo/chat`);
    expect(await page.locator("h1").textContent()).toBe("聊天室");
    await page.goto(`${server.http}/`);
    await until("prices", () => hasPrices(page));
    await screenshot(page, "board-chinese");
    await page.getByRole("button", { name: "EN" }).click();
    expect(await page.locator("h1").textContent()).toBe("Quotes");
    await page.context().close();
  });

  it("a browser that prefers Chinese gets Chinese", async () => {
    const page = await openPage(browser, `${server.http}/`, { locale: "zh-CN" });
    expect(await page.locator("h1").textContent()).toBe("行情");
    await page.context().close();
  });

  it("comes back by itself when its worker is killed", async () => {
    const page = await openPage(browser, `${server.http}/`);
    await until("the connection", async () => (await linkState(page)) === "open");
    const before = Number(await row(page, "AAPL").locator("td.updates").textContent());
    for (const pid of server.workerPids()) process.kill(pid, "SIGKILL");
    await until("the loss to show", async () => (await linkState(page)) !== "open");
    await until("the connection again", async () => (await linkState(page)) === "open");
    await until("prices to move again", async () => {
      return Number(await row(page, "AAPL").locator("td.updates").textContent()) > before + 3;
    });
    await page.context().close();
  });

  it("a topic that the server refuses is said so, and the board goes on", async () => {
    const page = await openPage(browser, `${server.http}/`);
    await page.locator("#add-topic").fill("nope!");
    await page.locator("#add-form button").click();
    expect(await page.locator("#add-notice").textContent()).toContain("Not a topic name");
    await page.locator("#add-topic").fill("nope.TEST");
    await page.locator("#add-form button").click();
    await until("the refusal", async () =>
      /refuses nope\.TEST/u.test((await page.locator("#add-notice").textContent()) ?? ""),
    );
    expect(await row(page, "nope.TEST").count()).toBe(0);
    await page.context().close();
  });

  it("long names of topics stay within the board, and the board within its part of the page", async () => {
    const page = await openPage(browser, `${server.http}/`);
    await until("the prices", () => hasPrices(page));
    await page.locator("#add-topic").fill(`quote.${"很长的名字".repeat(8)}`);
    await page.locator("#add-form button").click();
    await until("the row", async () => (await page.locator("#board-rows tr").count()) === symbols.length + 1);
    const boardWidth = async (): Promise<number> =>
      page.locator(".board").evaluate((board) => board.scrollWidth);
    const frameWidth = async (): Promise<number> =>
      page.locator(".board-frame").evaluate((frame) => frame.clientWidth);
    expect(await boardWidth()).toBeLessThanOrEqual(await frameWidth());
    const frame = await page.locator(".board-frame").boundingBox();
    const notes = await page.locator(".margin-notes").boundingBox();
    expect((frame?.x ?? 0) + (frame?.width ?? 0)).toBeLessThan(notes?.x ?? 0);
    await page.context().close();
  });
});

describe("the board in front of Redis", () => {
  const prefix = uniquePrefix();
  let server: Server;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "tapecast-board-"));
    server = await Server.start({ sets: onRedis(redisUrl(), prefix) });
  });

  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });

  it("redis-cli PUBLISH moves quote.TEST once it is on the board", async () => {
    const page = await openPage(browser, `${server.http}/`);
    const found = complaints(page);
    await page.locator("#add-topic").fill("quote.TEST");
    await page.locator("#add-topic").press("Enter");
    await until("the subscription", async () => {
      return (await redisCli(redisUrl(), "PUBSUB", "NUMSUB", `${prefix}quote.TEST`)).endsWith("\n1");
    });
    const last = row(page, "TEST").locator("td.last");
    await redisCli(redisUrl(), "PUBLISH", `${prefix}quote.TEST`, '{"price":1.10}');
    await until("1.10", async () => (await last.textContent()) === "1.10");
    await redisCli(redisUrl(), "PUBLISH", `${prefix}quote.TEST`, '{"price":1.30}');
    await until("1.30", async () => (await last.textContent()) === "1.30");
    expect(await row(page, "TEST").getAttribute("data-direction")).toBe("up");
    await screenshot(page, "board-redis");
    expect(found).toEqual([]);
    await page.context().close();
  });

  it("tapecast replay --redis moves it", async () => {
    const file = join(folder, "AAPL.csv");
    const rows = Array.from(
      { length: 20 },
      (_, day) => `2000-01-${String(day + 1).padStart(2, "0")},${day + 1}.50`,
    );
    writeFileSync(file, ["date,price", ...rows, ""].join("\n"));
    const config = join(folder, "redis.yaml");
    writeFileSync(config, `broker: { kind: redis, redis: { prefix: "${prefix}" } }\n`);
    const page = await openPage(browser, `${server.http}/`);
    await until("the subscription", async () => {
      return !(await redisCli(redisUrl(), "PUBSUB", "NUMSUB", `${prefix}quote.AAPL`)).endsWith("\n0");
    });
    const replay = await tapecast([
      "replay",
      file,
      "--speed",
      "10",
      "--redis",
      redisUrl(),
      "--config",
      config,
    ]);
    expect(replay).toMatchObject({ code: 0 });
    await until(
      "the last price",
      async () => (await row(page, "AAPL").locator("td.last").textContent()) === "20.50",
    );
    expect(Number(await row(page, "AAPL").locator("td.updates").textContent())).toBeGreaterThan(5);
    await page.context().close();
  });
});
