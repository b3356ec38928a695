/**
 * The reader of subscriber messages beside the reader of ioredis (redis-parser), at every cut and at random ones; and
 * both ways to receive over a real connection.
 */
import * as fc from "fast-check";
import { Redis } from "ioredis";
// ioredis brings it; it has no types.
// @ts-expect-error TS7016
import Parser from "redis-parser";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type MessageReceiver,
  receiveEvents,
  receiveMessages,
  RedisMessageReader,
} from "../../src/broker/redis-messages.ts";
import { startRedisServer, type RedisServer } from "../setup/redis-server.ts";

/** What came, as text; replies that were passed on are parsed by redis-parser. */
class Heard implements MessageReceiver {
  reads = 0;
  readonly all: unknown[] = [];
  readonly parser = new Parser({
    returnReply: (reply: unknown) => this.all.push(["reply", shown(reply)]),
    returnError: (error: Error) => this.all.push(["error", error.message]),
    returnBuffers: true,
  });

  onRead(): void {
    this.reads += 1;
  }
  onMessage(bytes: Buffer, channelStart: number, channelEnd: number, start: number, end: number): void {
    expect(bytes[end]).toBe(0x0d);
    this.all.push([
      "message",
      bytes.toString("utf8", channelStart, channelEnd),
      bytes.toString("latin1", start, end),
    ]);
  }
  onOversized(channel: string): void {
    this.all.push(["oversized", channel]);
  }
  onUnreadable(): void {
    this.all.push(["unreadable"]);
  }
}

function shown(reply: unknown): unknown {
  if (Array.isArray(reply)) return reply.map(shown);
  return Buffer.isBuffer(reply) ? reply.toString("latin1") : reply;
}

function read(chunks: readonly Buffer[], payloadBytesMax = 1000): unknown[] {
  const heard = new Heard();
  const reader = new RedisMessageReader(heard, payloadBytesMax, (bytes) => heard.parser.execute(bytes));
  for (const chunk of chunks) reader.push(Buffer.from(chunk));
  return heard.all;
}

/** The slow twin: everything by redis-parser. */
function readByTwin(bytes: Buffer): unknown[] {
  const heard: unknown[] = [];
  const parser = new Parser({
    returnReply: (reply: unknown) => {
      const [kind, channel, payload] = Array.isArray(reply) ? reply : [];
      if (Buffer.isBuffer(kind) && kind.toString() === "message")
        heard.push(["message", String(channel), (payload as Buffer).toString("latin1")]);
      else heard.push(["reply", shown(reply)]);
    },
    returnError: (error: Error) => heard.push(["error", error.message]),
    returnBuffers: true,
  });
  parser.execute(bytes);
  return heard;
}

function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}

function message(channel: string, payload: string): string {
  return `*3\r\n${bulk("message")}${bulk(channel)}${bulk(payload)}`;
}

const replies = [
  message("tape:quote.A", '{"price":1.10}'),
  `*3\r\n${bulk("subscribe")}${bulk("tape:quote.A")}:1\r\n`,
  message("tape:行情", '{"text":"哈哈"}'),
  "+PONG\r\n",
  `*2\r\n${bulk("pong")}${bulk("")}`,
  message("c", ""),
  `*3\r\n${bulk("unsubscribe")}$-1\r\n:0\r\n`,
  "-ERR unknown\r\n",
  `*3\r\n${bulk("pmessage")}${bulk("a*")}${bulk("x")}`,
  message("tape:quote.B", "*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\ny\r\n"),
  "*-1\r\n",
  ":12\r\n",
  "*2\r\n*1\r\n:1\r\n$2\r\nhi\r\n",
  message("tape:quote.A", "[2]"),
];
const stream = Buffer.from(replies.join(""));

describe("messages of a subscriber connection", () => {
  it("are read beside other replies, as redis-parser reads them", () => {
    expect(read([stream])).toEqual(readByTwin(stream));
    expect(read([stream]).filter((each) => (each as string[])[0] === "message")).toHaveLength(5);
  });

  it("come out the same at every cut, and byte by byte", () => {
    const whole = read([stream]);
    for (let cut = 1; cut < stream.length; cut += 1) {
      expect(read([stream.subarray(0, cut), stream.subarray(cut)]), `cut at ${cut}`).toEqual(whole);
    }
    expect(read([...stream].map((byte) => Buffer.from([byte])))).toEqual(whole);
  });

  it("agree with redis-parser in any order, with any payloads, at any cuts", () => {
    const payload = fc.oneof(
      fc.string({ maxLength: 40 }),
      fc.constantFrom("\r\n", "$5\r\n", "*3\r\n$7\r\nmessage\r\n"),
    );
    const reply = fc.oneof(
      fc
        .tuple(fc.string({ minLength: 1, maxLength: 9 }), payload)
        .map(([channel, text]) => message(channel, text)),
      fc.constantFrom(...replies),
    );
    const any = fc.tuple(fc.array(reply, { maxLength: 12 }), fc.array(fc.nat(400), { maxLength: 6 }));
    fc.assert(
      fc.property(any, ([parts, cuts]) => {
        const bytes = Buffer.from(parts.join(""));
        const places = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
        const chunks = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
        expect(read(chunks)).toEqual(readByTwin(bytes));
      }),
      { numRuns: 500 },
    );
  });

  it("past the limit are skipped without being kept, wherever they are cut, and those behind them come", () => {
    const large = message("tape:large", "x".repeat(1001));
    const bytes = Buffer.from(message("a", "x".repeat(1000)) + large + message("b", "2"));
    const expected = [
      ["message", "a", "x".repeat(1000)],
      ["oversized", "tape:large"],
      ["message", "b", "2"],
    ];
    expect(read([bytes])).toEqual(expected);
    for (const step of [1, 7, 64, 500]) {
      const chunks = Array.from({ length: Math.ceil(bytes.length / step) }, (_, index) =>
        bytes.subarray(index * step, (index + 1) * step),
      );
      expect(read(chunks), `steps of ${step}`).toEqual(expected);
    }
  });

  it.each([
    ["RESP3", `>3\r\n${bulk("message")}${bulk("c")}${bulk("x")}`],
    ["no length", "*3\r\n$7\r\nmessage\r\n$x\r\n1234567\r\n"],
    ["an endless length", `*${"1".repeat(80)}`],
  ])("what is not RESP2 is told once and ends the reading: %s", (_, text) => {
    const heard = read([Buffer.from(text), Buffer.from(message("a", "1"))]);
    expect(heard).toEqual([["unreadable"]]);
  });
});

describe("receiving over a real connection", () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedisServer();
  });
  afterAll(() => redis.stop());

  it.each([
    ["read where they lie", receiveMessages, 0],
    ["by the events of ioredis", receiveEvents, 1],
  ] as const)("%s: messages come, commands are answered", async (_, receive, listeners) => {
    const subscriber = new Redis(redis.port, { lazyConnect: true });
    const publisher = new Redis(redis.port);
    await subscriber.connect();
    const heard = new Heard();
    receive(subscriber, heard, 100);
    expect(subscriber.listenerCount("messageBuffer")).toBe(listeners);
    await subscriber.subscribe("a", "行情");
    for (let number = 0; number < 300; number += 1) void publisher.publish("a", `[${number}]`);
    await publisher.publish("行情", "x".repeat(101));
    await publisher.publish("行情", '"哈"');
    await subscriber.unsubscribe("a");
    await expect.poll(() => heard.all.length).toBe(302);
    expect(heard.all[0]).toEqual(["message", "a", "[0]"]);
    expect(heard.all[299]).toEqual(["message", "a", "[299]"]);
    expect(heard.all.slice(300)).toEqual([
      ["oversized", "行情"],
      ["message", "行情", Buffer.from('"哈"').toString("latin1")],
    ]);
    subscriber.disconnect();
    publisher.disconnect();
  });
});
