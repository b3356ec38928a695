import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { securityHeaders } from "../../src/http/security-headers.ts";
import {
  ask,
  createGate,
  collect,
  errorOf,
  exchange,
  type Harness,
  occurrences,
  startHarness,
} from "./http-harness.ts";

let harness: Harness;
beforeEach(async () => {
  harness = await startHarness();
});
afterEach(async () => harness.stop());

function raw(text: string): Promise<string> {
  return exchange(harness.port, text);
}

const close = "Connection: close\r\n\r\n";

describe("what Node itself would answer without a body", () => {
  it.each([
    { name: "no Host", text: `GET /healthz HTTP/1.1\r\n${close}`, status: 400, code: "bad_request" },
    {
      name: "an expectation that is none",
      text: `POST /api/publish HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nContent-Length: 0\r\n${close}`,
      status: 417,
      code: "bad_request",
    },
    {
      name: "CONNECT",
      text: `CONNECT a:80 HTTP/1.1\r\nHost: a\r\n${close}`,
      status: 405,
      code: "method_not_allowed",
    },
    { name: "no HTTP", text: "good morning\r\n\r\n", status: 400, code: "bad_request" },
  ])("$name: $status with the error, the date and every other header", async ({ text, status, code }) => {
    const answer = await raw(text);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    const [head = "", body = ""] = answer.toLowerCase().split("\r\n\r\n");
    expect((JSON.parse(body) as { error: { code: string } }).error.code).toBe(code);
    for (const name of [
      "date",
      "connection",
      "content-type",
      "cache-control",
      ...Object.keys(securityHeaders),
    ]) {
      expect(occurrences(head, `\r\n${name}: `), name).toBe(1);
    }
  });

  it("answers HTTP/1.0 without a Host", async () => {
    expect(await raw("GET /healthz HTTP/1.0\r\n\r\n")).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe("paths and methods (RFC 9110 §15.5.5, §15.5.6)", () => {
  it.each([
    ["/nothing"],
    ["/api"],
    ["/api/publish/"],
    ["/api/topics/a/b"],
    ["/API/PUBLISH"],
    ["/metrics"],
    ["/favicon.png"],
  ])("answers 404 to GET %s", async (path) => {
    const answer = await ask(harness.port, "GET", path);
    expect([answer.status, errorOf(answer)]).toEqual([
      404,
      { code: "not_found", message: "there is nothing here" },
    ]);
  });

  it.each([
    ["GET", "/api/publish", "POST"],
    ["OPTIONS", "/api/publish", "POST"],
    ["TRACE", "/api/publish", "POST"],
    ["PUT", "/api/publish?x=1", "POST"],
    ["POST", "/api/topics/quote.A", "GET, HEAD"],
    ["DELETE", "/api/topics/quote.A/history", "GET, HEAD"],
    ["POST", "/healthz", "GET, HEAD"],
    ["PATCH", "/", "GET, HEAD"],
    ["POST", "/demo/chat", "GET, HEAD"],
    ["POST", "/ws", "GET, HEAD"],
    ["PROPFIND", "/openapi.json", "GET, HEAD"],
    ["TRACE", "/healthz", "GET, HEAD"],
  ])("answers 405 with Allow to %s %s", async (method, path, allow) => {
    const answer = await ask(harness.port, method, path, {
      "x-probe": "do-not-echo",
      "content-type": "text/plain",
    });
    expect([answer.status, errorOf(answer).code, answer.headers.allow]).toEqual([
      405,
      "method_not_allowed",
      allow,
    ]);
    expect(answer.text).not.toContain("do-not-echo");
    expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
  });

  it("does not read the body of a request that it refuses by path or method", async () => {
    const text = await exchange(
      harness.port,
      "PUT /healthz HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n",
      (seen) => seen.includes("method_not_allowed"),
    );
    expect(text).toMatch(/^HTTP\/1\.1 405 /);
  });

  it.each(["/ws", "/ws?topics=a", "/raw/quote.A", "/echo"])("answers 426 to a plain GET %s", async (path) => {
    const answer = await ask(harness.port, "GET", path);
    expect([answer.status, answer.headers.upgrade, answer.headers.connection]).toEqual([
      426,
      "websocket",
      "Upgrade",
    ]);
    expect(errorOf(answer).code).toBe("upgrade_required");
    expect(errorOf(answer).message).toContain("new WebSocket");
  });

  it.each([
    ["an absolute URI", "GET http://A:80/healthz HTTP/1.1\r\nHost: a:80\r\n", 200],
    ["… of another host", "GET http://elsewhere/healthz HTTP/1.1\r\nHost: a\r\n", 400],
    ["… with a user", "GET http://a@b/healthz HTTP/1.1\r\nHost: b\r\n", 400],
    ["… without a Host", "GET http://a/healthz HTTP/1.0\r\n", 400],
    ["… that ends with it", "GET http://a HTTP/1.1\r\nHost: a\r\n", 404],
    ["… whose path is in its query", "GET http://a?/healthz HTTP/1.1\r\nHost: a\r\n", 400],
    ["… of another scheme", "GET ftp://a/healthz HTTP/1.1\r\nHost: a\r\n", 400],
    ["a path that begins with *", "GET *healthz HTTP/1.1\r\nHost: a\r\n", 400],
    ["a fragment", "GET /healthz#x HTTP/1.1\r\nHost: a\r\n", 400],
    ["GET *", "GET * HTTP/1.1\r\nHost: a\r\n", 400],
    ["OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n", 404],
    ["a bad escape", "GET /demo/%zz%00 HTTP/1.1\r\nHost: a\r\n", 400],
    ["an overlong escape", "GET /demo/%c0%ae HTTP/1.1\r\nHost: a\r\n", 400],
    ["HTTP/1.0", "GET /healthz HTTP/1.0\r\n", 200],
    ["an empty Host, as probes send it", "GET /healthz HTTP/1.1\r\nHost:\r\n", 200],
    ["an Expect nobody knows", "GET /healthz HTTP/1.1\r\nHost: a\r\nExpect: cookies\r\n", 417],
    ["8 KiB of query", `GET /healthz?${"a=1&".repeat(2000)} HTTP/1.1\r\nHost: a\r\n`, 200],
  ])("stands %s", async (_name, head, status) => {
    expect(await raw(head + close)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(harness.errors).toEqual([]);
  });
});

describe("what comes behind a request that says close (RFC 9112 §9.6)", () => {
  it.each([
    ["another request", "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["garbage", "\0\0\0\0"],
    ["a line end too many", "\r\n"],
  ])("is not looked at, and the request is answered: %s", async (_name, behind) => {
    const text = await raw(`GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n${behind}`);
    expect(text).toMatch(/^HTTP\/1\.1 200 /);
    expect(occurrences(text, "HTTP/1.1 ")).toBe(1);
    expect(harness.api.counters.clientErrors).toBe(0);
  });
});

describe("what is not HTTP is answered and cut", () => {
  const good = "GET /healthz HTTP/1.1\r\nHost: a\r\n";
  it.each([
    ["garbage", "hello\r\n\r\n", 400, "bad_request"],
    ["a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad_request"],
    [
      "CL and TE",
      `${good}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
      "bad_request",
    ],
    [
      "another coding before chunked",
      `${good}Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n`,
      400,
      "bad_request",
    ],
    [
      "chunked twice",
      `${good}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
      "bad_request",
    ],
    ["an empty coding", `${good}Transfer-Encoding:\r\n\r\n`, 400, "bad_request"],
    [
      "an empty coding and a length",
      `${good}Transfer-Encoding:\r\nContent-Length: 2\r\n\r\nhi`,
      400,
      "bad_request",
    ],
    ["two lengths", `${good}Content-Length: 5\r\nContent-Length: 6\r\n\r\n`, 400, "bad_request"],
    ["an obsolete fold", `${good}A: b\r\n c\r\n\r\n`, 400, "bad_request"],
    [
      "a bad chunk size",
      "POST /api/publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
      400,
      "bad_request",
    ],
    ["two Hosts", `${good}Host: a\r\n${close}`, 400, "bad_request"],
    ["a Host with a path", `GET /healthz HTTP/1.1\r\nHost: a/b\r\n${close}`, 400, "bad_request"],
    ["a Host with a user", `GET /healthz HTTP/1.1\r\nHost: u@a\r\n${close}`, 400, "bad_request"],
    [
      "two Authorizations",
      `${good}authorization: Bearer a\r\nAuthorization: Bearer b\r\n${close}`,
      400,
      "bad_request",
    ],
    ["a head of 17 KiB", `${good}A: ${"x".repeat(17_000)}\r\n\r\n`, 431, "too_large"],
    ["129 header lines", `${good}${"A: b\r\n".repeat(128)}${close}`, 431, "too_large"],
    ["2,500 header lines", `${good}${"A:b\r\n".repeat(2500)}${close}`, 431, "too_large"],
  ])("%s", async (_name, bytes, status, code) => {
    const text = await exchange(harness.port, Buffer.from(bytes, "latin1"));
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(text).toContain(`"code":"${code}"`);
    expect(text).toContain("x-content-type-options: nosniff");
    expect((await ask(harness.port, "GET", "/healthz")).status).toBe(200);
  });

  it("takes 128 header lines", async () => {
    const text = await raw(`${good}${"A: b\r\n".repeat(126)}${close}`);
    expect(text).toMatch(/^HTTP\/1\.1 200 /);
  });

  it("counts them", async () => {
    await raw("hello\r\n\r\n");
    expect(harness.api.counters.clientErrors).toBe(1);
  });

  it("answers who is still sending what is no request, and lets go of a peer that never ends", async () => {
    const socket = connect({ port: harness.port, host: "127.0.0.1" });
    await once(socket, "connect");
    socket.setNoDelay(true);
    // Byte by byte and deaf in between: a server that is gone by then resets, and the answer is lost.
    socket.pause();
    for (const byte of "get /") {
      socket.write(byte);
      await delay(50);
    }
    const answered = once(socket, "data") as Promise<[Buffer]>;
    socket.resume();
    const [first] = await answered;
    expect(first.toString()).toMatch(/^HTTP\/1\.1 400 /);
    const startMs = performance.now();
    await once(socket, "close");
    expect(performance.now() - startMs).toBeLessThan(5000);
  });

  it("survives peers that vanish at every step", async () => {
    for (const bytes of [
      "",
      "POST /api/pub",
      `POST /api/publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"to`,
    ]) {
      const socket = connect(harness.port, "127.0.0.1");
      await once(socket, "connect");
      socket.write(bytes);
      socket.resetAndDestroy();
    }
    expect((await ask(harness.port, "GET", "/healthz")).status).toBe(200);
    await expect.poll(() => harness.api.counters.requestsInFlight).toBe(0);
    expect(harness.errors).toEqual([]);
  });
});

describe("time limits on a server that never listens", () => {
  const publishHead = "POST /api/publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
  it.each([
    ["a head that stops", "GET /healthz HTTP/1.1\r\nHost: a\r\n"],
    ["a body that stops", `${publishHead}Content-Length: 500\r\n\r\n{"topic"`],
    ["chunks without an end", `${publishHead}Transfer-Encoding: chunked\r\n\r\n5\r\n     \r\n`],
  ])("answers 408 to %s, within seconds of the limit", async (_name, bytes) => {
    const slow = await startHarness({ headTimeoutMs: 300, requestTimeoutMs: 300 });
    try {
      const start = performance.now();
      const text = await exchange(slow.port, bytes);
      expect(text).toMatch(/^HTTP\/1\.1 408 /);
      expect(text).toContain('"code":"request_timeout"');
      expect(performance.now() - start).toBeLessThan(4000);
    } finally {
      await slow.stop();
    }
  });
});

describe("counters", () => {
  it("count requests by route and status class, under closed lists", async () => {
    await ask(harness.port, "GET", "/api/topics/quote.A");
    await ask(harness.port, "GET", "/api/topics/nope");
    await ask(harness.port, "GET", "/whatever");
    await ask(harness.port, "GET", "/healthz");
    await ask(harness.port, "POST", "/healthz");
    await ask(harness.port, "GET", "/ws");
    harness.backend.state = { ready: false, reason: "x" };
    await ask(harness.port, "GET", "/readyz");
    const { requests } = harness.api.counters;
    await expect.poll(() => requests.ready["5xx"]).toBe(1);
    expect(harness.api.counters.requestsInFlight).toBe(0);
    expect(requests.value).toEqual({ "2xx": 1, "3xx": 0, "4xx": 1, "5xx": 0 });
    expect(requests.health["2xx"]).toBe(1);
    expect(requests.ready["5xx"]).toBe(1);
    expect(requests.websocket["4xx"]).toBe(1);
    expect(requests.other["4xx"]).toBe(2);
  });
});

describe("close", () => {
  it("lets a request finish, says Connection: close, and ends idle connections", async () => {
    const gate = createGate();
    harness.backend.gate = gate.opened;
    const idle = connect(harness.port, "127.0.0.1");
    idle.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    await collect(idle, (seen) => seen.includes('"ok"'));
    const body = '{"topic":"quote.A","data":1}';
    const busy = connect(harness.port, "127.0.0.1");
    const head = "POST /api/publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    busy.write(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
    const answer = collect(busy, () => false);
    await expect.poll(() => harness.backend.calls.length).toBe(1);

    const idleClosed = once(idle, "close");
    const closed = harness.api.close(10_000);
    await idleClosed;
    gate.open();
    expect(await answer).toMatch(/^HTTP\/1\.1 200 OK\r\n(.*\r\n)*connection: close\r\n/i);
    await closed;
    expect(harness.api.counters.requestsInFlight).toBe(0);
  });

  it("does not wait for a sender that never ends, past its grace", async () => {
    const socket = connect(harness.port, "127.0.0.1");
    socket.write(
      "POST /api/publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n",
    );
    await expect.poll(() => harness.api.counters.requestsInFlight).toBe(1);
    const gone = once(socket, "close");
    await harness.api.close(20);
    await gone;
  });
});

describe("pipelining over routes", () => {
  it("answers in order", async () => {
    const paths = ["/healthz", "/nothing", "/api/topics/quote.A", "/ws", "/readyz"];
    const text = await exchange(
      harness.port,
      paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join(""),
      (seen) => occurrences(seen, "HTTP/1.1 ") === 5 && seen.includes('"ready"'),
    );
    expect(text.match(/HTTP\/1\.1 \d+/g)!.map((line) => Number(line.slice(9)))).toEqual([
      200, 404, 200, 426, 200,
    ]);
  });
});
