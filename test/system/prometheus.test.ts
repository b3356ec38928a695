import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";

import { readDashboards } from "../../load/dashboards/dashboard.ts";
import { drawDashboard } from "../../load/dashboards/draw-dashboard.ts";
import { OwnPrometheus, scrapeSec } from "../../load/dashboards/own-prometheus.ts";
import { PrometheusApi } from "../../load/dashboards/prometheus-api.ts";
import { OwnServer } from "../../load/own-server.ts";
import { WebSocketClient } from "../../src/cli/websocket-client.ts";
import { alertQueries, filledIn, panelQueries, sidesOf } from "../metrics/queries.ts";
import { redisUrl, uniquePrefix } from "../setup/redis-url.ts";
import { complaints, launchChromium, openPage, screenshot } from "./chromium.ts";

// A real Prometheus scrapes a real server that real clients use; every panel of the dashboard must show something.

const config = fileURLToPath(new URL("../../config/", import.meta.url));
/** What Grafana puts in for `$__rate_interval` at its smallest: four scrapes. */
const rateInterval = "4s";
/** Enough scrapes for every rate. */
const scrapesMin = 8;

let server: OwnServer;
let prometheus: OwnPrometheus;
let api: PrometheusApi;
const clients: WebSocketClient[] = [];
let compressing: WebSocket;
let publishing: NodeJS.Timeout;

beforeAll(async () => {
  server = await OwnServer.start([
    "workers=2",
    "demo.replay=recorded",
    "demo.speed=50",
    "broker.kind=redis",
    `broker.redis.url=${redisUrl()}`,
    `broker.redis.prefix=${uniquePrefix()}`,
  ]);
  for (let count = 0; count < 8; count++) subscribe();
  // A browser that compresses.
  compressing = new WebSocket(`${server.url.replace("http", "ws")}/ws?topics=trade.system`, {
    perMessageDeflate: true,
  });
  compressing.on("error", () => undefined);
  publishing = setInterval(() => void publish(), 200);
  prometheus = await OwnPrometheus.start([new URL(server.adminUrl).host]);
  api = new PrometheusApi(prometheus.url);
  await scraped();
}, 90_000);

afterAll(async () => {
  clearInterval(publishing);
  for (const client of clients) client.destroy();
  compressing.terminate();
  await Promise.all([prometheus.stop(), server.stop()]);
});

describe("config/prometheus.yml", () => {
  it("passes promtool, rules included", () => {
    expect(
      execFileSync("promtool", ["check", "config", `${config}prometheus.yml`], { encoding: "utf8" }),
    ).toContain("SUCCESS");
  });
});

describe("Prometheus and a running server", () => {
  it("scrapes all that the admin port gives", async () => {
    const { activeTargets } = await api.ask<{ activeTargets: { health: string; lastError: string }[] }>(
      "targets",
    );
    expect(activeTargets.map(({ health, lastError }) => ({ health, lastError }))).toEqual([
      { health: "up", lastError: "" },
    ]);
  });

  it.each(panelQueries())("$where has data", async (query) => {
    expect(await hasNumber(filledIn(query, rateInterval))).toBe(true);
  });

  it.each(alertQueries())("$where has data to compare", async ({ expression }) => {
    const sides = sidesOf(expression.replaceAll(/\[\d+m\]/gu, `[${rateInterval}]`));
    expect(sides.length).toBeGreaterThan(0);
    for (const side of sides) expect(await hasNumber(side), side).toBe(true);
  });

  it("every choice of the dashboards' variables is there", async () => {
    for (const label of ["instance", "worker", "rule"]) {
      expect((await api.ask<string[]>(`label/${label}/values`)).length).toBeGreaterThan(0);
    }
  });

  it("evaluates every alert, and none of them fires on a healthy server", async () => {
    const { groups } = await api.ask<{
      groups: { rules: { name: string; health: string; state: string }[] }[];
    }>("rules");
    const rules = groups.flatMap((group) => group.rules);
    expect(rules).toHaveLength(alertQueries().length);
    for (const { name, health, state } of rules) {
      expect({ name, health, state }).toEqual({ name, health: "ok", state: "inactive" });
    }
  });

  it("the figures are true: what the clients hold is what Prometheus says", async () => {
    const { result } = await api.ask<{ result: { value: [number, string] }[] }>(
      `query?query=${encodeURIComponent("sum(tapecast_connections_open)")}`,
    );
    expect(Number(result[0]?.value[1])).toBe(clients.length + 1);
  });
});

describe("the dashboards as pictures", () => {
  it("every panel shows something, in Chromium, without a complaint", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tapecast-dashboards-"));
    const browser = await launchChromium();
    try {
      const end = Math.floor(Date.now() / 1000);
      for (const dashboard of readDashboards()) {
        const drawn = await drawDashboard(dashboard, api, { start: end - 5, end, step: 1 }, scrapeSec);
        expect(drawn.empty).toEqual([]);
        expect(drawn.answered).toBe(drawn.queries);
        const file = join(folder, `${dashboard.uid}.html`);
        writeFileSync(file, drawn.html);
        const page = await openPage(browser, "about:blank");
        const found = complaints(page);
        await page.goto(`file://${file}`);
        const panelsOf = (type: string): number =>
          dashboard.panels.filter((panel) => panel.type === type).length;
        expect(await page.locator(".panel canvas").count()).toBe(panelsOf("timeseries"));
        expect(await page.locator(".panel .stat").count()).toBe(panelsOf("stat"));
        expect(found).toEqual([]);
        await screenshot(page, dashboard.uid);
      }
    } finally {
      await browser.close();
      rmSync(folder, { recursive: true });
    }
  });
});

/** Whether a query answers with a number that is one, neither infinite nor NaN. */
async function hasNumber(query: string): Promise<boolean> {
  const path = `query?query=${encodeURIComponent(query)}`;
  const { result } = await api.ask<{ result: { value: [number, string] }[] }>(path);
  return result.some(({ value }) => Number.isFinite(Number(value[1])));
}

function subscribe(): void {
  const client = new WebSocketClient(
    { url: `${server.url.replace("http", "ws")}/ws` },
    {
      onOpen: () => {
        const topics = ["quote.AAPL", "quote.IBM", "quote.SPX", "trade.system", "no!topic"];
        client.send(JSON.stringify({ id: 1, method: "subscribe", params: { topics } }));
      },
    },
  );
  clients.push(client);
}

async function publish(): Promise<void> {
  const body = JSON.stringify({ topic: "trade.system", data: { at: Date.now() } });
  const headers = { "content-type": "application/json" };
  await fetch(`${server.url}/api/publish`, { method: "POST", headers, body });
}

async function scraped(): Promise<void> {
  const query = encodeURIComponent(`count_over_time(tapecast_topics{worker="1"}[5m])`);
  for (;;) {
    const { result } = await api.ask<{ result: { value: [number, string] }[] }>(`query?query=${query}`);
    // The test's own deadline ends a wait for ever.
    if (Number(result[0]?.value[1] ?? 0) >= scrapesMin) return;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}
