/** The newcomer's two minutes: the demo configuration shows recorded real prices without anything else. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { get } from "./http.ts";
import { Peer } from "./peer.ts";
import { root } from "./run.ts";
import { Server } from "./server.ts";

let server: Server;

beforeAll(async () => {
  server = await Server.start({ config: join(root, "config/demo.yaml") });
});

afterAll(async () => {
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});

describe("config/demo.yaml", () => {
  it("/raw/quote.AAPL brings prices of the recording, digit for digit, several within seconds", async () => {
    const recorded = readFileSync(join(root, "src/feed/data/stocks.csv"), "utf8")
      .split("\n")
      .filter((line) => line.startsWith("AAPL,"))
      .map((line) => line.trim().split(",")[2] ?? "");
    expect(recorded.length).toBeGreaterThan(100);
    const peer = await Peer.open(`${server.ws}/raw/quote.AAPL`);
    const startMs = performance.now();
    const prices: string[] = [];
    while (prices.length < 5) {
      const text = await peer.text();
      prices.push(/"price":([^,}]+)/u.exec(text)?.[1] ?? `no price in ${text}`);
    }
    console.log(`AAPL: ${prices.join(" ")} in ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
    const first = recorded.indexOf(prices[0] ?? "");
    expect(first).toBeGreaterThanOrEqual(0);
    expect(prices).toEqual(recorded.slice(first, first + 5));
    await peer.close();
  });

  it("all the board's symbols have a value", async () => {
    for (const symbol of ["AAPL", "AMZN", "GOOG", "IBM", "MSFT", "SP500"]) {
      const value = await get(`${server.http}/api/topics/quote.${symbol}`);
      expect(value.json(), symbol).toMatchObject({ seq: expect.any(Number) });
    }
  });

  it.each(["/", "/demo/danmaku", "/demo/chat", "/demo/lesson"])(
    "%s is a page, and so are its parts",
    async (path) => {
      const page = await get(server.http + path);
      expect(page.status).toBe(200);
      expect(page.headers["content-type"]).toMatch(/^text\/html/u);
      expect(page.headers["content-security-policy"]).toContain("default-src 'none'");
      const parts = Array.from(
        page.text.matchAll(/(?:src|href)="(\/demo\/[^"]+)"/gu),
        ([, part]) => part ?? "",
      );
      expect(parts.length).toBeGreaterThan(1);
      for (const part of parts) expect((await get(server.http + part)).status, part).toBe(200);
    },
  );

  it("rootEcho: a WebSocket on / is the lesson's echo", async () => {
    const peer = await Peer.open(`${server.ws}/`);
    peer.client.send("你好");
    expect(await peer.text()).toBe("你好");
    expect(await peer.close(1000)).toMatchObject({ code: 1000 });
  });
});
