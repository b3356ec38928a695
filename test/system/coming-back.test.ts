/** The browser SDK in Chromium: what a page gets when its connection is cut, the server restarts, or it was away too long. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { publishLines } from "../e2e/http.ts";
import { Server } from "../e2e/server.ts";
import { until } from "../e2e/until.ts";
import { TcpProxy } from "../fault/tcp-proxy.ts";
import { launchChromium, openPage } from "./chromium.ts";

/** Of the page's own script: what it was told. */
interface Diary {
  /** `seq` of every publication, in order. */
  seqs: number[];
  snapshots: { seq: number; recovered: boolean | null; text: string | null }[];
  statuses: { state: string; retryInMs?: number; code?: number }[];
  /** `reconnectAfterMs` of every `closing`. */
  askedMs: number[];
}
interface DiaryPage {
  diary: Diary;
  away: (ms: number) => void;
}

const topic = "trade.T";
const historySize = 50;

let browser: Browser;
let server: Server;
let proxy: TcpProxy;
let page: Page;
let published = 0;

beforeAll(async () => {
  browser = await launchChromium();
  server = await Server.start({
    sets: {
      "flush.ringMessagesMax": 4,
      topics: [{ match: "trade.**", delivery: "every", history: { size: historySize, ttlMs: 300_000 } }],
    },
  });
  proxy = await TcpProxy.start(server.port);
});

afterAll(async () => {
  await browser?.close();
  await proxy?.stop();
  await server?.[Symbol.asyncDispose]();
});

/** A page that subscribes by the SDK as it is served. */
beforeEach(async () => {
  await page?.context().close();
  page = await openPage(browser, `http://127.0.0.1:${proxy.port}/demo/lesson`);
  // As text, since the test runner rewrites `import` in functions.
  await page.evaluate(
    'import("/demo/js/client/tapecast-client.js").then((sdk) => Object.assign(globalThis, sdk))',
  );
  await page.evaluate((name) => {
    const { TapecastClient } = globalThis as unknown as typeof import("../../src/client/tapecast-client.ts");
    const diary: Diary = { seqs: [], snapshots: [], statuses: [], askedMs: [] };
    const client = new TapecastClient(`ws://${location.host}/ws`, {
      webSocket: (url) => {
        const socket = new WebSocket(url, "tapecast.v1");
        socket.addEventListener("message", ({ data }) => {
          const { event, reconnectAfterMs } = JSON.parse(String(data)) as Record<string, unknown>;
          if (event === "closing") diary.askedMs.push(Number(reconnectAfterMs));
        });
        return socket;
      },
      onStatus: (status) => diary.statuses.push(status),
    });
    client.subscribe([name], {
      onPublication: ({ seq }) => diary.seqs.push(seq ?? -1),
      onSnapshot: ({ seq, recovered, value }) =>
        diary.snapshots.push({ seq: seq ?? -1, recovered, text: value?.text ?? null }),
    });
    Object.assign(globalThis, { diary, away: (ms: number) => client.reconnect(ms) });
  }, topic);
  await until("the first snapshot", async () => (await diary()).snapshots.length === 1);
});

function diary(): Promise<Diary> {
  return page.evaluate(() => (globalThis as unknown as DiaryPage).diary);
}

async function publishSome(count: number): Promise<void> {
  const lines = Array.from({ length: count }, (_, index) =>
    JSON.stringify({ topic, data: published + index + 1 }),
  );
  expect((await publishLines(server.http, lines)).status).toBe(200);
  published += count;
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

it("cut four times in a row, it misses nothing, gets nothing twice, and is soon back", async () => {
  const first = published + 1;
  for (let cut = 1; cut <= 4; cut += 1) {
    await publishSome(3);
    proxy.heal();
    await publishSome(2);
    await until("it to be back", async () => (await diary()).snapshots.length === cut + 1, 20_000);
  }
  await publishSome(1);
  await until("the last one", async () => (await diary()).seqs.at(-1) === published);
  const { seqs, snapshots, statuses } = await diary();
  expect(seqs).toEqual(range(first, published));
  expect(snapshots.slice(1).map(({ recovered }) => recovered)).toEqual([true, true, true, true]);
  const waits = statuses.flatMap(({ retryInMs }) => retryInMs ?? []);
  expect(waits.length).toBeGreaterThanOrEqual(4);
  expect(Math.max(...waits)).toBeLessThanOrEqual(5000);
});

it("comes back when the restarting server asked it to, and goes on where it was", async () => {
  const first = published + 1;
  await publishSome(2);
  await until("them", async () => (await diary()).seqs.at(-1) === published);
  server.process.signal("SIGHUP");
  await until("the word of it", async () => (await diary()).askedMs.length === 1, 30_000);
  await publishSome(2);
  await until("it to be back", async () => (await diary()).snapshots.length === 2, 30_000);
  await publishSome(2);
  await until("the last one", async () => (await diary()).seqs.at(-1) === published);
  const { seqs, statuses, askedMs } = await diary();
  expect(seqs).toEqual(range(first, published));
  expect(statuses.find(({ state }) => state === "waiting")).toMatchObject({
    code: 4000,
    retryInMs: askedMs[0],
  });
});

it("away for longer than the history reaches, it is told so and goes on from the newest value", async () => {
  await publishSome(2);
  await until("them", async () => (await diary()).seqs.at(-1) === published);
  await page.evaluate(() => (globalThis as unknown as DiaryPage).away(1500));
  await publishSome(historySize + 10);
  const newest = published;
  await until("it to be back", async () => (await diary()).snapshots.length === 2, 20_000);
  await publishSome(2);
  await until("the last one", async () => (await diary()).seqs.at(-1) === published);
  const { seqs, snapshots } = await diary();
  expect(snapshots[1]).toEqual({ seq: newest, recovered: false, text: String(newest) });
  expect(seqs.slice(2)).toEqual([newest + 1, newest + 2]);
});
