import * as fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";

import { encodeFrame } from "../../src/codec/frame-encoder.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { HeldBack } from "../../src/connection/held-back.ts";
import { ScratchBuffers } from "../../src/connection/scratch-buffers.ts";
import { connectPair, transports, type Pair } from "./connection-pair.ts";

const payload = fc
  .oneof(fc.nat(200), fc.nat(5000), fc.nat(70_000))
  .map((bytes) => Buffer.alloc(bytes, bytes % 251));
const step = fc.record({ isFrame: fc.boolean(), payload });

describe("what is held back", () => {
  it("lies one behind the other, as its slow twin joins it, whoever used the memory before", () => {
    const scratch = new ScratchBuffers();
    fc.assert(
      fc.property(fc.array(fc.array(step, { maxLength: 6 }), { maxLength: 4 }), (rounds) => {
        for (const steps of rounds) {
          const held = new HeldBack(scratch);
          const twin: Buffer[] = [];
          for (const { isFrame, payload: bytes } of steps) {
            if (isFrame) held.appendFrame(opcode.text, bytes);
            else held.append(bytes);
            twin.push(isFrame ? encodeFrame(opcode.text, bytes) : bytes);
          }
          expect(held.all.equals(Buffer.concat(twin))).toBe(true);
          expect(held.bytes).toBe(held.all.length);
          held.free();
          expect(held.bytes).toBe(0);
        }
      }),
      { numRuns: 200 },
    );
  });
});

/** Writes into all the memory that would be given to the next who asks. */
function spoil(scratch: ScratchBuffers): void {
  for (let bytes = 4096; bytes <= 262_144; bytes *= 2) {
    const lent = [scratch.lend(bytes), scratch.lend(bytes)];
    for (const buffer of lent) scratch.takeBack(buffer.fill(0xff));
  }
}

describe.each(transports)("memory that is used again, over %s", (transport) => {
  let pair: Pair;
  afterEach(() => pair.end());

  it("a peer that keeps up is sent any number of answers out of the same", async () => {
    pair = await connectPair({}, transport);
    const { connection, connections, peer } = pair;
    for (let count = 0; count < 100; count += 1) {
      expect(connection.send(true, Buffer.alloc(40_000, 97 + (count % 26)))).toBe(true);
      await peer.until(() => peer.events.length > count);
    }
    expect(peer.events.map(({ text }) => text?.[39_999])).toEqual(
      Array.from({ length: 100 }, (_, count) => String.fromCodePoint(97 + (count % 26))),
    );
    expect(connections.scratch.made).toBeLessThanOrEqual(2);
  });

  it("is nobody else's before the kernel has what lies in it", async () => {
    pair = await connectPair({}, transport);
    const { connection, connections, peer } = pair;
    peer.socket.pause();
    const sent: string[] = [];
    for (let pending = 0; pending < 3;) {
      const text = String.fromCodePoint(97 + (sent.length % 26)).repeat(30_000 + sent.length);
      if (!connection.send(true, Buffer.from(text))) pending += 1;
      sent.push(text);
      spoil(connections.scratch);
      if (sent.length > 2000) throw new Error("never full");
      await new Promise((resolve) => setImmediate(resolve));
    }
    peer.socket.resume();
    await peer.until(() => peer.events.length === sent.length);
    expect(peer.events.every(({ text }, index) => text === sent[index])).toBe(true);
  });
});
