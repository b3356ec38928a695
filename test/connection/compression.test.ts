import { constants, deflateRawSync } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";

import { deflateCounters } from "../../src/codec/deflate-counters.ts";
import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { compressionOptions, type ConnectionOptions } from "../../src/connection/connection-options.ts";
import { connectPair, unlimited, type Pair } from "./connection-pair.ts";
import { eventually } from "./raw-peer.ts";

const rsv1 = 0x40;
let pair: Pair;

afterEach(() => pair.end());

async function connect(limits: Partial<ConnectionOptions>, kind: "inbound" | "both"): Promise<Pair> {
  pair = await connectPair(compressionOptions({ ...unlimited, ...limits })[kind]);
  return pair;
}

function compressed(bytes: Buffer): Buffer {
  const payload = deflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
  return encodeMaskedFrame(rsv1 | opcode.text, payload, 7);
}

describe("RFC 7692 on a connection", () => {
  it("delivers what was inflated and counts both sides of it", async () => {
    const before = { ...deflateCounters };
    await connect({}, "both");
    const wire = compressed(Buffer.alloc(5000, "a"));
    pair.peer.send(wire);
    await eventually(() => pair.notes.calls.length === 1);
    expect(pair.notes.calls).toEqual([`text ${"a".repeat(5000)}`]);
    expect(pair.connections.counters.deflateAgreed).toBe(1);
    const { inflated, inflateBytesIn, inflateBytesOut } = deflateCounters;
    expect(inflated - before.inflated).toBe(1);
    expect(inflateBytesIn - before.inflateBytesIn).toBe(wire.length - 6);
    expect(inflateBytesOut - before.inflateBytesOut).toBe(5000);
  });

  it("DF2: inflated bytes count against the rate of inbound bytes", async () => {
    await connect({ inboundBytesPerSecMax: 100_000 }, "both");
    const small = compressed(Buffer.alloc(40_000));
    expect(small.length).toBeLessThan(200);
    pair.peer.send(Buffer.concat([small, small, small]));
    await eventually(() => pair.notes.closed !== null);
    expect(pair.notes.calls.filter((call) => call.startsWith("text"))).toHaveLength(2);
    expect(pair.notes.closed).toEqual({ code: 4505, reason: "flood" });
  });

  it("DF1: a bomb closes with 1009", async () => {
    await connect({ messageBytesMax: 65_536 }, "both");
    pair.peer.send(compressed(Buffer.alloc(1_048_576)));
    await eventually(() => pair.notes.closed !== null);
    expect(pair.notes.closed?.code).toBe(1009);
  });

  it("DF8: a reset behind a compressed message leaves nothing behind", async () => {
    await connect({}, "both");
    pair.notes.onMessage = (payload) => pair.connection.sendCompressed(true, payload);
    pair.peer.send(compressed(Buffer.alloc(100_000, "ab")));
    pair.peer.socket.resetAndDestroy();
    await eventually(() => pair.connections.counters.open === 0);
  });

  it("sends compressed what is worth it, and the rest plain", async () => {
    const before = { ...deflateCounters };
    await connect({}, "both");
    const bytes = Buffer.alloc(5000, "tape");
    expect(pair.connection.sendCompressed(true, bytes)).toBe(true);
    const { counters } = pair.connections;
    expect(counters.bytesOut).toBeLessThan(100);
    expect(deflateCounters.deflateBytesIn - before.deflateBytesIn).toBe(5000);
    expect(deflateCounters.deflateBytesOut - before.deflateBytesOut).toBe(counters.bytesOut);
    await eventually(() => pair.peer.events.length === 1);
    expect(pair.peer.events[0]?.text === bytes.toString()).toBe(true);
    pair.connection.sendCompressed(true, Buffer.from("small"));
    expect(deflateCounters.deflated - before.deflated).toBe(1);
  });

  it("DF6: sends plain to a peer whose window is too small, and takes compressed from it", async () => {
    await connect({}, "inbound");
    expect(pair.connection.maySendCompressed).toBe(false);
    pair.connection.sendCompressed(true, Buffer.alloc(5000, "tape"));
    expect(pair.connections.counters.bytesOut).toBeGreaterThan(5000);
    pair.peer.send(compressed(Buffer.from("Hello")));
    await eventually(() => pair.notes.calls.length === 1);
  });
});

describe("a reader that agreed on nothing", () => {
  it("is sent nothing compressed", async () => {
    pair = await connectPair();
    expect(pair.connection.maySendCompressed).toBe(false);
    pair.connection.sendCompressed(true, Buffer.alloc(5000, "tape"));
    await eventually(() => pair.peer.events.length === 1);
  });
});
