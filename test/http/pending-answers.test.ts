/** What nobody takes of the answers, and what is asked faster than it can be answered. */
import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { limitCounters } from "../../src/base/limit-counters.ts";
import type { HistoryPage } from "../../src/broker/broker.ts";
import { eventually } from "../connection/raw-peer.ts";
import { ask, createGate, errorOf, startHarness, type Harness } from "./http-harness.ts";

const mebibyte = 2 ** 20;
let harness: Harness | null = null;
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await harness?.stop();
  harness = null;
});

/** A backend whose history is one entry of so many bytes: more than the kernel takes of a peer that reads nothing. */
async function start(options: Parameters<typeof startHarness>[0], dataBytes: number): Promise<Harness> {
  harness = await startHarness(options);
  harness.backend.history = () => Promise.resolve(page(dataBytes));
  return harness;
}

function page(dataBytes: number): HistoryPage {
  return {
    position: { epoch: "1", seq: 1 },
    entries: [{ seq: 1, data: Buffer.alloc(dataBytes, "1"), origin: null }],
    complete: true,
  };
}

/** Asks for the history and reads nothing of the answer. */
function frozen({ port }: Harness): Socket {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.pause();
  socket.write("GET /api/topics/quote.A/history HTTP/1.1\r\nHost: localhost\r\n\r\n");
  sockets.push(socket);
  return socket;
}

describe("limits.httpAnswerBytesTotalMax", () => {
  it("at the limit all are kept; one more ends the one that has waited longest", async () => {
    const bodyBytes = 16 * mebibyte;
    const server = await start({ answerBytesTotalMax: 2 * bodyBytes + 1000 }, bodyBytes);
    const before = limitCounters.reached.get("httpAnswerBytesTotalMax") ?? 0;
    const { answers } = server.api.counters;
    frozen(server);
    await eventually(() => answers.pendingBytes > bodyBytes);
    frozen(server);
    await eventually(() => answers.pendingBytes > 2 * bodyBytes);
    expect(answers.shed).toBe(0);
    frozen(server);
    await eventually(() => answers.shed === 1);
    expect(limitCounters.reached.get("httpAnswerBytesTotalMax")).toBe(before + 1);
    expect(answers.pendingBytes).toBeLessThanOrEqual(2 * bodyBytes + 1000);
    const [first, second, third] = sockets;
    // It sees its end behind what the kernel had taken.
    first?.resume();
    await eventually(() => first?.destroyed === true);
    expect([second?.destroyed, third?.destroyed]).toEqual([false, false]);
    for (const socket of sockets) socket.destroy();
    await eventually(() => answers.pendingBytes === 0);
  });

  it("ends a connection whose answers wait behind one that is not worked out, too", async () => {
    const gate = createGate();
    const server = await start({ answerBytesTotalMax: 2 * mebibyte }, mebibyte);
    server.backend.gate = gate.opened;
    const body = '{"topic":"quote.A","data":1}';
    const socket = connect(server.port, "127.0.0.1");
    socket.on("error", () => undefined);
    sockets.push(socket);
    const publish =
      "POST /api/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
      `Content-Length: ${body.length}\r\n\r\n${body}`;
    const history = "GET /api/topics/quote.A/history HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write(publish + history.repeat(3));
    socket.resume();
    await eventually(() => server.api.counters.answers.shed > 0);
    await eventually(() => socket.destroyed && server.api.counters.requestsInFlight === 0);
    expect(server.api.counters.answers.pendingBytes).toBe(0);
    gate.open();
  });

  it("whoever reads gets everything, and nothing is counted behind it", async () => {
    const server = await start({ answerBytesTotalMax: 2 * mebibyte }, mebibyte);
    for (let round = 0; round < 5; round++) {
      const answer = await ask(server.port, "GET", "/api/topics/quote.A/history");
      expect(answer.bytes.length).toBeGreaterThan(mebibyte);
    }
    await eventually(() => server.api.counters.answers.pendingBytes === 0);
    expect(server.api.counters.answers.shed).toBe(0);
  });
});

describe("limits.pendingAgeMsMax", () => {
  it("ends a connection of which none of its answer is taken for so long, and counts it", async () => {
    const server = await start({ pendingAgeMsMax: 100 }, 16 * mebibyte);
    const before = limitCounters.reached.get("pendingAgeMsMax") ?? 0;
    frozen(server);
    await eventually(() => server.api.counters.answers.pendingBytes > 0);
    await eventually(() => server.api.counters.answers.pendingBytes === 0);
    expect(limitCounters.reached.get("pendingAgeMsMax")).toBe(before + 1);
    expect(server.api.counters.requestsInFlight).toBe(0);
  });
});

describe("limits.httpRequestsInFlightMax", () => {
  it("at the limit all are worked on; one more is 503 with Retry-After, and then there is room again", async () => {
    const gate = createGate();
    const server = await start({ requestsInFlightMax: 2 }, 10);
    server.backend.history = async () => {
      await gate.opened;
      return page(10);
    };
    const first = [1, 2].map(() => ask(server.port, "GET", "/api/topics/quote.A/history"));
    await eventually(() => server.api.counters.requestsInFlight === 2);
    const before = limitCounters.reached.get("httpRequestsInFlightMax") ?? 0;
    const third = await ask(server.port, "GET", "/api/topics/quote.A");
    // Who asks whether we live is not told that we do not.
    expect((await ask(server.port, "GET", "/healthz")).status).toBe(200);
    expect(third.status).toBe(503);
    expect(errorOf(third).code).toBe("unavailable");
    expect(third.headers["retry-after"]).toBe("1");
    expect(third.headers["cache-control"]).toBe("no-store");
    expect(limitCounters.reached.get("httpRequestsInFlightMax")).toBe(before + 1);
    gate.open();
    expect((await Promise.all(first)).map(({ status }) => status)).toEqual([200, 200]);
    await eventually(() => server.api.counters.requestsInFlight === 0);
    expect((await ask(server.port, "GET", "/healthz")).status).toBe(200);
  });
});
