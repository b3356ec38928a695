import { describe, expect, it } from "vitest";

import { TurnCounters } from "../../src/base/turn-queue.ts";
import { OutgoingPieces } from "../../src/connection/outgoing-pieces.ts";

describe("large messages on their way out", () => {
  it("come out in order, in pieces that lie in one message each, and are counted until they do", () => {
    const counters = new TurnCounters();
    const pieces = new OutgoingPieces(counters);
    pieces.queue(Buffer.from("abcdefg"));
    pieces.queue(new Uint8Array(0));
    pieces.queue(Buffer.from("hi"));
    expect([pieces.bytes, pieces.queuedBytes, counters.waitingBytes]).toEqual([9, 2, 9]);
    const taken: string[] = [];
    for (let piece = pieces.take(3); piece !== null; piece = pieces.take(3)) {
      taken.push(Buffer.from(piece).toString());
      expect(counters.waitingBytes).toBe(pieces.bytes);
    }
    expect(taken).toEqual(["abc", "def", "g", "hi"]);
    expect([pieces.bytes, pieces.queuedBytes, counters.waitingBytes]).toEqual([0, 0, 0]);
  });

  it("what is let go of is counted no longer", () => {
    const counters = new TurnCounters();
    counters.waitingBytes = 5;
    const pieces = new OutgoingPieces(counters);
    pieces.queue(Buffer.from("abcdefg"));
    pieces.take(3);
    pieces.clear();
    expect([pieces.bytes, pieces.take(3), counters.waitingBytes]).toEqual([0, null, 5]);
  });
});
