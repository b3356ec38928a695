import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { topicProblem } from "../../src/base/topic.ts";
import { epoch } from "./fake-backend.ts";
import { ask, errorOf, type Harness, startHarness } from "./http-harness.ts";

let harness: Harness;
beforeEach(async () => {
  harness = await startHarness({ historyBytesMax: 3000 });
});
afterEach(async () => harness.stop());

function get(path: string, headers: Record<string, string> = {}) {
  return ask(harness.port, "GET", path, headers);
}

/** All `seq` of an answer: the topic's own first. */
async function seqs(path: string): Promise<(string | undefined)[]> {
  const answer = await get(path);
  return [...answer.text.matchAll(/"seq":(\d)/g)].map((match) => match[1]);
}

/** Puts publications into a topic's log, `seq` from 1. */
function fill(topic: string, values: readonly string[]): void {
  harness.backend.logs.set(
    topic,
    values.map((value, index) => ({ seq: index + 1, data: Buffer.from(value), origin: null })),
  );
}

describe("GET /api/topics/<topic>", () => {
  it("answers the last value byte for byte", async () => {
    fill("quote.AAPL", ["1", '{"price":1.10,"id":12345678901234567890}']);
    const answer = await get("/api/topics/quote.AAPL");
    expect(answer.status).toBe(200);
    expect(answer.text).toBe(
      `{"topic":"quote.AAPL","epoch":"${epoch}","seq":2,"data":{"price":1.10,"id":12345678901234567890}}`,
    );
    expect(answer.headers["cache-control"]).toBe("no-store");
  });

  it("answers seq 0 and no data before the first publication", async () => {
    expect((await get("/api/topics/quote.NEW")).text).toBe(
      `{"topic":"quote.NEW","epoch":"${epoch}","seq":0}`,
    );
  });

  it("answers the name alone for a live-only topic", async () => {
    expect((await get("/api/topics/live.a")).text).toBe('{"topic":"live.a"}');
  });

  it("reads a URL-encoded topic, up to the longest", async () => {
    fill("quote.哈哈", ['"好"']);
    const answer = await get(`/api/topics/${encodeURIComponent("quote.哈哈")}`);
    expect(answer.text).toBe(`{"topic":"quote.哈哈","epoch":"${epoch}","seq":1,"data":"好"}`);
    const longest = `quote.${"哈".repeat(83)}`;
    expect(topicProblem(longest)).toBeNull();
    expect((await get(`/api/topics/${encodeURIComponent(longest)}`)).status).toBe(200);
  });

  it("answers HEAD with the same head and no body", async () => {
    fill("quote.A", ["123"]);
    const body = await get("/api/topics/quote.A");
    const head = await ask(harness.port, "HEAD", "/api/topics/quote.A");
    expect([head.status, head.text]).toEqual([200, ""]);
    expect(head.headers["content-length"]).toBe(String(body.bytes.length));
  });
});

describe("GET /api/topics/<topic>/history", () => {
  it("answers the newest messages, oldest first", async () => {
    fill("quote.A", ["1.0", "2.0", "3.0"]);
    expect((await get("/api/topics/quote.A/history?limit=2")).text).toBe(
      `{"topic":"quote.A","epoch":"${epoch}","seq":3,"messages":[{"seq":2,"data":2.0},{"seq":3,"data":3.0}]}`,
    );
  });

  it("answers an empty list for an empty topic", async () => {
    expect((await get("/api/topics/quote.A/history")).text).toBe(
      `{"topic":"quote.A","epoch":"${epoch}","seq":0,"messages":[]}`,
    );
  });

  it("says recovered when the messages begin right after a position", async () => {
    fill("quote.A", ["1", "2", "3"]);
    expect((await get(`/api/topics/quote.A/history?epoch=${epoch}&since=1`)).text).toBe(
      `{"topic":"quote.A","epoch":"${epoch}","seq":3,"messages":[{"seq":2,"data":2},{"seq":3,"data":3}],"recovered":true}`,
    );
    expect((await get(`/api/topics/quote.A/history?epoch=${epoch}&since=3`)).text).toContain(
      '"messages":[],"recovered":true',
    );
    expect((await get("/api/topics/quote.A/history?epoch=other&since=1")).text).toContain(
      '"recovered":false',
    );
    harness.backend.historyComplete = false;
    expect((await get(`/api/topics/quote.A/history?epoch=${epoch}&since=1`)).text).toContain(
      '"recovered":false',
    );
  });

  it("asks for 50 when nobody says, and for 1 to 1,000", async () => {
    for (const query of ["", "?limit=1", "?limit=1000"]) await get(`/api/topics/quote.A/history${query}`);
    expect(harness.backend.historyLimits).toEqual([50, 1, 1000]);
  });

  it("stays below its byte limit: the newest without a position, the first after one", async () => {
    fill(
      "quote.A",
      Array.from({ length: 5 }, (_, i) => `"${String(i).repeat(998)}"`),
    );
    expect(await seqs("/api/topics/quote.A/history")).toEqual(["5", "3", "4", "5"]);
    expect(await seqs(`/api/topics/quote.A/history?epoch=${epoch}&since=1`)).toEqual(["5", "2", "3", "4"]);
    fill("quote.A", [`"${"x".repeat(5000)}"`]);
    expect(await seqs("/api/topics/quote.A/history")).toEqual(["1", "1"]);
  });
});

describe("reading is refused", () => {
  const history = "/api/topics/quote.A/history";
  const rows: readonly (readonly [string, string, Record<string, string>, number, string, string])[] = [
    ["a bad topic", "/api/topics/bad%20topic", {}, 400, "bad_topic", "segments"],
    ["an empty topic", "/api/topics/", {}, 400, "bad_topic", "not empty"],
    ["an encoded slash", "/api/topics/quote%2FA", {}, 400, "bad_topic", "segments"],
    ["dots", "/api/topics/%2e%2e", {}, 400, "bad_topic", "segments"],
    ["a reserved topic", "/api/topics/$sys", {}, 400, "bad_topic", "reserved"],
    ["a topic of 256 bytes", `/api/topics/quote.${"x".repeat(250)}`, {}, 400, "bad_topic", "255"],
    ["a topic of 8,000 bytes", `/api/topics/quote.${"x".repeat(8000)}`, {}, 400, "bad_topic", "255"],
    ["a topic without a rule", "/api/topics/nope.a", {}, 404, "unknown_topic", "no rule"],
    ["a decomposed name", "/api/topics/quote.e%CC%81", {}, 400, "bad_topic", "normal form"],
    ["a broken escape", "/api/topics/%zz%00", {}, 400, "bad_request", "cannot be read"],
    ["an unknown parameter", "/api/topics/quote.A?since=1", {}, 400, "bad_request", "the query"],
    ["history of a live-only topic", "/api/topics/live.a/history", {}, 400, "bad_request", "live only"],
    ["limit 0", `${history}?limit=0`, {}, 400, "bad_request", "limit must be >= 1"],
    ["limit 1001", `${history}?limit=1001`, {}, 400, "bad_request", "limit must be <= 1000"],
    ["limit that is no number", `${history}?limit=many`, {}, 400, "bad_request", "limit must be integer"],
    ["limit twice", `${history}?limit=1&limit=2`, {}, 400, "bad_request", "limit must be integer"],
    ["since without epoch", `${history}?since=1`, {}, 400, "bad_request", "send both"],
    ["epoch without since", `${history}?epoch=1`, {}, 400, "bad_request", "send both"],
    ["since below 0", `${history}?epoch=1&since=-1`, {}, 400, "bad_request", "since must be >= 0"],
    [
      "since past 2^53",
      `${history}?epoch=1&since=9007199254740993`,
      {},
      400,
      "bad_request",
      "since must be <=",
    ],
    ["since beyond numbers", `${history}?epoch=1&since=1e400`, {}, 400, "bad_request", "since must be"],
    ["an empty epoch", `${history}?epoch=&since=1`, {}, 400, "bad_request", "epoch must NOT have fewer"],
    [
      "an epoch too long",
      `${history}?epoch=${"1".repeat(65)}&since=1`,
      {},
      400,
      "bad_request",
      "epoch must NOT have",
    ],
    ["a misspelt parameter", `${history}?sinc=1`, {}, 400, "bad_request", "the query"],
    [
      "no token where one is needed",
      "/api/topics/secret.a",
      {},
      401,
      "unauthorized",
      "Authorization: Bearer",
    ],
    ["a token in the query", "/api/topics/secret.a?token=good", {}, 400, "bad_request", "the query"],
    ["a bad token", "/api/topics/quote.A", { authorization: "Bearer bad" }, 401, "unauthorized", "not valid"],
    [
      "a token for other topics",
      "/api/topics/secret.a",
      { authorization: "Bearer x" },
      403,
      "forbidden",
      "not allow",
    ],
  ];
  it.each(rows)("%s", async (_name, path, headers, status, code, fragment) => {
    const answer = await get(path, headers);
    expect([answer.status, errorOf(answer).code]).toEqual([status, code]);
    expect(errorOf(answer).message).toContain(fragment);
    expect(answer.headers["x-content-type-options"]).toBe("nosniff");
    expect(harness.errors).toEqual([]);
  });

  it("lets a good token read", async () => {
    expect((await get("/api/topics/secret.a", { authorization: "Bearer good" })).status).toBe(200);
  });

  it("answers 503 while the broker is away, health stays well and readiness says so", async () => {
    harness.backend.state = { ready: false, reason: "redis://10.0.0.5:6379: connect ECONNREFUSED" };
    for (const path of ["/api/topics/quote.A", history]) {
      const answer = await get(path);
      expect([answer.status, errorOf(answer).code, answer.headers["retry-after"]]).toEqual([
        503,
        "unavailable",
        "1",
      ]);
      expect(answer.text).not.toContain("10.0.0.5");
    }
    expect((await get("/healthz")).text).toBe('{"status":"ok"}');
    const ready = await get("/readyz");
    expect([ready.status, errorOf(ready)]).toEqual([
      503,
      {
        code: "unavailable",
        message:
          "the broker (Redis) is away or does not answer; /readyz of the admin port says where and why",
      },
    ]);
    harness.backend.state = { ready: true, reason: null };
    expect((await get("/readyz")).text).toBe('{"status":"ready"}');
  });
});
