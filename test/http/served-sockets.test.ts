/**
 * Connections whose requests come faster than their answers are taken. Node tells a queued answer nothing when its
 * socket goes: once a few thousand requests were sent ahead and the connection reset, each of them counted as being
 * worked on for ever, and from limits.httpRequestsInFlightMax on everybody got 503.
 */
import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { limitCounters } from "../../src/base/limit-counters.ts";
import { pipelinedMax } from "../../src/http/served-sockets.ts";
import { eventually } from "../connection/raw-peer.ts";
import { ask, createGate, exchange, occurrences, startHarness, type Harness } from "./http-harness.ts";

let harness: Harness | null = null;
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await harness?.stop();
  harness = null;
});

async function start(options: Parameters<typeof startHarness>[0] = {}): Promise<Harness> {
  harness = await startHarness(options);
  return harness;
}

/** Sends and reads nothing. */
function send({ port }: Harness, text: string): Socket {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.pause();
  socket.write(text);
  sockets.push(socket);
  return socket;
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
const body = '{"topic":"quote.A","data":1}';
const publish =
  `POST /api/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n` +
  `Content-Length: ${body.length}\r\n\r\n${body}`;

describe("a connection that goes while several requests wait for their answers", () => {
  it.each([
    { name: "by a reset", end: (socket: Socket) => socket.resetAndDestroy() },
    { name: "by FIN", end: (socket: Socket) => socket.destroy() },
  ])("leaves nothing behind: $name", async ({ end }) => {
    const gate = createGate();
    const server = await start({ requestsInFlightMax: 100 });
    server.backend.gate = gate.opened;
    for (let round = 0; round < 5; round++) {
      const socket = send(server, publish.repeat(30) + get("/api/topics/quote.A").repeat(30));
      await eventually(() => server.api.counters.requestsInFlight >= 30);
      expect(server.api.bodies.bytes).toBeGreaterThan(0);
      end(socket);
      await eventually(() => server.api.counters.requestsInFlight === 0 && server.api.bodies.bytes === 0);
    }
    gate.open();
    expect((await ask(server.port, "GET", "/api/topics/quote.A")).status).toBe(200);
    expect(server.api.counters.answers.pendingBytes).toBe(0);
    expect(server.errors).toEqual([]);
  });

  it("counts no bytes of an answer that comes after its end", async () => {
    const gate = createGate();
    const server = await start();
    server.backend.history = async () => {
      await gate.opened;
      const data = Buffer.alloc(10_000, "1");
      return { position: { epoch: "1", seq: 1 }, entries: [{ seq: 1, data, origin: null }], complete: true };
    };
    const socket = send(server, get("/api/topics/quote.A/history").repeat(2));
    await eventually(() => server.api.counters.requestsInFlight === 2);
    socket.resetAndDestroy();
    await eventually(() => server.api.counters.requestsInFlight === 0);
    gate.open();
    expect((await ask(server.port, "GET", "/api/topics/quote.A/history")).bytes.length).toBeGreaterThan(
      10_000,
    );
    await eventually(() => server.api.counters.answers.pendingBytes === 0);
  });
});

describe("requests sent ahead", () => {
  it(`${pipelinedMax} are answered`, async () => {
    const server = await start();
    const text = await exchange(
      server.port,
      get("/api/topics/quote.A").repeat(pipelinedMax),
      (seen) => occurrences(seen, "HTTP/1.1 200") === pipelinedMax,
    );
    expect(occurrences(text, "HTTP/1.1 ")).toBe(pipelinedMax);
    expect(server.api.counters.clientErrors).toBe(0);
  });

  it("one more is 503 behind the answers of the others, and what comes behind it is never looked at", async () => {
    const gate = createGate();
    const server = await start();
    server.backend.gate = gate.opened;
    const text = exchange(
      server.port,
      publish + get("/healthz").repeat(pipelinedMax - 1) + publish.repeat(20),
    );
    await eventually(() => server.api.counters.clientErrors === 1);
    gate.open();
    const answers = (await text).match(/HTTP\/1\.1 \d+/g);
    expect(answers).toEqual([...Array<string>(pipelinedMax).fill("HTTP/1.1 200"), "HTTP/1.1 503"]);
    expect(await text).toContain("wait for their answers");
    expect(server.backend.calls).toHaveLength(1);
    await eventually(() => server.api.counters.requestsInFlight === 0);
  });

  it("those that are answered and not taken keep nobody else from being served", async () => {
    const server = await start({ requestsInFlightMax: 10 });
    const data = Buffer.alloc(16 * 2 ** 20, "1");
    server.backend.history = () =>
      Promise.resolve({
        position: { epoch: "1", seq: 1 },
        entries: [{ seq: 1, data, origin: null }],
        complete: true,
      });
    send(server, get("/api/topics/quote.A/history") + get("/openapi.json").repeat(50));
    await eventually(() => server.api.counters.answers.pendingBytes > data.length);
    expect((await ask(server.port, "GET", "/openapi.json")).status).toBe(200);
  });
});

describe("limits.pendingAgeMsMax, of small answers", () => {
  it("ends a connection that takes none of them for so long, and counts it", async () => {
    const server = await start({ pendingAgeMsMax: 200 });
    const before = limitCounters.reached.get("pendingAgeMsMax") ?? 0;
    const socket = send(server, "");
    // What the kernel takes of them has an end.
    let sent = 0;
    const timer = setInterval(() => {
      if (server.api.counters.requests.health["2xx"] < sent) return;
      sent += 100;
      socket.write(get("/healthz").repeat(100));
    }, 1);
    try {
      await eventually(() => (limitCounters.reached.get("pendingAgeMsMax") ?? 0) === before + 1);
    } finally {
      clearInterval(timer);
    }
    await eventually(() => server.api.counters.requestsInFlight === 0);
    socket.resume();
    await eventually(() => socket.destroyed);
  });

  it("is not for an answer that takes long to be worked out", async () => {
    const gate = createGate();
    const server = await start({ pendingAgeMsMax: 50 });
    server.backend.gate = gate.opened;
    const answer = ask(server.port, "POST", "/api/publish", { "content-type": "application/json" }, body);
    await eventually(() => server.api.counters.requestsInFlight === 1);
    await new Promise((resolve) => setTimeout(resolve, 300));
    gate.open();
    expect((await answer).status).toBe(200);
  });
});
