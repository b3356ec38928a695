import { afterEach, describe, expect, it } from "vitest";

import { encodeFrame, encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { closeReasonOf, closeReasons } from "../../src/connection/close-reason.ts";
import { ConnectionIds } from "../../src/connection/connection-ids.ts";
import { connectPair, type Pair } from "./connection-pair.ts";
import { eventually } from "./raw-peer.ts";

let pair: Pair;

/** Lets everything that is on its way over loopback arrive. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 30));
}

describe("RFC 6455 §7 closing", () => {
  afterEach(() => pair.end());

  it("ours: close frame, the peer's answer, and FIN from the server first", async () => {
    pair = await connectPair();
    const { connection, notes, peer } = pair;
    connection.close(4000, "restart");
    connection.close(1001, "too late");
    expect(notes.closed).toBeNull();
    await peer.until(() => peer.events.length === 1);
    expect(peer.events).toEqual([{ kind: "close", code: 4000, text: "restart" }]);
    expect(notes.calls).toEqual(["closed 4000 restart"]);
    expect(peer.isEnded).toBe(false);
    expect(connection.write(encodeFrame(opcode.text, Buffer.from("no")))).toBe(false);
    peer.sendText("ignored");
    peer.sendClose(4000);
    await peer.until(() => peer.isEnded);
    peer.socket.end();
    await eventually(() => pair.connections.counters.open === 0);
    expect(notes.calls).toEqual(["closed 4000 restart"]);
    expect(pair.connections.counters.closed.get("restart")).toBe(1);
    expect(pair.connections.wheel.size).toBe(0);
  });

  it("ours, and the peer answers never: gone after 5 s", async () => {
    pair = await connectPair();
    pair.connection.close(1000, "");
    await pair.peer.until(() => pair.peer.events.length === 1);
    pair.advance(4900);
    await settle();
    expect(pair.peer.isEnded || pair.peer.isClosed).toBe(false);
    pair.advance(200);
    await eventually(() => pair.connections.counters.open === 0);
  });

  it("ours, answered, and the peer never sends FIN: gone 2 s later", async () => {
    pair = await connectPair();
    pair.connection.close(1000, "");
    pair.peer.sendClose(1000);
    await pair.peer.until(() => pair.peer.isEnded);
    expect(pair.connections.counters.open).toBe(1);
    pair.advance(2100);
    await eventually(() => pair.connections.counters.open === 0);
  });

  it.each([
    {
      name: "1000",
      code: 1000,
      reason: "bye",
      options: {},
      echoed: { code: 1000, text: "" },
      label: "normal",
    },
    {
      name: "no code",
      code: null,
      reason: "",
      options: {},
      echoed: { code: 1005, text: "" },
      label: "no_status",
    },
    {
      name: "a private code",
      code: 4001,
      reason: "x",
      options: {},
      echoed: { code: 4001, text: "" },
      label: "other",
    },
    {
      name: "code and reason on /echo",
      code: 4000,
      reason: "再见",
      options: { echoesCloseReason: true },
      echoed: { code: 4000, text: "再见" },
      label: "other",
    },
  ])("the peer's is echoed: $name", async ({ code, reason, options, echoed, label }) => {
    pair = await connectPair(options);
    const { notes, peer } = pair;
    peer.sendClose(code, reason);
    peer.sendText("ignored");
    peer.sendClose(1001);
    await peer.until(() => peer.isEnded);
    expect(peer.events).toEqual([{ kind: "close", ...echoed }]);
    expect(notes.calls).toEqual([`closed ${code ?? 1005} ${label}`]);
    peer.socket.end();
    await eventually(() => pair.connections.counters.open === 0);
  });

  it("FIN without a close frame is 1006, and frees everything at once", async () => {
    pair = await connectPair();
    pair.peer.socket.end();
    await eventually(() => pair.connections.counters.open === 0);
    expect(pair.notes.calls).toEqual(["closed 1006 abnormal"]);
  });

  it("a reset is 1006 and throws nowhere, also while we write", async () => {
    pair = await connectPair();
    pair.peer.socket.resetAndDestroy();
    for (let count = 0; count < 20; count += 1) {
      pair.connection.write(encodeFrame(opcode.text, Buffer.alloc(100_000)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually(() => pair.connections.counters.open === 0);
    expect(pair.notes.calls.filter((call) => call.startsWith("closed"))).toEqual(["closed 1006 abnormal"]);
  });

  it("FIN instead of the answer to our close frame", async () => {
    pair = await connectPair();
    pair.connection.close(1001, "");
    pair.peer.socket.end();
    await eventually(() => pair.connections.counters.open === 0);
    expect(pair.notes.calls).toEqual(["closed 1001 going_away"]);
  });

  it("terminate ends without a word, once", async () => {
    pair = await connectPair();
    pair.connection.terminate();
    pair.connection.terminate();
    pair.connection.close(1000, "");
    await pair.peer.until(() => pair.peer.isEnded);
    expect(pair.peer.events).toEqual([]);
    await eventually(() => pair.connections.counters.open === 0);
    expect(pair.notes.calls).toEqual(["closed 1006 abnormal"]);
    pair.connection.terminate();
  });

  it("a violation: one close frame with its code, nothing more is read, FIN", async () => {
    pair = await connectPair();
    const { notes, peer } = pair;
    peer.sendText("good");
    peer.send(Buffer.from([0x81, 0x00]));
    peer.sendText("ignored");
    await peer.until(() => peer.isEnded);
    expect(peer.events).toMatchObject([{ kind: "close", code: 1002 }]);
    expect(notes.calls).toEqual(["text good", "closed 1002 protocol_error"]);
    peer.sendText("ignored");
    peer.socket.end();
    await eventually(() => pair.connections.counters.open === 0);
  });

  it("a violation after our close frame brings no second one", async () => {
    pair = await connectPair();
    pair.connection.close(1001, "");
    pair.peer.send(Buffer.from([0x83, 0x80, 0, 0, 0, 0]));
    await pair.peer.until(() => pair.peer.isEnded);
    expect(pair.peer.events).toEqual([{ kind: "close", code: 1001, text: "" }]);
  });

  it("reads on when it closes while paused, or it would never see the answer", async () => {
    pair = await connectPair();
    pair.connection.pauseReading();
    pair.connection.close(1000, "");
    pair.peer.sendClose(1000);
    await pair.peer.until(() => pair.peer.isEnded);
  });

  it("says nothing but its reason (CVE-2026-45736)", async () => {
    for (let length = 1; length <= 123; length += 1) {
      pair = await connectPair();
      pair.connection.sendText("secret".repeat(100));
      pair.connection.close(4003, "r".repeat(length));
      const { peer } = pair;
      await peer.until(() => peer.events.length === 2);
      expect(peer.events[1]).toEqual({ kind: "close", code: 4003, text: "r".repeat(length) });
      await pair.end();
    }
    pair = await connectPair();
  });
});

describe("messages", () => {
  afterEach(() => pair.end());

  it("delivers text and binary in order, answers pings in between, ignores pongs", async () => {
    pair = await connectPair();
    const { connection, notes, peer } = pair;
    peer.sendText("一");
    peer.sendControl(opcode.ping, "p");
    peer.sendControl(opcode.pong, "unasked");
    peer.send(encodeMaskedFrame(opcode.binary, Buffer.from([1, 2, 3]), 5));
    await eventually(() => notes.calls.length === 2);
    expect(notes.calls).toEqual(["text 一", "binary 3"]);
    connection.send(true, Buffer.from("t"));
    connection.send(false, Buffer.from("b"));
    await peer.until(() => peer.events.length === 3);
    expect(peer.events).toEqual([
      { kind: "pong", text: "p" },
      { kind: "text", text: "t" },
      { kind: "binary", text: "b" },
    ]);
    expect(pair.connections.counters).toMatchObject({
      opened: 1,
      open: 1,
      messagesIn: 2,
      pingsIn: 1,
      pongsIn: 1,
    });
    expect(connection.recordedFrames).toBeNull();
  });

  it("keeps the wire bytes of a message when asked", async () => {
    pair = await connectPair({ recordFrames: true });
    let recorded = "";
    pair.notes.onMessage = () => {
      recorded = Buffer.from(pair.connection.recordedFrames ?? []).toString("hex");
    };
    pair.peer.sendText("Hi");
    await eventually(() => recorded !== "");
    // 81: FIN, text; 82: masked, 2 bytes; 01020304: the key; 496b: "Hi" XOR the key.
    expect(recorded).toBe("818201020304496b");
  });

  it("delivers nothing behind a close within the same packet", async () => {
    pair = await connectPair();
    pair.notes.onMessage = () => pair.connection.close(4503, "too_many_errors");
    pair.peer.send(
      Buffer.concat(["a", "b"].map((text) => encodeMaskedFrame(opcode.text, Buffer.from(text), 1))),
    );
    await pair.peer.until(() => pair.peer.events.length === 1);
    await settle();
    expect(pair.notes.calls).toEqual(["text a", "closed 4503 too_many_errors"]);
  });
});

describe("heartbeat", () => {
  afterEach(() => pair.end());
  const heartbeat = { heartbeatIntervalMs: 25_000, heartbeatTimeoutMs: 8000 };

  it("pings a peer that was silent for 20 to 25 s, and frees one that stays silent 33 s after it was last heard (RS4)", async () => {
    pair = await connectPair(heartbeat);
    const { notes, peer } = pair;
    const { counters } = pair.connections;
    pair.advance(19_900);
    await settle();
    expect(peer.events).toEqual([]);
    for (let waitedMs = 19_900; counters.pingsOut === 0 && waitedMs < 25_100; waitedMs += 50)
      pair.advance(50);
    await peer.until(() => peer.events.length === 1);
    expect(peer.events).toEqual([{ kind: "ping", text: "" }]);
    pair.advance(7_900);
    await settle();
    expect(notes.closed).toBeNull();
    pair.advance(200);
    await eventually(() => pair.connections.counters.open === 0);
    expect(notes.closed).toEqual({ code: 4002, reason: "heartbeat_timeout" });
    await peer.until(() => peer.events.length === 2);
    expect(peer.events[1]).toEqual({ kind: "close", code: 4002, text: "heartbeat_timeout" });
  });

  it.each([
    { name: "a pong", answer: opcode.pong, payload: "" },
    { name: "a pong with a wrong payload", answer: opcode.pong, payload: "what?" },
    { name: "any message", answer: opcode.text, payload: "hello" },
  ])("lets a peer live that answers with $name", async ({ answer, payload }) => {
    pair = await connectPair(heartbeat);
    const { notes, peer } = pair;
    for (let round = 1; round <= 4; round += 1) {
      pair.advance(25_100);
      await peer.until(() => peer.events.length === round);
      const reads = pair.connections.counters.reads;
      peer.send(encodeMaskedFrame(answer, Buffer.from(payload), 9));
      await eventually(() => pair.connections.counters.reads > reads);
    }
    expect(notes.closed).toBeNull();
    expect(pair.connections.counters.pingsOut).toBe(4);
  });

  // Found behind nginx: with a timeout longer than the interval the next ping came after the timeout only.
  it("keeps its interval when the timeout is longer", async () => {
    pair = await connectPair({ heartbeatIntervalMs: 1000, heartbeatTimeoutMs: 8000 });
    const { notes, peer } = pair;
    for (let round = 1; round <= 4; round += 1) {
      pair.advance(1100);
      await peer.until(() => peer.events.length === round);
      const reads = pair.connections.counters.reads;
      peer.send(encodeMaskedFrame(opcode.pong, Buffer.alloc(0), 9));
      await eventually(() => pair.connections.counters.reads > reads);
    }
    pair.advance(1100);
    await peer.until(() => peer.events.length === 5);
    pair.advance(7500);
    await settle();
    expect(notes.closed).toBeNull();
    expect(peer.events).toHaveLength(5);
    pair.advance(700);
    await eventually(() => notes.closed !== null);
    expect(notes.closed).toEqual({ code: 4002, reason: "heartbeat_timeout" });
  });

  it("does not ping a peer that talks", async () => {
    pair = await connectPair(heartbeat);
    for (let round = 0; round < 5; round += 1) {
      pair.advance(20_000);
      const reads = pair.connections.counters.reads;
      pair.peer.sendText("x");
      await eventually(() => pair.connections.counters.reads > reads);
    }
    await settle();
    expect(pair.peer.events).toEqual([]);
  });

  it("judges nobody whom it does not listen to", async () => {
    pair = await connectPair(heartbeat);
    pair.connection.pauseReading();
    pair.advance(60_000);
    await settle();
    expect(pair.notes.closed).toBeNull();
    pair.connection.resumeReading();
    pair.advance(25_100);
    await pair.peer.until(() => pair.peer.events.length === 1);
    expect(pair.notes.closed).toBeNull();
  });

  it("has no heartbeat when switched off", async () => {
    pair = await connectPair({ heartbeatIntervalMs: null });
    expect(pair.connections.wheel.size).toBe(0);
  });
});

describe("floods are closed with 4505 (FR20)", () => {
  afterEach(() => pair.end());
  const ping = encodeMaskedFrame(opcode.ping, Buffer.alloc(125), 3);
  const pong = encodeMaskedFrame(opcode.pong, Buffer.alloc(125), 3);
  const text = encodeMaskedFrame(opcode.text, Buffer.alloc(100, 0x61), 3);

  it.each([
    { name: "pings", limit: { controlFramesPerSecMax: 20 }, frame: ping, allowed: 20 },
    { name: "unasked pongs", limit: { controlFramesPerSecMax: 20 }, frame: pong, allowed: 20 },
    { name: "messages", limit: { inboundMessagesPerSecMax: 100 }, frame: text, allowed: 100 },
    { name: "bytes", limit: { inboundBytesPerSecMax: text.length * 50 }, frame: text, allowed: 50 },
  ])("$name: at the limit and one past it", async ({ limit, frame, allowed }) => {
    pair = await connectPair(limit);
    const { notes, peer, connections } = pair;
    const bytes = frame.length * allowed;
    // Twice a burst with time to recover in between, then one more.
    for (let round = 1; round <= 2; round += 1) {
      peer.send(Buffer.concat(Array.from({ length: allowed }, () => frame)));
      await eventually(() => connections.counters.bytesIn === bytes * round);
      pair.advance(round === 1 ? 1000 : 0);
    }
    await settle();
    expect(notes.closed).toBeNull();
    peer.send(frame);
    await peer.until(() => peer.isEnded);
    expect(notes.closed).toEqual({ code: 4505, reason: "flood" });
    expect(peer.events.at(-1)).toEqual({ kind: "close", code: 4505, text: "flood" });
    peer.socket.end();
    await eventually(() => connections.counters.open === 0);
  });

  it("nothing is looked at of a read that is too much", async () => {
    pair = await connectPair({ inboundBytesPerSecMax: ping.length });
    pair.connection.onSocketData(Buffer.from(ping));
    pair.connection.onSocketData(Buffer.concat([ping, text]));
    await pair.peer.until(() => pair.peer.isEnded);
    expect(pair.connections.counters.pingsIn).toBe(1);
    expect(pair.notes.calls).toEqual(["closed 4505 flood"]);
    expect(pair.peer.events.map(({ kind }) => kind)).toEqual(["pong", "close"]);
  });

  it("reads nothing more of 100,000 pings", async () => {
    pair = await connectPair({ controlFramesPerSecMax: 20 });
    pair.peer.send(Buffer.concat(Array.from({ length: 100_000 }, () => ping)));
    await pair.peer.until(() => pair.peer.isEnded || pair.peer.isClosed);
    expect(pair.connections.counters.pingsIn).toBe(21);
    expect(pair.notes.closed).toEqual({ code: 4505, reason: "flood" });
  });
});

describe("messageTimeoutMs: a message has a deadline, whole or in pieces (FR7)", () => {
  afterEach(() => pair.end());
  const frame = encodeMaskedFrame(opcode.text, Buffer.alloc(1000, "x"), 7);

  it.each([
    { row: "the header alone", first: frame.subarray(0, 8), dribbles: false },
    { row: "a byte now and then", first: frame.subarray(0, 9), dribbles: true },
    { row: "a first fragment", first: Buffer.from([0x01, 0x80, 0, 0, 0, 0]), dribbles: false },
  ])("$row, and then not the rest: 1008 at the deadline and not before", async ({ first, dribbles }) => {
    pair = await connectPair({ messageTimeoutMs: 3000 });
    pair.peer.send(first);
    await settle();
    pair.advance(2900);
    if (dribbles) {
      pair.peer.send(frame.subarray(9, 10));
      await settle();
    }
    expect(pair.notes.calls).toEqual([]);
    pair.advance(200);
    await settle();
    expect(pair.peer.events).toEqual([{ kind: "close", code: 1008, text: "message_timeout" }]);
    expect(pair.notes.closed).toEqual({ code: 1008, reason: "policy_violation" });
  });

  it("a message in time ends the deadline; one that follows in the same packet has its own", async () => {
    pair = await connectPair({ messageTimeoutMs: 3000 });
    pair.peer.send(frame.subarray(0, 500));
    await settle();
    pair.advance(2900);
    pair.peer.send(Buffer.concat([frame.subarray(500), frame.subarray(0, 10)]));
    await settle();
    pair.advance(2900);
    expect(pair.notes.calls).toHaveLength(1);
    pair.peer.send(frame.subarray(10));
    await settle();
    pair.advance(60_000);
    expect(pair.notes.calls).toHaveLength(2);
    expect(pair.notes.closed).toBeNull();
  });

  it("time in which we do not read is not the peer's", async () => {
    pair = await connectPair({ messageTimeoutMs: 3000 });
    pair.peer.send(frame.subarray(0, 500));
    await settle();
    pair.connection.pauseReading();
    pair.advance(60_000);
    pair.connection.resumeReading();
    pair.advance(2900);
    expect(pair.notes.closed).toBeNull();
    pair.advance(200);
    expect(pair.peer.events).toBeDefined();
    await settle();
    expect(pair.notes.closed).toMatchObject({ code: 1008 });
  });
});

describe("names and labels", () => {
  it("draws ids of 22 characters, none twice", () => {
    const ids = new ConnectionIds();
    const drawn = Array.from({ length: 1000 }, () => ids.next());
    expect(new Set(drawn).size).toBe(1000);
    for (const id of drawn) expect(id).toMatch(/^[\w-]{22}$/);
  });

  it.each([
    { code: 1000, isOurs: false, reason: "normal" },
    { code: 1009, isOurs: true, reason: "too_big" },
    { code: 4505, isOurs: true, reason: "flood" },
    { code: 4505, isOurs: false, reason: "other" },
    { code: 3000, isOurs: true, reason: "other" },
  ])("$code, ours $isOurs: $reason", ({ code, isOurs, reason }) => {
    expect(closeReasonOf(code, isOurs)).toBe(reason);
    expect(closeReasons).toContain(reason);
  });
});
