/** permessage-deflate between a whole server and a client that we did not write. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { publish, publishLines } from "./http.ts";
import { Peer } from "./peer.ts";
import { Server } from "./server.ts";
import { until } from "./until.ts";

const names = Array.from({ length: 20 }, (_, index) => `quote.S${index}`);

let server: Server;
const sockets: WebSocket[] = [];

beforeAll(async () => {
  server = await Server.start({ sets: { workers: 1 } });
});

afterAll(async () => {
  for (const socket of sockets) socket.terminate();
  expect((await server.metrics()).sum("tapecast_worker_restarts_total")).toBe(0);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});

/** A client of npm's ws and every message that it gets. */
async function open(
  path: string,
  perMessageDeflate: boolean,
): Promise<{ socket: WebSocket; messages: string[] }> {
  const socket = new WebSocket(server.ws + path, { perMessageDeflate });
  sockets.push(socket);
  const messages: string[] = [];
  socket.on("message", (data: Buffer) => void messages.push(data.toString()));
  await until("the first message", () => messages.length > 0);
  return { socket, messages };
}

/** Publications among the messages, one JSON value each. */
function publications(messages: readonly string[]): string[] {
  return messages.flatMap((message) => message.split("\n")).filter((line) => line.startsWith('{"topic"'));
}

function lastOf(topic: string, messages: readonly string[]): string | undefined {
  return publications(messages).findLast((line) => line.includes(`"${topic}"`));
}

describe("batches", () => {
  it("are compressed once for all who take that, and say the same to everybody", async () => {
    const path = `/ws?batch=1&topics=${names.join(",")},chat.lobby`;
    const clients = await Promise.all(
      [true, true, true, false].map((isCompressed) => open(path, isCompressed)),
    );
    for (const { messages } of clients) await until("the subscription", () => messages.length === 2);
    expect(clients.map(({ socket }) => socket.extensions)).toEqual([
      "permessage-deflate",
      "permessage-deflate",
      "permessage-deflate",
      "",
    ]);
    const lines = names.map((topic, index) =>
      JSON.stringify({ topic, data: { price: 189.3 + index, volume: 12_000, time: 1_795_338_789_954 } }),
    );
    const roundsCount = 10;
    for (let round = 0; round < roundsCount; round += 1) {
      await publishLines(server.http, [...lines, '{"topic":"chat.lobby","data":"hi"}']);
    }
    for (const { messages } of clients) {
      await until(
        "every message of the chat",
        () => publications(messages).filter((line) => line.includes("chat.lobby")).length === roundsCount,
      );
      for (const topic of names) expect(lastOf(topic, messages)).toContain(`"seq":${roundsCount},`);
    }
    await until(
      "the figures",
      async () => (await server.metrics()).sum("tapecast_deflate_messages_total") > 0,
    );
    const metrics = await server.metrics();
    expect(metrics.sum("tapecast_deflate_connections_total")).toBe(3);
    const [bytesIn, bytesOut] = ["input", "output"].map((side) =>
      metrics.sum(`tapecast_deflate_${side}_bytes_total`),
    );
    expect(bytesOut).toBeLessThan((bytesIn ?? 0) / 3);
    // Once for three readers.
    expect(metrics.sum("tapecast_deflate_messages_total")).toBeLessThanOrEqual(roundsCount * 3);
  });
});

describe("DF1: bombs", () => {
  it("100 of 1 MiB in 1 KB end with 1009, and a healthy reader misses nothing", async () => {
    const healthy = await Peer.native(server.ws);
    await healthy.subscribe("chat.calm");
    const bomb = Buffer.alloc(1_048_576);
    const codes: number[] = [];
    for (let count = 0; count < 100; count += 1) {
      const socket = new WebSocket(`${server.ws}/ws`, { perMessageDeflate: true });
      sockets.push(socket);
      socket.on("open", () => socket.send(bomb.toString("latin1")));
      socket.on("close", (code) => void codes.push(code));
    }
    await until("all of them closed", () => codes.length === 100, 30_000);
    expect(new Set(codes)).toEqual(new Set([1009]));
    await publish(server.http, "chat.calm", '"calm"');
    expect(await healthy.json()).toMatchObject({ data: "calm" });
    await healthy.close();
  });
});

describe("commands and echoes", () => {
  it("a compressed command is obeyed", async () => {
    const { socket, messages } = await open("/ws", true);
    // ws compresses from 1 KiB on.
    socket.send(JSON.stringify({ id: 7, method: "ping", ignored: "x".repeat(2000) }));
    await until("the reply", () => messages.length === 2);
    expect(JSON.parse(messages[1] ?? "")).toEqual({ id: 7, result: {} });
    await until(
      "the figures",
      async () => (await server.metrics()).sum("tapecast_inflate_messages_total") > 0,
    );
  });
});
