import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BrokerError, RequestError } from "../../src/base/errors.ts";
import { TrustedProxies } from "../../src/http/trusted-proxies.ts";
import { epoch } from "./fake-backend.ts";
import {
  type Answer,
  ask,
  collect,
  errorOf,
  exchange,
  type Harness,
  occurrences,
  startHarness,
} from "./http-harness.ts";

let harness: Harness;
beforeEach(async () => {
  harness = await startHarness({ messageBytesMax: 1024, publishBodyBytesMax: 65_536 });
});
afterEach(async () => harness.stop());

const ndjson = { "content-type": "application/x-ndjson" };
const json = { "content-type": "application/json" };

function publish(body: string | Uint8Array | readonly string[], headers: object = json): Promise<Answer> {
  return ask(harness.port, "POST", "/api/publish", { ...headers }, body);
}

interface Result {
  topic?: string;
  epoch?: string;
  seq?: number;
  line?: number;
  error?: { code: string; message: string; temporary?: boolean };
}

function resultsOf(answer: Answer): Result[] {
  return (JSON.parse(answer.text) as { results: Result[] }).results;
}

describe("POST /api/publish behind proxies and limits", () => {
  it("says whom a trusted proxy speaks for", async () => {
    const behind = await startHarness({ proxies: new TrustedProxies(["127.0.0.1"]) });
    await ask(
      behind.port,
      "POST",
      "/api/publish",
      { ...json, "x-forwarded-for": "9.9.9.9, [2001:db8::1]:55" },
      "{}",
    );
    expect(behind.backend.facts[0]).toMatchObject({
      remoteAddress: "127.0.0.1",
      clientAddress: "2001:db8::1",
      viaProxy: true,
      forwarded: true,
    });
    await behind.stop();
  });

  it("answers 429 when a sender is too fast, for the whole batch; nothing of it is published", async () => {
    harness.backend.publishesLeft = 2;
    const lines = [
      '{"topic":"quote.A","data":1}',
      '{"topic":"quote.A","data":2}',
      '{"topic":"quote.A","data":3}',
    ];
    const answer = await publish(lines.join("\n"), ndjson);
    expect(answer.status).toBe(429);
    expect(errorOf(answer).code).toBe("rate_limited");
    expect(answer.headers["retry-after"]).toBe("1");
    expect(harness.backend.calls).toEqual([]);
    expect((await publish(lines.slice(1).join("\n"), ndjson)).status).toBe(200);
    expect(harness.backend.publishesTaken).toEqual([3, 2]);
  });

  it("answers 503 to bodies beyond their memory, and takes them again when that is free", async () => {
    const tight = await startHarness({ messageBytesMax: 20_000, bodyBytesInFlightMax: 16_384 });
    const holding = connect(tight.port, "127.0.0.1");
    holding.write(
      "POST /api/publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n" +
        " ".repeat(8000),
    );
    await expect.poll(() => tight.api.bodies.bytes).toBe(8192);
    const body = `{"topic":"quote.A","data":"${"x".repeat(10_000)}"}`;
    const refused = await ask(tight.port, "POST", "/api/publish", json, body);
    expect([refused.status, errorOf(refused).code, refused.headers["retry-after"]]).toEqual([
      503,
      "unavailable",
      "1",
    ]);
    holding.destroy();
    await expect.poll(() => tight.api.bodies.bytes).toBe(0);
    expect((await ask(tight.port, "POST", "/api/publish", json, body)).status).toBe(200);
    await expect.poll(() => tight.api.bodies.bytes).toBe(0);
    await tight.stop();
  });
});

describe("POST /api/publish with one JSON message", () => {
  it("answers topic, epoch and seq when the topic has history", async () => {
    const answer = await publish('{"topic":"quote.AAPL","data":{"price":189.30}}');
    expect(answer.status).toBe(200);
    expect(answer.text).toBe(`{"results":[{"topic":"quote.AAPL","epoch":"${epoch}","seq":1}]}`);
    expect(answer.headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(harness.api.counters.publicationsAccepted).toBe(1);
  });

  it("answers the topic alone when it is live only", async () => {
    expect((await publish('{"topic":"live.a","data":1}')).text).toBe('{"results":[{"topic":"live.a"}]}');
  });

  const exact = [
    ["trailing zero", '{"price":1.10}'],
    ["64-bit integer", "12345678901234567890"],
    ["number past a double", "1e400"],
    ["negative zero", "-0.0"],
    ["inner whitespace and line ends", '{ "a" :\n\t[ 1 ,\r\n 2 ] }'],
    ["escapes as they were written", String.raw`"\u54c8\/\n"`],
    ["Chinese and emoji", '"哈哈哈 🎉"'],
    ["null", "null"],
    ["duplicate members within data", '{"a":1,"a":2}'],
  ] as const;
  it.each(exact)("keeps data byte for byte: %s", async (_name, data) => {
    const answer = await publish(`\n { "data" : ${data} , "topic":"quote.X" } \n`);
    expect(answer.status).toBe(200);
    expect(Buffer.from(harness.backend.calls[0]!.data).toString()).toBe(data);
    const value = await ask(harness.port, "GET", "/api/topics/quote.X");
    expect(value.text).toBe(`{"topic":"quote.X","epoch":"${epoch}","seq":1,"data":${data}}`);
  });

  it("hands over a copy that does not keep the body alive", async () => {
    await publish('{"topic":"quote.X","data":"1234567890"}');
    expect(harness.backend.calls[0]!.data.buffer.byteLength).toBe(12);
  });

  it("takes the last of duplicate members, as JSON.parse does", async () => {
    const answer = await publish('{"topic":"no!","data":1,"topic":"quote.B","data":2}');
    expect(resultsOf(answer)[0]).toMatchObject({ topic: "quote.B" });
    expect(Buffer.from(harness.backend.calls[0]!.data).toString()).toBe("2");
  });

  it("reads a topic that is written in escapes", async () => {
    expect(resultsOf(await publish(String.raw`{"topic":"\u0071uote.\u54c8","data":1}`))[0]!.topic).toBe(
      "quote.哈",
    );
  });

  it.each([
    ["plain", "application/json"],
    ["with a charset", "application/json; charset=utf-8"],
    ["in capitals, quoted", 'Application/JSON;Charset="UTF-8"'],
  ])("takes the content type %s", async (_name, type) => {
    expect((await publish('{"topic":"quote.A","data":1}', { "content-type": type })).status).toBe(200);
  });

  it("tells the backend who asks before it reads the body", async () => {
    harness.backend.refusal = new RequestError("unauthorized", "a key is needed");
    // The body never comes; the answer does.
    const text = await exchange(
      harness.port,
      "POST /api/publish HTTP/1.1\r\nHost: a\r\nAuthorization: bearer K1\r\nX-Forwarded-For: 9.9.9.9\r\n" +
        "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n",
      (seen) => seen.includes("a key is needed"),
    );
    expect(text).toMatch(/^HTTP\/1\.1 401 /);
    expect(text.toLowerCase()).toContain("www-authenticate: bearer");
    expect(harness.backend.facts).toMatchObject([
      { bearer: "K1", remoteAddress: "127.0.0.1", forwarded: true },
    ]);
    expect(harness.backend.calls).toHaveLength(0);
  });

  it.each([
    ["none", {}, null, false],
    ["another scheme", { authorization: "Basic abc" }, null, false],
    ["a scheme that only begins so", { authorization: "Bearers abc" }, null, false],
    ["no key behind the scheme", { authorization: "Bearer" }, "", false],
    ["two keys", { authorization: "Bearer a b" }, "", false],
    ["Forwarded", { forwarded: "for=1.2.3.4" }, null, true],
    ["X-Forwarded-Proto", { "x-forwarded-proto": "https" }, null, true],
    ["an empty X-Forwarded-For", { "x-forwarded-for": "" }, null, true],
    ["a key with symbols", { authorization: "Bearer a-b.c_d~e+f/==" }, "a-b.c_d~e+f/==", false],
  ])("reads the facts of a request: %s", async (_name, headers, bearer, forwarded) => {
    await publish('{"topic":"quote.A","data":1}', { ...json, ...headers });
    expect(harness.backend.facts[0]).toMatchObject({
      bearer,
      clientAddress: "127.0.0.1",
      viaProxy: false,
      host: `127.0.0.1:${harness.port}`,
      remoteAddress: "127.0.0.1",
      forwarded,
    });
  });
});

describe("POST /api/publish refuses one message with a status", () => {
  const long = "x".repeat(256);
  const rows: readonly (readonly [string, string | Uint8Array, number, string, string])[] = [
    ["nothing", "", 400, "bad_request", "one JSON object"],
    ["no JSON", "price=1", 400, "bad_request", "one JSON object"],
    ["cut short", '{"topic":"quote.A","data":', 400, "bad_request", "one JSON object"],
    ["an array", '[{"topic":"quote.A","data":1}]', 400, "bad_request", "one JSON object"],
    [
      "two objects",
      '{"topic":"quote.A","data":1}\n{"topic":"quote.A","data":1}',
      400,
      "bad_request",
      "one JSON",
    ],
    ["a BOM", '\ufeff{"topic":"quote.A","data":1}', 400, "bad_request", "one JSON object"],
    ["a comment", '{"topic":"quote.A",/**/"data":1}', 400, "bad_request", "one JSON object"],
    ["NaN", '{"topic":"quote.A","data":NaN}', 400, "bad_request", "one JSON object"],
    ["a leading zero", '{"topic":"quote.A","data":01}', 400, "bad_request", "one JSON object"],
    [
      "invalid UTF-8",
      Buffer.concat([
        Buffer.from('{"topic":"quote.A","data":"'),
        Buffer.from([0xc0, 0x80]),
        Buffer.from('"}'),
      ]),
      400,
      "bad_request",
      "valid UTF-8",
    ],
    [
      "nesting of 200",
      `{"topic":"quote.A","data":${"[".repeat(200)}${"]".repeat(200)}}`,
      400,
      "bad_request",
      "one",
    ],
    ["no topic", '{"data":1}', 400, "bad_request", '"topic" is missing'],
    ["no data", '{"topic":"quote.A"}', 400, "bad_request", '"data" is missing'],
    ["another member", '{"topic":"quote.A","data":1,"ttl":5}', 400, "bad_request", "no others"],
    ["a topic that is a number", '{"topic":5,"data":1}', 400, "bad_topic", "a topic is a string"],
    ["a topic that is an object", '{"topic":{},"data":1}', 400, "bad_topic", "a topic is a string"],
    ["an empty topic", '{"topic":"","data":1}', 400, "bad_topic", "not empty"],
    ["a reserved topic", '{"topic":"$x","data":1}', 400, "bad_topic", "reserved"],
    ["a topic with a slash", '{"topic":"quote/A","data":1}', 400, "bad_topic", "segments"],
    ["a topic of 256 bytes", `{"topic":"${long}","data":1}`, 400, "bad_topic", "255 bytes"],
    [
      "a topic of 1,700 bytes in escapes",
      `{"topic":"${String.raw`\u0061`.repeat(283)}","data":1}`,
      400,
      "bad_topic",
      "255",
    ],
    ["a topic without a rule", '{"topic":"nope.a","data":1}', 404, "unknown_topic", "no rule"],
    ["__proto__ as a member", '{"topic":"quote.A","data":1,"__proto__":{}}', 400, "bad_request", "no others"],
    [
      "data one byte past the limit",
      `{"topic":"quote.A","data":"${"x".repeat(1023)}"}`,
      413,
      "too_large",
      "1024 bytes",
    ],
    ["a body one byte past the limit", " ".repeat(1024 + 4096 + 1), 413, "too_large", "5120 bytes"],
  ];
  it.each(rows)("%s", async (_name, body, status, code, fragment) => {
    const answer = await publish(body);
    expect(answer.status).toBe(status);
    expect(errorOf(answer)).toMatchObject({ code });
    expect(errorOf(answer).message).toContain(fragment);
    expect(harness.backend.calls).toHaveLength(0);
    expect(harness.api.counters.publicationsRefused[code as "bad_request"]).toBe(1);
    expect(harness.errors).toEqual([]);
  });

  it("takes data and a body exactly at their limits", async () => {
    expect((await publish(`{"topic":"quote.A","data":"${"x".repeat(1022)}"}`)).status).toBe(200);
    expect((await publish('{"topic":"quote.A","data":1}'.padEnd(1024 + 4096, " "))).status).toBe(200);
  });

  const headerRows: readonly (readonly [string, Record<string, string>, number, string, string])[] = [
    ["no content type", {}, 415, "unsupported_media_type", "application/x-ndjson"],
    ["text", { "content-type": "text/plain" }, 415, "unsupported_media_type", "application/json"],
    [
      "a form",
      { "content-type": "application/x-www-form-urlencoded" },
      415,
      "unsupported_media_type",
      "send",
    ],
    [
      "a multipart form",
      { "content-type": "multipart/form-data; boundary=x" },
      415,
      "unsupported_media_type",
      "send",
    ],
    ["a malformed type", { "content-type": "application/json/x ;;" }, 415, "unsupported_media_type", "send"],
    [
      "UTF-16",
      { "content-type": "application/json; charset=utf-16" },
      415,
      "unsupported_media_type",
      "UTF-8",
    ],
    [
      "gzip",
      { ...json, "content-encoding": "gzip" },
      415,
      "unsupported_media_type",
      "without Content-Encoding",
    ],
    ["an empty key", { ...json, "idempotency-key": "" }, 400, "bad_request", "Idempotency-Key"],
    ["a key with a space", { ...json, "idempotency-key": "a b" }, 400, "bad_request", "Idempotency-Key"],
    ["a key of 129 bytes", { ...json, "idempotency-key": "k".repeat(129) }, 400, "bad_request", "128"],
    ["a key beyond ASCII", { ...json, "idempotency-key": "é" }, 400, "bad_request", "ASCII"],
  ];
  it.each(headerRows)("headers: %s", async (_name, headers, status, code, fragment) => {
    const answer = await publish('{"topic":"quote.A","data":1}', headers);
    expect(answer.status).toBe(status);
    expect(errorOf(answer)).toMatchObject({ code });
    expect(errorOf(answer).message).toContain(fragment);
    expect(harness.backend.calls).toHaveLength(0);
  });

  it("refuses a body that is announced to be too long, before it comes", async () => {
    const text = await exchange(
      harness.port,
      "POST /api/publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9999999\r\n\r\n",
      (seen) => seen.includes("too_large"),
    );
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
  });

  it("refuses a chunked body at the first byte past the limit, and the sender sees the answer", async () => {
    const answer = await publish([" ".repeat(4000), " ".repeat(4000), " ".repeat(300_000)]);
    expect(answer.status).toBe(413);
    expect(errorOf(answer)).toMatchObject({ code: "too_large" });
  });

  it.each([
    ["unauthorized", 401],
    ["forbidden", 403],
    ["limit", 429],
    ["rate_limited", 429],
  ] as const)("answers what the backend says of the sender: %s", async (code, status) => {
    harness.backend.refusal = new RequestError(code, "because");
    const answer = await publish('{"topic":"quote.A","data":1}');
    expect([answer.status, errorOf(answer)]).toEqual([status, { code, message: "because" }]);
    expect(answer.headers["retry-after"]).toBe(status === 429 ? "1" : undefined);
  });

  it("answers 503 with Retry-After when the broker fails, and keeps its addresses to itself", async () => {
    harness.backend.failure = () => new BrokerError("connect ECONNREFUSED 10.0.0.5:6379", true);
    const answer = await publish('{"topic":"quote.A","data":1}');
    expect(answer.status).toBe(503);
    expect(answer.headers["retry-after"]).toBe("1");
    expect(errorOf(answer).code).toBe("unavailable");
    expect(answer.text).not.toContain("10.0.0.5");
  });

  it("answers 500 without a detail to what nobody expected, and tells the log once", async () => {
    const failure = new TypeError("secret detail");
    harness.backend.failure = () => failure;
    const answer = await publish('{"topic":"quote.A","data":1}');
    expect([answer.status, errorOf(answer).code]).toEqual([500, "internal"]);
    expect(answer.text).not.toContain("secret");
    expect(harness.errors).toEqual([failure]);
  });
});

describe("POST /api/publish with NDJSON", () => {
  it("answers in line order and keeps the order of each topic", async () => {
    const lines = Array.from({ length: 1000 }, (_, i) => `{"topic":"quote.T${i % 3}","data":${i}}`);
    const answer = await publish(`${lines.join("\n")}\n`, ndjson);
    expect(answer.status).toBe(200);
    const results = resultsOf(answer);
    expect(results).toHaveLength(1000);
    expect(results[0]).toEqual({ topic: "quote.T0", epoch, seq: 1 });
    expect(results[998]).toEqual({ topic: "quote.T2", epoch, seq: 333 });
    const stored = harness.backend.logs
      .get("quote.T1")!
      .map((entry) => Number(Buffer.from(entry.data).toString()));
    expect(stored).toEqual(Array.from({ length: 333 }, (_, i) => i * 3 + 1));
    expect(harness.api.counters.publicationsAccepted).toBe(1000);
  });

  it("refuses 1,001 messages as a whole", async () => {
    const answer = await publish('{"topic":"quote.A","data":1}\n'.repeat(1001), ndjson);
    expect([answer.status, errorOf(answer).code]).toEqual([400, "bad_request"]);
    expect(errorOf(answer).message).toContain("1000 messages");
    expect(harness.backend.calls).toHaveLength(0);
  });

  it("names the line and the reason of what it refuses, and publishes the others", async () => {
    harness.backend.failure = (topic) => (topic === "quote.DOWN" ? new BrokerError("gone", true) : null);
    const body = [
      '{"topic":"quote.A","data":1.10}',
      "not json",
      '{"topic":"nope.a","data":1}',
      "",
      '{"topic":"bad topic","data":1}\r',
      `{"topic":"quote.A","data":"${"x".repeat(1023)}"}`,
      `{"topic":"quote.A","data":1,"pad":"${"x".repeat(6000)}"}`,
      '{"topic":"quote.DOWN","data":1}',
      ' \t{"topic":"live.a","data":2} \r',
      '{"topic":"quote.A","data":3}',
    ].join("\n");
    const answer = await publish(body, ndjson);
    expect(answer.status).toBe(200);
    const told = resultsOf(answer).map(({ line, error, topic, seq }) =>
      error === undefined ? [topic, seq] : [line, error.code, error.temporary],
    );
    expect(told).toEqual([
      ["quote.A", 1],
      [2, "bad_request", undefined],
      [3, "unknown_topic", undefined],
      [5, "bad_topic", undefined],
      [6, "too_large", undefined],
      [7, "too_large", undefined],
      [8, "unavailable", true],
      ["live.a", undefined],
      ["quote.A", 2],
    ]);
    expect(harness.api.counters.publicationsRefused).toMatchObject({
      too_large: 2,
      bad_topic: 1,
      unavailable: 1,
    });
    expect(harness.api.counters.publicationsAccepted).toBe(3);
  });

  it("answers 503 when nothing was accepted and the broker is why", async () => {
    harness.backend.failure = () => new BrokerError("gone", true);
    const answer = await publish(
      '{"topic":"quote.A","data":1}\nnot json\n{"topic":"quote.A","data":2}',
      ndjson,
    );
    expect([answer.status, errorOf(answer).code]).toEqual([503, "unavailable"]);
    expect(answer.headers["retry-after"]).toBe("1");
  });

  it("answers 200 with every line's reason when all are at fault themselves", async () => {
    const answer = await publish("1\n2", ndjson);
    expect(answer.status).toBe(200);
    expect(resultsOf(answer).map((result) => result.line)).toEqual([1, 2]);
  });

  it.each([
    ["nothing", ""],
    ["blank lines", "\n \r\n\t\n"],
  ])("refuses a body of %s", async (_name, body) => {
    const answer = await publish(body, ndjson);
    expect([answer.status, errorOf(answer).code]).toEqual([400, "bad_request"]);
    expect(errorOf(answer).message).toContain("no message");
  });

  it("takes a body at its limit and refuses one byte more", async () => {
    const line = '{"topic":"quote.A","data":1}\n';
    expect((await publish(line.padEnd(65_536, "\n"), ndjson)).status).toBe(200);
    expect((await publish(line.padEnd(65_537, "\n"), ndjson)).status).toBe(413);
    expect((await publish([line.padEnd(65_536, "\n"), "\n"], ndjson)).status).toBe(413);
  });

  it("answers a line that fails unexpectedly as internal and goes on", async () => {
    harness.backend.failure = (_topic, index) => (index === 0 ? new TypeError("secret") : null);
    const answer = await publish('{"topic":"quote.A","data":1}\n{"topic":"quote.A","data":2}', ndjson);
    expect(resultsOf(answer).map((result) => result.error?.code ?? result.seq)).toEqual(["internal", 1]);
    expect(answer.text).not.toContain("secret");
    expect(harness.errors).toHaveLength(1);
  });
});

describe("Idempotency-Key", () => {
  it("is the message's key, and repeating the request gives the same position", async () => {
    const key = "k".repeat(128);
    const first = await publish('{"topic":"quote.A","data":1}', { ...json, "idempotency-key": key });
    const second = await publish('{"topic":"quote.A","data":1}', { ...json, "idempotency-key": key });
    expect(second.text).toBe(first.text);
    expect(harness.backend.calls.map((call) => call.key)).toEqual([key, key]);
    expect(harness.backend.logs.get("quote.A")).toHaveLength(1);
  });

  it("becomes one key per line in a batch", async () => {
    const body = '{"topic":"quote.A","data":1}\n\n{"topic":"quote.A","data":2}';
    const first = await publish(body, { ...ndjson, "idempotency-key": "abc" });
    const second = await publish(body, { ...ndjson, "idempotency-key": "abc" });
    expect(second.text).toBe(first.text);
    expect(harness.backend.calls.map((call) => call.key)).toEqual(["abc:1", "abc:3", "abc:1", "abc:3"]);
    expect(harness.backend.logs.get("quote.A")).toHaveLength(2);
  });

  it("is absent when the sender sent none", async () => {
    await publish('{"topic":"quote.A","data":1}');
    expect(harness.backend.calls[0]!.key).toBeUndefined();
  });
});

describe("one connection, many publishes", () => {
  it("answers pipelined requests in order", async () => {
    const requests = Array.from({ length: 20 }, (_, i) => {
      const body = `{"topic":"quote.P","data":${i}}`;
      const type = "Content-Type: application/json";
      return `POST /api/publish HTTP/1.1\r\nHost: a\r\n${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    });
    const text = await exchange(harness.port, requests.join(""), (seen) => occurrences(seen, '"seq"') === 20);
    expect([...text.matchAll(/"seq":(\d+)/g)].map((match) => Number(match[1]))).toEqual(
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
  });

  it("goes on after a refused body on the same connection", async () => {
    const tooLong = " ".repeat(200_000);
    const good = '{"topic":"quote.P","data":1}';
    const text = await exchange(
      harness.port,
      `POST /api/publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 200000\r\n\r\n${tooLong}` +
        `POST /api/publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${good.length}\r\n\r\n${good}`,
      (seen) => seen.includes('"seq":1'),
    );
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 413", "HTTP/1.1 200"]);
  });

  it("invites a body that waits for 100, only when it wants it", async () => {
    const head =
      "POST /api/publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n";
    const body = '{"topic":"quote.P","data":1}';
    const socket = connect(harness.port, "127.0.0.1");
    let invited = false;
    socket.write(`${head}Content-Length: ${body.length}\r\n\r\n`);
    const text = await collect(socket, (seen) => {
      if (!invited && seen.startsWith("HTTP/1.1 100 Continue\r\n\r\n")) {
        invited = true;
        socket.write(body);
      }
      return seen.includes('"seq":1');
    });
    socket.destroy();
    expect(text).toContain("HTTP/1.1 200 ");

    const refused = await exchange(harness.port, `${head}Content-Length: 99999999\r\n\r\n`);
    expect(refused).toMatch(/^HTTP\/1\.1 413 /);
    expect(refused.toLowerCase()).toContain("connection: close");
  });
});

describe("POST /api/publish: when the request came", () => {
  it("is when its head came, or half a second before its end where the body came slowly", async () => {
    const socket = connect(harness.port, "127.0.0.1");
    const body = '{"topic":"quote.A","data":1}';
    const head = `POST /api/publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
    for (const waitMs of [150, 1000]) {
      const calls = harness.backend.calls.length;
      const sentMs = performance.now();
      socket.write(head);
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      socket.write(body);
      await expect.poll(() => harness.backend.calls.length).toBe(calls + 1);
      const waitedMs = performance.now() - (harness.backend.calls.at(-1)?.arrivedMs ?? 0);
      expect(waitedMs).toBeGreaterThanOrEqual(Math.min(500, waitMs) - 1);
      expect(waitedMs).toBeLessThanOrEqual(performance.now() - sentMs + 1);
      if (waitMs > 500) expect(waitedMs).toBeLessThan(performance.now() - sentMs - 400);
    }
    socket.destroy();
  });
});
