/** Rows HT1 to HT3 and HT7 to HT10 of docs/ABUSE.md: HTTP. HT4 to HT6 are about SSE, which this server has not. */
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { freePort, startRedisServer } from "../setup/redis-server.ts";
import { ask, get, publish, publishLines } from "../e2e/http.ts";
import { Peer } from "../e2e/peer.ts";
import { onRedis, Server } from "../e2e/server.ts";
import { delay, until } from "../e2e/until.ts";
import { AbusedServer } from "./abused-server.ts";
import { answerTo } from "./raw.ts";

const publishKey = "canary-publish-key-91c2";
let abused: AbusedServer;

beforeAll(async () => {
  abused = await AbusedServer.start({
    publishKey,
    sets: { "auth.publishKeys": [publishKey], "limits.headTimeoutMs": 2000 },
  });
}, 60_000);
afterEach(() => abused.expectNobodyHurt());
afterAll(async () => {
  try {
    await abused.expectBackToStart();
  } finally {
    await abused.end();
  }
}, 60_000);

const headers = { authorization: `Bearer ${publishKey}` };

/** A request of POST /api/publish with these header lines and this body, written as bytes. */
function post(lines: readonly string[], body = ""): string {
  const head = [
    "POST /api/publish HTTP/1.1",
    "Host: 127.0.0.1",
    `Authorization: Bearer ${publishKey}`,
    ...lines,
  ];
  return `${head.join("\r\n")}\r\n\r\n${body}`;
}

describe("HT1 publishing without the right key", () => {
  it.each([
    { row: "none", auth: {}, query: "" },
    { row: "a wrong one", auth: { authorization: "Bearer wrong" }, query: "" },
    {
      row: "all but its last character",
      auth: { authorization: `Bearer ${publishKey.slice(0, -1)}` },
      query: "",
    },
    { row: "in the query", auth: {}, query: `?key=${publishKey}&token=${publishKey}` },
    { row: "as Basic", auth: { authorization: `Basic ${publishKey}` }, query: "" },
    { row: "empty", auth: { authorization: "Bearer " }, query: "" },
  ])("HT1 $row: 401", async ({ auth, query }) => {
    const headersOfRow: Record<string, string> = { "content-type": "application/json" };
    if ("authorization" in auth && auth.authorization !== undefined)
      headersOfRow["authorization"] = auth.authorization;
    const answer = await ask(`${abused.server.http}/api/publish${query}`, {
      headers: headersOfRow,
      body: '{"topic":"quote.A","data":1}',
    });
    expect(answer.status).toBe(401);
  });

  it("HT1 a preflight of another site is told nothing", async () => {
    const answer = await ask(`${abused.server.http}/api/publish`, {
      method: "OPTIONS",
      headers: { origin: "https://evil.example", "access-control-request-method": "POST" },
    });
    expect(Object.keys(answer.headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
    const posted = await publish(abused.server.http, "quote.A", "1", {
      headers: { ...headers, origin: "https://evil.example" },
    });
    expect(posted.headers["access-control-allow-origin"]).toBeUndefined();
  });

  it(
    "HT1 without a key, a page whose name was made to lead here (DNS rebinding): 403",
    { timeout: 60_000 },
    async () => {
      await using open = await Server.start({ sets: { workers: 1 } });
      expect((await publish(open.http, "quote.A", "1")).status, "this machine").toBe(200);
      for (const host of [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
      ]) {
        expect((await publish(open.http, "quote.A", "1", { headers: { host } })).status, host).toBe(403);
      }
    },
  );
});

describe("HT2 bodies", () => {
  const type = "Content-Type: application/json";
  const large = JSON.stringify({ topic: "quote.A", data: "x".repeat(70_000) });
  it.each([
    {
      row: "one byte of data over the limit",
      bytes: post([type, `Content-Length: ${large.length}`], large),
      status: 413,
    },
    { row: "a length beyond all reason", bytes: post([type, "Content-Length: 99999999999"]), status: 413 },
    { row: "a length that is none", bytes: post([type, "Content-Length: 1x"]), status: 400 },
    {
      row: "two lengths",
      bytes: post([type, "Content-Length: 5", "Content-Length: 6"], "hello"),
      status: 400,
    },
    {
      row: "a body that says gzip",
      bytes: post([type, "Content-Encoding: gzip", "Content-Length: 2"], "ab"),
      status: 415,
    },
    { row: "text/plain", bytes: post(["Content-Type: text/plain", "Content-Length: 2"], "{}"), status: 415 },
    { row: "no type", bytes: post(["Content-Length: 2"], "{}"), status: 415 },
    { row: "no body", bytes: post([type, "Content-Length: 0"]), status: 400 },
    {
      row: "a length shorter than the body",
      bytes: post([type, "Content-Length: 5"], '{"topic":"quote.A","data":1}'),
      status: 400,
    },
  ])("HT2 $row: $status", async ({ bytes, status }) => {
    expect((await answerTo(abused.where, bytes)).status).toBe(status);
  });

  it("HT2 gzip for real is not unpacked: 415", async () => {
    const answer = await ask(`${abused.server.http}/api/publish`, {
      headers: { ...headers, "content-type": "application/json", "content-encoding": "gzip" },
      body: gzipSync(Buffer.alloc(2 ** 20, " ")),
    });
    expect(answer.status).toBe(415);
  });

  it("HT2 chunks without end: 413 at the limit, and nothing piles up", async () => {
    const before = abused.residentBytes();
    const socket = connect(abused.server.port, "127.0.0.1");
    let answer = "";
    socket.on("data", (chunk) => (answer += chunk.toString("latin1")));
    socket.on("error", () => undefined);
    socket.write(post([type, "Transfer-Encoding: chunked"]));
    const chunk = `10000\r\n${"x".repeat(65_536)}\r\n`;
    for (let count = 0; count < 500; count++) {
      if (answer !== "") break;
      socket.write(chunk);
      await delay(1);
    }
    await until("413", () => answer.startsWith("HTTP/1.1 413 "));
    socket.destroy();
    expect(abused.residentBytes() - before).toBeLessThan(64 * 2 ** 20);
  });

  it("HT2 a body that never comes: 408", { timeout: 60_000 }, async () => {
    const startMs = performance.now();
    const { status } = await answerTo(abused.where, post([type, "Content-Length: 100"], "{"), 30_000);
    expect(status).toBe(408);
    expect(performance.now() - startMs).toBeLessThan(30_000);
  });
});

describe("HT3 batches", () => {
  it("HT3 100,000 lines: refused, nothing published; 1,000 are taken", async () => {
    const line = '{"topic":"quote.BATCH","data":1}';
    const many = await publishLines(
      abused.server.http,
      Array.from({ length: 100_000 }, () => line),
      { headers },
    );
    expect([400, 413]).toContain(many.status);
    const max = await publishLines(
      abused.server.http,
      Array.from({ length: 1000 }, () => line),
      { headers },
    );
    expect(max.status).toBe(200);
    expect(max.results().at(-1)?.seq, "none of the refused ones").toBe(1000);
    const over = await publishLines(
      abused.server.http,
      Array.from({ length: 1001 }, () => line),
      { headers },
    );
    expect([400, 413]).toContain(over.status);
  });

  it("HT3 one idempotency key 100 times at once: one delivery", async () => {
    const reader = await Peer.native(abused.server.ws);
    await reader.subscribe("chat.once");
    const answers = await Promise.all(
      Array.from({ length: 100 }, () =>
        publish(abused.server.http, "chat.once", '"once"', {
          headers: { ...headers, "idempotency-key": "k-1" },
        }),
      ),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers.map((answer) => answer.results()[0]?.seq))).toEqual(new Set([1]));
    await publish(abused.server.http, "chat.once", '"after"', { headers });
    expect(await reader.json()).toMatchObject({ seq: 1, data: "once" });
    expect(await reader.json()).toMatchObject({ seq: 2, data: "after" });
    await reader.close();
  });
});

describe("HT7 metrics", () => {
  it("HT7 are not on the public port, and nothing that a peer says becomes a label", async () => {
    expect((await get(`${abused.server.http}/metrics`)).status).toBe(404);
    const canary = "canary-label-5d1f";
    await get(`${abused.server.http}/${canary}`, {
      headers: { "user-agent": canary, "x-forwarded-for": canary },
    });
    await publish(abused.server.http, `quote.${canary}`, "1", { headers });
    const peer = await Peer.native(abused.server.ws);
    await peer.command("subscribe", { topics: [`chat.${canary}`] });
    peer.send(canary);
    await peer.json();
    await delay(1100);
    const { text } = await abused.server.metrics();
    expect(text).not.toContain(canary);
    await peer.close();
  });

  it("HT7 at most 500 series of a worker, however much goes on", async () => {
    const { text } = await abused.server.metrics();
    const series = text
      .split("\n")
      .filter((line) => line.includes('worker="0"') && !line.includes("_bucket{"));
    expect(series.length).toBeGreaterThan(50);
    expect(series.length).toBeLessThanOrEqual(500);
  });
});

describe("HT8 methods and paths", () => {
  it.each([
    { row: "TRACE", line: "TRACE / HTTP/1.1", statuses: [404, 405] },
    { row: "a method of one's own", line: "BREW / HTTP/1.1", statuses: [400, 404, 405] },
    { row: "CONNECT", line: "CONNECT 10.0.0.1:22 HTTP/1.1", statuses: [0, 400, 404, 405] },
    { row: "/../", line: "GET /../../etc/passwd HTTP/1.1", statuses: [400, 404] },
    { row: "encoded slashes", line: "GET /..%2f..%2fetc%2fpasswd HTTP/1.1", statuses: [400, 404] },
    {
      row: "encoded slashes below a page",
      line: "GET /demo/..%2f..%2fpackage.json HTTP/1.1",
      statuses: [400, 404],
    },
    { row: "a backslash", line: "GET /..\\..\\package.json HTTP/1.1", statuses: [400, 404] },
    { row: "another case", line: "GET /HEALTHZ HTTP/1.1", statuses: [404] },
    { row: "JSONP", line: "GET /api/topics/quote.A?callback=alert HTTP/1.1", statuses: [200, 400, 404] },
    { row: "a redirect", line: "GET //evil.example HTTP/1.1", statuses: [400, 404] },
    { row: "DELETE of a topic", line: "DELETE /api/topics/quote.A HTTP/1.1", statuses: [404, 405] },
  ])("HT8 $row: $statuses, and nothing repeated", async ({ line, statuses }) => {
    const { status, text } = await answerTo(
      abused.where,
      `${line}\r\nHost: x\r\nX-Canary: repeat-me\r\nCookie: repeat=me\r\nConnection: close\r\n\r\n`,
    );
    expect(statuses).toContain(status);
    expect(text).not.toMatch(/repeat-me|alert\(|^Location:/imu);
    expect(text).not.toContain("root:");
  });
});

describe("HT9 requests that two readers read differently", () => {
  const hidden = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
  const type = "Content-Type: application/json";
  it.each([
    {
      row: "CL.TE",
      bytes: post([type, "Content-Length: 6", "Transfer-Encoding: chunked"], `0\r\n\r\n${hidden}`),
    },
    {
      row: "TE.CL",
      bytes: post([type, "Transfer-Encoding: chunked", "Content-Length: 4"], `5c\r\n${hidden}\r\n0\r\n\r\n`),
    },
    {
      row: "TE twice",
      bytes: post([type, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"], `0\r\n\r\n${hidden}`),
    },
    { row: "a folded TE", bytes: post([type, "Transfer-Encoding:\r\n chunked"], `0\r\n\r\n${hidden}`) },
    {
      row: "a space before the colon",
      bytes: post([type, "Transfer-Encoding : chunked"], `0\r\n\r\n${hidden}`),
    },
    { row: "xchunked", bytes: post([type, "Transfer-Encoding: xchunked"], hidden) },
    { row: "a bare LF", bytes: post([type, "X: a\nTransfer-Encoding: chunked"], `0\r\n\r\n${hidden}`) },
    {
      row: "64 KB of chunk extension",
      bytes: post(
        [type, "Transfer-Encoding: chunked"],
        `5;${"x".repeat(65_536)}\r\nhello\r\n0\r\n\r\n${hidden}`,
      ),
    },
    { row: "two Hosts", bytes: post([type, "Host: other", "Content-Length: 2"], `{}${hidden}`) },
    {
      row: "two Authorizations",
      bytes: post([type, "Authorization: Bearer other", "Content-Length: 2"], `{}${hidden}`),
    },
    { row: "an empty TE", bytes: post([type, "Transfer-Encoding:"], hidden) },
    {
      row: "an empty TE and a CL",
      bytes: post([type, "Transfer-Encoding:", "Content-Length: 2"], `{}${hidden}`),
    },
    {
      row: "an empty TE behind another upgrade",
      bytes: post([type, "Upgrade: h2c", "Connection: Upgrade", "Transfer-Encoding:"], hidden),
    },
    {
      row: "a TE before chunked",
      bytes: post([type, "Transfer-Encoding: identity, chunked"], `0\r\n\r\n${hidden}`),
    },
    {
      row: "another authority than Host",
      bytes: `GET http://x/healthz HTTP/1.1\r\nHost: a\r\n\r\n${hidden}`,
    },
    { row: "a path that begins with *", bytes: `GET *healthz HTTP/1.1\r\nHost: a\r\n\r\n${hidden}` },
    { row: "half an escape in the path", bytes: `GET /healthz%2 HTTP/1.1\r\nHost: a\r\n\r\n${hidden}` },
    { row: "a path in the query", bytes: `GET http://a?/healthz HTTP/1.1\r\nHost: a\r\n\r\n${hidden}` },
    { row: "a fragment in the target", bytes: `GET /healthz#/ws HTTP/1.1\r\nHost: a\r\n\r\n${hidden}` },
    { row: "a Host with a path", bytes: `GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n${hidden}` },
    {
      row: "a chunk size with a sign",
      bytes: post([type, "Transfer-Encoding: chunked"], `+5\r\nhello\r\n0\r\n\r\n${hidden}`),
    },
    {
      row: "a huge chunk size",
      bytes: post([type, "Transfer-Encoding: chunked"], `fffffffffffffffff\r\n${hidden}`),
    },
  ])("HT9 $row: one answer, and closed", async ({ bytes }) => {
    const { status, text, isClosed } = await answerTo(abused.where, bytes, 1000);
    expect([400, 413]).toContain(status);
    expect(text.match(/^HTTP\/1\.1 /gmu)).toHaveLength(1);
    expect(text).not.toContain("openapi");
    expect(isClosed).toBe(true);
  });
});

describe("RS5 over HTTP", () => {
  it("RS5 thousands of requests sent ahead, then a reset: nothing is left, and the others are served", async () => {
    const read = "GET /api/topics/quote.A HTTP/1.1\r\nHost: x\r\n\r\n";
    const message = '{"topic":"quote.A","data":1}';
    const write = post(["Content-Type: application/json", `Content-Length: ${message.length}`], message);
    for (let round = 0; round < 8; round++) {
      const socket = connect(abused.server.port, "127.0.0.1");
      socket.on("error", () => undefined);
      await new Promise((resolve) => socket.once("connect", resolve));
      socket.write(read.repeat(1000) + write.repeat(100));
      await delay(round);
      socket.resetAndDestroy();
    }
    await until("no request in flight", async () => {
      // The neighbours are fed by one.
      return (await abused.server.metrics()).sum("tapecast_http_requests_in_flight") <= 1;
    });
    for (let round = 0; round < 10; round++) {
      expect((await get(`${abused.server.http}/openapi.json`)).status).toBe(200);
    }
  });
});

describe("HT10 health", () => {
  it("HT10 Redis dies: ready 503 within 5 s, alive all the time", { timeout: 60_000 }, async () => {
    const port = await freePort();
    const redis = await startRedisServer({ port });
    try {
      await using server = await Server.start({ sets: onRedis(`redis://127.0.0.1:${port}`, "ht10:") });
      await until("ready", async () => (await get(`${server.http}/readyz`)).status === 200);
      await redis.stop();
      const startMs = performance.now();
      await until("not ready", async () => (await get(`${server.http}/readyz`)).status === 503, 5000);
      await until(
        "the cluster not ready",
        async () => (await get(`${server.admin}/readyz`)).status === 503,
        5000,
      );
      expect(performance.now() - startMs).toBeLessThan(5000);
      expect((await get(`${server.http}/healthz`)).status).toBe(200);
      expect((await get(`${server.admin}/healthz`)).status).toBe(200);
    } finally {
      await redis.stop();
    }
  });

  it("HT10 a worker stands still: the cluster says so within 5 s", { timeout: 60_000 }, async () => {
    await using server = await Server.start();
    const [pid = 0] = server.workerPids();
    process.kill(pid, "SIGSTOP");
    try {
      await until("not ready", async () => (await get(`${server.admin}/readyz`)).status === 503, 5000);
      expect((await get(`${server.admin}/readyz`)).text).toMatch(/silent for \d+ s/u);
      expect((await get(`${server.admin}/healthz`)).status).toBe(200);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await until("ready again", async () => (await get(`${server.admin}/readyz`)).status === 200);
  });
});
