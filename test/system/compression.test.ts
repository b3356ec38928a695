/** Chromium's own WebSocket agrees on permessage-deflate and reads what an audience shares. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { publishLines } from "../e2e/http.ts";
import { Server } from "../e2e/server.ts";
import { until } from "../e2e/until.ts";
import { launchChromium, openPage } from "./chromium.ts";

let browser: Browser;
let server: Server;

beforeAll(async () => {
  browser = await launchChromium();
  server = await Server.start({ sets: { workers: 1 } });
});

afterAll(async () => {
  await browser.close();
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});

/** Opens a WebSocket in the page and keeps what it gets. A text: the tests know no DOM. */
function openSocket(path: string): string {
  return `new Promise((resolve, reject) => {
    const socket = new WebSocket(location.origin.replace("http", "ws") + ${JSON.stringify(path)});
    globalThis.texts = [];
    globalThis.socket = socket;
    socket.onmessage = (event) => globalThis.texts.push(event.data);
    socket.onopen = () => resolve(socket.extensions);
    socket.onclose = (event) => reject(new Error("closed with " + event.code));
  })`;
}

describe("permessage-deflate in Chromium", () => {
  it("batches come compressed, byte for byte, and a long command goes compressed", async () => {
    const names = Array.from({ length: 20 }, (_, index) => `quote.S${index}`);
    const page = await openPage(browser, `${server.http}/demo/lesson`);
    const path = `/ws?batch=1&topics=${names.join(",")}`;
    expect(await page.evaluate<string>(openSocket(path))).toMatch(/^permessage-deflate/u);
    const texts = (): Promise<string[]> => page.evaluate<string[]>("globalThis.texts");
    await until("welcome and subscribed", async () => (await texts()).length === 2);
    await page.evaluate(
      `socket.send(JSON.stringify({ id: 1, method: "ping", ignored: "行情".repeat(1000) }))`,
    );
    await until("the reply", async () => (await texts()).includes('{"id":1,"result":{}}'));
    const lines = names.map(
      (topic, index) => `{"topic":"${topic}","data":{"price":${index}.10,"name":"行情"}}`,
    );
    await publishLines(server.http, lines);
    await until("all quotes", async () => (await texts()).join("\n").includes('"quote.S19","seq":1'));
    const got = (await texts()).slice(3).flatMap((text) => text.split("\n"));
    expect(got).toEqual(lines.map((line) => line.replace(',"data"', ',"seq":1,"data"')));
    await until(
      "the figures",
      async () => (await server.metrics()).sum("tapecast_deflate_messages_total") > 0,
    );
    expect((await server.metrics()).sum("tapecast_inflate_messages_total")).toBeGreaterThan(0);
    await page.context().close();
  });
});
