import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { parse, stringify } from "yaml";

import { OwnServer } from "../../load/own-server.ts";
import { WebSocketClient } from "../../src/cli/websocket-client.ts";
import { alertQueries, filledIn, panelQueries, sidesOf } from "../metrics/queries.ts";
import { redisUrl, uniquePrefix } from "../setup/redis-url.ts";

// A real Prometheus scrapes a real server that real clients use; every panel of the dashboard must show something.

const config = fileURLToPath(new URL("../../config/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "tapecast-prometheus-"));
/** What Grafana puts in for `$__rate_interval` at its smallest: four scrapes. */
const rateInterval = "4s";
/** Enough scrapes for every rate. */
const scrapesMin = 8;

let server: OwnServer;
let prometheus: ChildProcess;
let prometheusUrl = "";
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
  const port = await freePort();
  prometheusUrl = `http://127.0.0.1:${port}`;
  writeConfig();
  prometheus = spawn(
    "prometheus",
    [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=error",
    ],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  process.once("exit", () => prometheus.kill("SIGKILL"));
  await scraped();
}, 90_000);

afterAll(async () => {
  clearInterval(publishing);
  for (const client of clients) client.destroy();
  compressing.terminate();
  const ended = new Promise((resolve) => prometheus.once("exit", resolve));
  prometheus.kill("SIGTERM");
  await Promise.all([ended, server.stop()]);
  rmSync(folder, { recursive: true });
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
    const { activeTargets } = await ask<{ activeTargets: { health: string; lastError: string }[] }>(
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
      expect((await ask<string[]>(`label/${label}/values`)).length).toBeGreaterThan(0);
    }
  });

  it("evaluates every alert, and none of them fires on a healthy server", async () => {
    const { groups } = await ask<{ groups: { rules: { name: string; health: string; state: string }[] }[] }>(
      "rules",
    );
    const rules = groups.flatMap((group) => group.rules);
    expect(rules).toHaveLength(alertQueries().length);
    for (const { name, health, state } of rules) {
      expect({ name, health, state }).toEqual({ name, health: "ok", state: "inactive" });
    }
  });

  it("the figures are true: what the clients hold is what Prometheus says", async () => {
    const { result } = await ask<{ result: { value: [number, string] }[] }>(
      `query?query=${encodeURIComponent("sum(tapecast_connections_open)")}`,
    );
    expect(Number(result[0]?.value[1])).toBe(clients.length + 1);
  });
});

/** Whether a query answers with a number that is one, neither infinite nor NaN. */
async function hasNumber(query: string): Promise<boolean> {
  const path = `query?query=${encodeURIComponent(query)}`;
  const { result } = await ask<{ result: { value: [number, string] }[] }>(path);
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

/** The repository's own configuration, but for the target and the pace. */
function writeConfig(): void {
  const whole = parse(readFileSync(`${config}prometheus.yml`, "utf8"));
  whole.global = { scrape_interval: "1s", evaluation_interval: "1s" };
  whole.scrape_configs[0].static_configs[0].targets = [new URL(server.adminUrl).host];
  writeFileSync(`${folder}/prometheus.yml`, stringify(whole));
  for (const file of whole.rule_files) copyFileSync(config + file, join(folder, file));
}

async function scraped(): Promise<void> {
  const query = encodeURIComponent(`count_over_time(tapecast_topics{worker="1"}[5m])`);
  for (;;) {
    const count = await ask<{ result: { value: [number, string] }[] }>(`query?query=${query}`)
      .then(({ result }) => Number(result[0]?.value[1] ?? 0))
      // Not listening yet; the test's own deadline ends a wait for ever.
      .catch(() => 0);
    if (count >= scrapesMin) return;
    if (prometheus.exitCode !== null)
      throw new Error("prometheus ended; install Debian's package prometheus");
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

async function ask<Data>(path: string): Promise<Data> {
  const response = await fetch(`${prometheusUrl}/api/v1/${path}`);
  const answer = (await response.json()) as { status: string; data: Data; error?: string };
  if (answer.status !== "success") throw new Error(answer.error);
  return answer.data;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}
