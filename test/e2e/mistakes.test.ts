/** What people get wrong, and the answer that they need; the server lives through all of it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ask, get, publish, publishLines } from "./http.ts";
import { Peer } from "./peer.ts";
import { tapecast } from "./run.ts";
import { Server } from "./server.ts";

let server: Server;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tapecast-e2e-"));
  server = await Server.start({
    sets: { "limits.messageBytesMax": 1000, "limits.echoMessageBytesMax": 5000, workers: 1 },
  });
});

afterAll(async () => {
  expect((await get(`${server.http}/readyz`)).status, "it still serves").toBe(200);
  expect((await server.metrics()).sum("tapecast_worker_restarts_total"), "no worker died").toBe(0);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

describe("a configuration with several problems", () => {
  const text = [
    "listen: { port: 99999, hots: 127.0.0.1 }",
    "workers: none",
    "topics:",
    '  - { match: "a..b", delivery: latest }',
    '  - { match: "chat.**", delivery: sometimes }',
    "limits: { messageBytesMax: -1 }",
    "",
  ].join("\n");
  const paths = [
    "listen.port",
    "listen.hots",
    "workers",
    "topics[0].match",
    "topics[1].delivery",
    "limits.messageBytesMax",
  ];

  it.each([
    { command: "serve", args: (file: string) => ["serve", "--config", file] },
    { command: "check-config", args: (file: string) => ["check-config", file] },
  ])("$command: all of them at once, with their paths, exit code 78", async ({ args }) => {
    const file = join(folder, "bad.yaml");
    writeFileSync(file, text);
    const { code, stdout, stderr } = await tapecast(args(file), { env: { TAPECAST_LISTEN__PROT: "1" } });
    expect(code).toBe(78);
    for (const path of [...paths, "TAPECAST_LISTEN__PROT"]) expect(stderr).toContain(path);
    expect(stderr, "no stack").not.toMatch(/^\s+at /mu);
    expect(stdout).not.toContain("listening");
  });

  it.each([
    { row: "YAML that cannot be read", content: "listen: [", says: "bad.yaml" },
    { row: "not a mapping", content: "- 1\n", says: "bad.yaml" },
  ])("$row: exit code 78", async ({ content, says }) => {
    const file = join(folder, "bad.yaml");
    writeFileSync(file, content);
    const { code, stderr } = await tapecast(["serve", "--config", file]);
    expect(code).toBe(78);
    expect(stderr).toContain(says);
    expect(stderr).not.toMatch(/^\s+at /mu);
  });

  it.each([
    { row: "a file that is not there", args: ["--config", "/nonexistent.yaml"], says: "/nonexistent.yaml" },
    {
      row: "a certificate that is not there",
      args: ["--set", "listen.tls={cert: /no.pem, key: /no.pem}"],
      says: "listen.tls.cert",
    },
    { row: "an unknown key", args: ["--set", "listen.prot=1"], says: "listen.port" },
  ])("$row: exit code 78 and its name", async ({ args, says }) => {
    const { code, stderr } = await tapecast([
      "serve",
      "--set",
      "listen.port=0",
      "--set",
      "admin.port=0",
      ...args,
    ]);
    expect(stderr).toContain(says);
    expect(stderr).not.toMatch(/^\s+at /mu);
    expect(code).toBe(78);
  });
});

describe("HTTP", () => {
  it.each([
    { row: "bad JSON", topic: "quote.A", data: "{", status: 400, code: "bad_request" },
    { row: "two values", topic: "quote.A", data: "1 2", status: 400, code: "bad_request" },
    { row: "a bad topic", topic: "quote..A", data: "1", status: 400, code: "bad_topic" },
    { row: "a topic of ours", topic: "$system", data: "1", status: 400, code: "bad_topic" },
    { row: "a topic without a rule", topic: "nope.A", data: "1", status: 404, code: "unknown_topic" },
    {
      row: "data over the limit",
      topic: "quote.A",
      data: `"${"x".repeat(1000)}"`,
      status: 413,
      code: "too_large",
    },
  ])("publish with $row: $status $code", async ({ topic, data, status, code }) => {
    const answer = await publish(server.http, topic, data);
    expect(answer.json()).toMatchObject({ error: { code, message: expect.stringMatching(/\S/u) } });
    expect(answer.status).toBe(status);
  });

  it("data of exactly the limit is taken", async () => {
    expect((await publish(server.http, "quote.A", `"${"x".repeat(998)}"`)).status).toBe(200);
  });

  it("a refused line names its number and why; the others are published", async () => {
    const answer = await publishLines(server.http, [
      '{"topic":"trade.LINES","data":1}',
      "oops",
      '{"topic":"tr ade","data":2}',
      `{"topic":"trade.LINES","data":"${"x".repeat(1000)}"}`,
      '{"topic":"trade.LINES","data":3}',
    ]);
    expect(answer.status).toBe(200);
    expect(answer.results()).toMatchObject([
      { topic: "trade.LINES", seq: 1 },
      { line: 2, error: { code: "bad_request" } },
      { line: 3, error: { code: "bad_topic" } },
      { line: 4, error: { code: "too_large" } },
      { topic: "trade.LINES", seq: 2 },
    ]);
  });

  it.each([
    { row: "no such path", method: "GET", path: "/nope", status: 404 },
    { row: "a wrong method", method: "DELETE", path: "/api/publish", status: 405 },
    { row: "a WebSocket endpoint asked by GET", method: "GET", path: "/ws", status: 426 },
    { row: "an unknown topic's value", method: "GET", path: "/api/topics/nope.A", status: 404 },
  ])("$row: $status", async ({ method, path, status }) => {
    const answer = await ask(server.http + path, { method });
    expect(answer.status).toBe(status);
    expect(answer.json()).toMatchObject({ error: { code: expect.any(String) } });
  });
});

describe("WebSocket commands", () => {
  it("a bad topic is refused by its name, the good ones are subscribed", async () => {
    const peer = await Peer.native(server.ws);
    const { result } = await peer.command("subscribe", { topics: ["quote.A", "nope!", "nope.A"] });
    expect(Object.keys(result?.topics ?? {})).toEqual(["quote.A"]);
    expect(result?.errors).toMatchObject({
      "nope!": { code: "bad_topic" },
      "nope.A": { code: "unknown_topic" },
    });
    await peer.close();
  });

  it("what is no JSON is answered with id null; three in a row close with 4503", async () => {
    const peer = await Peer.native(server.ws);
    peer.client.send("{");
    expect(await peer.json()).toMatchObject({ id: null, error: { code: "bad_request" } });
    expect(await peer.command("ping")).toEqual({ id: 1, result: {} });
    for (let index = 0; index < 3; index++) peer.client.send("oops");
    expect(await peer.ended).toMatchObject({ code: 4503, reason: "too_many_errors" });
  });

  it.each([
    { row: "an unknown method", text: '{"id":"a","method":"dance"}' },
    { row: "no params", text: '{"id":"a","method":"subscribe"}' },
    { row: "topics that are none", text: '{"id":"a","method":"subscribe","params":{"topics":[1]}}' },
  ])("$row: an error that keeps the id, and the connection stays", async ({ text }) => {
    const peer = await Peer.native(server.ws);
    peer.client.send(text);
    const reply = await peer.json();
    const refused = reply.error ?? Object.values(reply.result?.errors ?? {})[0];
    expect(reply.id).toBe("a");
    expect(refused?.code).toMatch(/^bad_(?:request|topic)$/u);
    expect(await peer.command("ping")).toMatchObject({ result: {} });
    await peer.close();
  });

  it("publishing where clients may not: forbidden", async () => {
    const peer = await Peer.native(server.ws);
    expect(await peer.command("publish", { topic: "quote.A", data: 1 })).toMatchObject({
      error: { code: "forbidden" },
    });
    await peer.close();
  });
});

describe("messages over the limit", () => {
  it.each([
    { path: "/ws", limit: 1000 },
    { path: "/echo", limit: 5000 },
  ])("$path: a text of $limit bytes is taken, one more closes with 1009", async ({ path, limit }) => {
    const peer = await Peer.open(server.ws + path);
    if (path === "/ws") await peer.json();
    peer.client.send("x".repeat(limit));
    const answer = await peer.text();
    if (path === "/echo") expect(answer).toHaveLength(limit);
    else expect(answer).toContain("bad_request");
    peer.client.send("x".repeat(limit + 1));
    expect(await peer.ended).toMatchObject({ code: 1009 });
  });

  it("a binary message to /ws closes with 1003", async () => {
    const peer = await Peer.native(server.ws);
    peer.client.send(Buffer.from([1, 2, 3]));
    expect(await peer.ended).toMatchObject({ code: 1003 });
  });
});

describe("handshakes", () => {
  it.each<{ row: string; path: string; headers: Record<string, string>; status: number }>([
    { row: "a path that is none", path: "/nope", headers: {}, status: 404 },
    { row: "a bad topic", path: "/raw/a..b", headers: {}, status: 400 },
    { row: "an unknown topic", path: "/raw/nope.A", headers: {}, status: 404 },
    { row: "a foreign origin", path: "/ws", headers: { Origin: "https://evil.example" }, status: 403 },
    { row: "a bad interval", path: "/ws?interval=soon", headers: {}, status: 400 },
  ])("$row: $status", async ({ path, headers, status }) => {
    const end = await new Peer({ url: server.ws + path, headers }).ended;
    expect(end.status).toBe(status);
    expect(end.code).toBe(1006);
  });

  it("/echo asks for no origin", async () => {
    const peer = await Peer.open(`${server.ws}/echo`, { headers: { Origin: "https://other.example" } });
    await peer.close();
  });
});
