import { afterEach, describe, expect, it } from "vitest";

import { encodeFrame } from "../../src/codec/frame-encoder.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { connectPair, transports, type Pair } from "./connection-pair.ts";
import { eventually } from "./raw-peer.ts";

const chunk = encodeFrame(opcode.binary, Buffer.alloc(65_536, 7));
let pair: Pair;

afterEach(() => pair.end());

/** Writes, a turn of the loop apart, until the kernel takes no more. */
async function fill(): Promise<number> {
  let chunks = 1;
  while (pair.connection.write(chunk)) {
    chunks += 1;
    if (chunks > 1000) throw new Error("never full");
    await new Promise((resolve) => setImmediate(resolve));
  }
  // TLS reports a turn late: what looks pending now may only be on its way.
  return chunks;
}

/** Fills until something stays pending, whatever the transport reports late. */
async function fillForGood(): Promise<number> {
  let chunks = await fill();
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (pair.connection.pendingBytes > 0) return chunks;
    chunks += await fill();
  }
}

describe.each(transports)("back pressure over %s", (transport) => {
  it("says true while the peer keeps up, and calls nobody", async () => {
    pair = await connectPair({}, transport);
    for (let count = 0; count < 20; count += 1) {
      expect(pair.connection.sendText(`message ${count}`)).toBe(true);
      await pair.peer.until(() => pair.peer.events.length > count);
    }
    expect(pair.connection.isWritable).toBe(true);
    await eventually(() => pair.connection.pendingBytes === 0);
    expect(pair.notes.calls).toEqual([]);
    expect(pair.connections.counters).toMatchObject({ writes: 20, pended: 0, open: 1 });
  });

  it("says false when the kernel is full, drained once it has everything, and loses nothing", async () => {
    pair = await connectPair({}, transport);
    const { connection, notes, peer } = pair;
    peer.socket.pause();
    const chunks = await fillForGood();
    expect(connection.pendingBytes).toBeGreaterThan(0);
    expect(connection.isWritable).toBe(false);
    const drainedBefore = notes.drained;
    expect(connection.sendText("behind")).toBe(false);
    expect(notes.drained).toBe(drainedBefore);
    peer.socket.resume();
    await peer.until(() => peer.events.at(-1)?.text === "behind");
    await eventually(() => connection.isWritable);
    expect(notes.drained).toBe(drainedBefore + 1);
    expect(connection.pendingBytes).toBe(0);
    expect(peer.events).toHaveLength(chunks + 1);
    expect(connection.sendText("again")).toBe(true);
    await peer.until(() => peer.events.at(-1)?.text === "again");
  });

  it("closes with 4001 when too many bytes are pending, and frees the socket a second later (RS1)", async () => {
    pair = await connectPair({ pendingBytesMax: 100_000 }, transport);
    const { connection, notes, peer } = pair;
    peer.socket.pause();
    await fillForGood();
    while (connection.pendingBytes > 0 && notes.closed === null) {
      connection.write(chunk);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(notes.closed).toEqual({ code: 4001, reason: "slow_consumer" });
    expect(connection.write(chunk)).toBe(false);
    pair.advance(1100);
    await eventually(() => pair.connections.counters.open === 0);
    expect(notes.calls.filter((call) => call.startsWith("closed"))).toEqual(["closed 4001 slow_consumer"]);
  });

  it("closes with 4001 when the kernel takes nothing for the age, not before", async () => {
    pair = await connectPair({ pendingAgeMsMax: 10_000 }, transport);
    const { notes, peer } = pair;
    peer.socket.pause();
    await fillForGood();
    pair.advance(9_850);
    expect(notes.closed).toBeNull();
    // Though the wheel may be a tick late.
    pair.advance(100);
    await eventually(() => notes.closed !== null);
    expect(notes.closed).toEqual({ code: 4001, reason: "slow_consumer" });
    pair.advance(1100);
    await eventually(() => pair.connections.counters.open === 0);
  });

  it("counts what is taken and not what is written: a frozen reader that is answered now and then is closed as well", async () => {
    pair = await connectPair({ pendingAgeMsMax: 10_000 }, transport);
    const { connection, notes, peer } = pair;
    peer.socket.pause();
    await fillForGood();
    for (let step = 0; step < 9; step += 1) {
      pair.advance(1_000);
      expect(notes.closed).toBeNull();
      connection.write(encodeFrame(opcode.text, Buffer.from("an answer")));
    }
    pair.advance(1_000);
    await eventually(() => notes.closed !== null);
    expect(notes.closed).toEqual({ code: 4001, reason: "slow_consumer" });
  });

  it("closes within the age of the last byte taken, also when that was between two looks", async () => {
    pair = await connectPair({ pendingAgeMsMax: 10_000 }, transport);
    const { connection, notes, peer } = pair;
    peer.socket.pause();
    await fillForGood();
    connection.write(encodeFrame(opcode.binary, Buffer.alloc(30_000_000)));
    pair.advance(4_000);
    const before = peer.socket.bytesRead;
    peer.socket.resume();
    await peer.until(() => peer.socket.bytesRead > before + 2_500_000);
    peer.socket.pause();
    await new Promise((resolve) => setTimeout(resolve, 20));
    pair.advance(9_500);
    expect(notes.closed).toBeNull();
    pair.advance(500);
    await eventually(() => notes.closed !== null);
    expect(notes.closed).toEqual({ code: 4001, reason: "slow_consumer" });
  });

  it("lets a reader that takes a little now and then live", async () => {
    pair = await connectPair({ pendingAgeMsMax: 1000 }, transport);
    const { connection, notes, peer } = pair;
    peer.socket.pause();
    await fillForGood();
    // One write larger than all kernel buffers: taken piece by piece.
    connection.write(encodeFrame(opcode.binary, Buffer.alloc(30_000_000)));
    for (let step = 0; step < 8; step += 1) {
      const before = peer.socket.bytesRead;
      peer.socket.resume();
      await peer.until(() => peer.socket.bytesRead > before + 2_500_000);
      peer.socket.pause();
      await new Promise((resolve) => setTimeout(resolve, 20));
      pair.advance(900);
      await new Promise((resolve) => setImmediate(resolve));
      expect(notes.closed).toBeNull();
    }
    expect(connection.isWritable).toBe(false);
  });
});

describe("back pressure on the peer", () => {
  it("reads nothing while paused, and everything afterwards", async () => {
    pair = await connectPair();
    const { connection, notes, peer } = pair;
    connection.pauseReading();
    connection.pauseReading();
    const message = "x".repeat(60_000);
    for (let count = 0; count < 200; count += 1) peer.sendText(message);
    await new Promise((resolve) => setTimeout(resolve, 50));
    // What node had read before it noticed.
    expect(notes.calls.length).toBeLessThan(3);
    connection.resumeReading();
    connection.resumeReading();
    await eventually(() => notes.calls.length === 200);
  });

  it("sends one pong for the newest ping when the peer does not read", async () => {
    pair = await connectPair();
    const { connection, peer } = pair;
    peer.sendControl(opcode.ping, "now");
    await peer.until(() => peer.events.length === 1);
    peer.socket.pause();
    await fillForGood();
    for (let count = 0; count < 50; count += 1) peer.sendControl(opcode.ping, `ping ${count}`);
    await eventually(() => pair.connections.counters.pingsIn === 51);
    const writes = pair.connections.counters.writes;
    peer.socket.resume();
    await eventually(() => connection.isWritable);
    await peer.until(() => peer.events.at(-1)?.kind === "pong");
    expect(peer.events.filter((event) => event.kind === "pong").map((event) => event.text)).toEqual([
      "now",
      "ping 49",
    ]);
    // The rest of the large message that was on its way, and the pong.
    expect(pair.connections.counters.writes).toBeLessThanOrEqual(
      writes + Math.ceil(chunk.length / 65_536) + 1,
    );
    expect(pair.notes.drained).toBe(1);
  });
});
