/** PRODUCT §4: /raw/<topic>, whose frames are data and nothing else, and /echo. */
import { describe, expect, it } from "vitest";

import { encodeFrame, encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { limitCounters } from "../../src/base/limit-counters.ts";
import { ByteTotal } from "../../src/connection/byte-total.ts";
import { EchoSession } from "../../src/session/echo-session.ts";
import type { EchoConnection } from "../../src/session/echo-session.ts";
import { SessionWorld, tick } from "./session-world.ts";

const encodeMessage = (isText: boolean, payload: Uint8Array): Buffer =>
  encodeFrame(isText ? opcode.text : opcode.binary, payload);

describe("/raw", () => {
  it("sends the current value first, then each publication's data byte for byte", async () => {
    const world = new SessionWorld();
    world.publish("quote.A", '{"p": 189.30}');
    const { connection } = world.raw("quote.A");
    await tick();
    world.publish("quote.A", "1.10");
    world.go();
    world.publish("quote.A", '"\\u0041"');
    world.go();
    expect(connection.take()).toEqual(['{"p": 189.30}', "1.10", '"\\u0041"']);
  });

  it("sends no value where there is none", async () => {
    const world = new SessionWorld();
    world.publish("wire.a", "1");
    const [empty, live] = [world.raw("chat.a"), world.raw("wire.a")];
    await tick();
    expect([empty.connection.take(), live.connection.take()]).toEqual([[], []]);
    world.publish("wire.a", "2");
    world.go();
    expect(live.connection.take()).toEqual(["2"]);
  });

  it("?interval= is the rate of a latest topic, and means nothing elsewhere", async () => {
    const world = new SessionWorld();
    const [quote, chat] = [
      world.raw("quote.A", { intervalMs: 900 }),
      world.raw("chat.a", { intervalMs: 900 }),
    ];
    await tick();
    for (let step = 0; step < 20; step += 1) {
      world.publish("quote.A", `${step}`);
      world.publish("chat.a", `${step}`);
      world.go(100);
    }
    expect(quote.connection.take()).toEqual(["0", "10"]);
    expect(chat.connection.take()).toHaveLength(20);
  });

  it.each([
    { name: "every with history", topic: "chat.a", closed: { code: 4003, reason: "history_gap" } },
    { name: "every without history, where nobody can be told", topic: "wire.a", closed: { code: 4003, reason: "history_gap" } },
    { name: "latest", topic: "quote.A", closed: null },
    { name: "sample", topic: "danmaku.a", closed: null },
  ])("loss closes with 4003 where nothing may be missed: $name", async ({ topic, closed }) => {
    const world = new SessionWorld(4);
    const raw = world.raw(topic);
    await tick();
    raw.connection.takes = () => false;
    for (let count = 0; count < 10; count += 1) {
      world.publish(topic, `${count}`);
      world.go();
    }
    world.drain(raw);
    world.go(2000);
    expect(raw.connection.closedWith).toEqual(closed);
    // Nothing but data, no lost event.
    for (const message of raw.connection.take()) expect(message).toMatch(/^\d$/);
  }); // prettier-ignore

  it("a gap of the broker closes with 4003", async () => {
    const world = new SessionWorld();
    const { connection } = world.raw("chat.a");
    await tick();
    world.hub.gap("chat.a", { epoch: "2", seq: 0 }, null, world.nowMs);
    expect(connection.closedWith).toEqual({ code: 4003, reason: "history_gap" });
  });

  it("a message of the client closes with 1008", async () => {
    const { connection, session } = new SessionWorld().raw("chat.a");
    session.receive();
    expect(connection.closedWith).toEqual({ code: 1008, reason: "raw_takes_no_messages" });
  });

  it("a broker that does not answer closes with 1013", async () => {
    const world = new SessionWorld();
    world.broker.opensAtOnce = false;
    const { connection } = world.raw("chat.a");
    world.go(5000);
    expect(connection.closedWith).toEqual({ code: 1013, reason: "unavailable" });
  });

  it("a value that fills the socket is followed by what came since", async () => {
    const world = new SessionWorld();
    world.publish("chat.a", "1");
    const raw = world.raw("chat.a");
    raw.connection.takes = () => false;
    await tick();
    world.publish("chat.a", "2");
    world.go();
    expect(raw.connection.queuedWrites).toBe(0);
    world.drain(raw);
    expect(raw.connection.take()).toEqual(["1", "2"]);
  });

  it.each([
    { name: "while the topic is opened", opensAtOnce: false },
    { name: "while it reads", opensAtOnce: true },
  ])("frees everything when it goes: $name", async ({ opensAtOnce }) => {
    const world = new SessionWorld();
    world.broker.opensAtOnce = opensAtOnce;
    const { connection } = world.raw("chat.a");
    await tick();
    connection.end();
    await tick();
    world.answer();
    world.publish("chat.a", "1");
    world.go(5000);
    world.go(5000);
    expect(connection.take()).toEqual([]);
    expect(world.hub.counters).toMatchObject({ topics: 0, subscriptions: 0, audiences: 0 });
    expect(world.wheel.size).toBe(0);
  });
});

/** A connection that keeps the very bytes. */
function echoes(bytesMax = Number.POSITIVE_INFINITY): ByteTotal<EchoConnection> {
  return new ByteTotal({
    bytesMax,
    limit: "echoPendingBytesTotalMax",
    bytesOf: (connection) => connection.pendingBytes,
    end: (connection) => connection.shed(),
  });
}

class EchoEnd implements EchoConnection {
  readonly written: Buffer[] = [];
  readonly texts: string[] = [];
  recordedFrames: Uint8Array | null = null;
  isWritable = true;
  pauses = 0;
  resumes = 0;
  pendingBytes = 0;
  isShed = false;
  shed(): void {
    this.isShed = true;
  }
  write(bytes: Uint8Array): boolean {
    this.written.push(Buffer.from(bytes));
    return this.isWritable;
  }
  sendCompressed(isText: boolean, payload: Uint8Array): boolean {
    return this.write(encodeFrame(isText ? opcode.text : opcode.binary, payload));
  }
  sendText(text: string): boolean {
    this.texts.push(text);
    return this.isWritable;
  }
  pauseReading(): void {
    this.pauses += 1;
  }
  resumeReading(): void {
    this.resumes += 1;
  }
}

describe("/echo", () => {
  it.each([
    // FIN + text, 2 bytes: "hi"
    { name: "text", isText: true, payload: "6869", frame: "81026869" },
    // FIN + binary, 3 bytes
    { name: "binary", isText: false, payload: "00ff80", frame: "820300ff80" },
    { name: "an empty text", isText: true, payload: "", frame: "8100" },
    { name: "an empty binary", isText: false, payload: "", frame: "8200" },
    // 126: a length of 16 bits, 0x0100
    { name: "256 bytes", isText: false, payload: "ab".repeat(256), frame: `827e0100${"ab".repeat(256)}` },
  ])("returns the message as it came: $name", ({ isText, payload, frame }) => {
    const end = new EchoEnd();
    new EchoSession(end, null, echoes()).receive(isText, Buffer.from(payload, "hex"));
    expect(end.written.map((bytes) => bytes.toString("hex"))).toEqual([frame]);
    expect(end.texts).toEqual([]);
  });

  it("?trace=1 follows each echo with both frames in hex", () => {
    const end = new EchoEnd();
    end.recordedFrames = encodeMaskedFrame(opcode.text, Buffer.from("hi"), 0x0102_0304);
    new EchoSession(end, encodeMessage, echoes()).receive(true, Buffer.from("hi"));
    expect(end.written.map((bytes) => bytes.toString("hex"))).toEqual(["81026869"]);
    // FIN + text, MASK + 2, the key 01 02 03 04, then "hi" masked: 68^01, 69^02.
    expect(end.texts).toEqual(['{"event":"frames","in":"818201020304696b","out":"81026869"}']);
  });

  it("?trace=1 without a record says so with an empty text", () => {
    const end = new EchoEnd();
    new EchoSession(end, encodeMessage, echoes()).receive(true, Buffer.from("hi"));
    expect(end.texts).toEqual(['{"event":"frames","in":"","out":"81026869"}']);
  });

  it("gives the memory of a large message back when all of it was taken, and not before", () => {
    const end = new EchoEnd();
    const session = new EchoSession(end, null, echoes());
    const taken = Buffer.allocUnsafeSlow(1_048_576);
    session.receive(false, taken);
    expect(taken).toHaveLength(0);
    end.isWritable = false;
    end.pendingBytes = 1;
    const waiting = Buffer.allocUnsafeSlow(1_048_576);
    session.receive(false, waiting);
    expect(waiting).toHaveLength(1_048_576);
    end.pendingBytes = 0;
    end.isWritable = true;
    session.drained();
    expect(waiting).toHaveLength(0);
    // Less is the collector's; and so is what waited when its connection ended.
    const small = Buffer.allocUnsafeSlow(1_048_575);
    session.receive(false, small);
    expect(small).toHaveLength(1_048_575);
    end.isWritable = false;
    end.pendingBytes = 1;
    const cut = Buffer.allocUnsafeSlow(1_048_576);
    session.receive(false, cut);
    session.closed();
    session.drained();
    expect(cut).toHaveLength(1_048_576);
  });

  it("stops reading while echoes wait to be taken, and goes on then", () => {
    const end = new EchoEnd();
    const session = new EchoSession(end, null, echoes());
    session.receive(true, Buffer.from("a"));
    expect(end.pauses).toBe(0);
    end.isWritable = false;
    session.receive(true, Buffer.from("b"));
    expect([end.pauses, end.resumes]).toEqual([1, 0]);
    end.isWritable = true;
    session.drained();
    expect([end.pauses, end.resumes]).toEqual([1, 1]);
  });

  it("limits.echoPendingBytesTotalMax: all echoes together may have so much pending, one byte more ends the first", () => {
    const total = echoes(1000);
    const ends = [600, 400, 1].map((pendingBytes) => {
      const end = new EchoEnd();
      end.isWritable = false;
      end.pendingBytes = pendingBytes;
      return end;
    });
    const sessions = ends.map((end) => new EchoSession(end, null, total));
    sessions[0]!.receive(true, Buffer.from("a"));
    sessions[1]!.receive(true, Buffer.from("b"));
    expect(ends.map(({ isShed }) => isShed)).toEqual([false, false, false]);
    const before = limitCounters.reached.get("echoPendingBytesTotalMax") ?? 0;
    sessions[2]!.receive(true, Buffer.from("c"));
    expect(ends.map(({ isShed }) => isShed)).toEqual([true, false, false]);
    expect(limitCounters.reached.get("echoPendingBytesTotalMax")).toBe(before + 1);
    sessions[1]!.drained();
    sessions[2]!.closed();
    expect(total.counters).toEqual({ pendingBytes: 0, shed: 1 });
  });
});
