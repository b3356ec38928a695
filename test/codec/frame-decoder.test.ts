/** FrameDecoder by itself: what only it can show, because MessageReader negotiates no extension yet. */
import { describe, expect, it } from "vitest";
import { FrameDecoder, frameEvent } from "../../src/codec/frame-decoder.ts";
import { hex } from "./reader-harness.ts";

function decoderWithRsv1(): FrameDecoder {
  return new FrameDecoder({ isMasked: false, isRsv1Allowed: true, recorder: null });
}

describe("RFC 7692 §6: RSV1 once an extension gave it a meaning", () => {
  it.each([
    ["a whole text message", "c1 01 00", 1],
    ["the first fragment of a binary message", "42 01 00", 2],
  ])("is handed on with %s", (_name, wire, opcode) => {
    const decoder = decoderWithRsv1();
    const chunk = hex(wire);
    expect(decoder.next(chunk)).toBe(frameEvent.header);
    expect([decoder.isRsv1, decoder.opcode, decoder.payloadBytes]).toEqual([true, opcode, 1]);
    expect(decoder.isFinal).toBe(opcode === 1);
    expect(decoder.next(chunk)).toBe(frameEvent.payload);
    expect([decoder.pieceStart, decoder.pieceEnd, decoder.frameEnds]).toEqual([2, 3, true]);
    expect(decoder.next(chunk)).toBe(frameEvent.starved);
    expect(decoder.isInFrame).toBe(false);
  });

  it("is false on a frame without it", () => {
    const decoder = decoderWithRsv1();
    expect(decoder.next(hex("81 01 00"))).toBe(frameEvent.header);
    expect(decoder.isRsv1).toBe(false);
  });

  it.each([
    ["a continuation", "c0 00"],
    ["a ping", "c9 00"],
    ["a text with RSV2", "e1 00"],
  ])("is refused on %s", (_name, wire) => {
    const decoder = decoderWithRsv1();
    expect(decoder.next(hex(wire))).toBe(frameEvent.violation);
    expect(decoder.violation).toEqual({ closeCode: 1002, reason: "reserved_bits" });
  });
});

describe("pieces", () => {
  it("come as they arrive, the last one marked, an empty chunk between them", () => {
    const decoder = new FrameDecoder({ isMasked: true, isRsv1Allowed: false, recorder: null });
    // 82 binary, 83 masked 3 bytes, key 01020304; 00 00 00 unmasks to 01 02 03, whatever the cut
    const first = hex("82 83 01020304 00");
    expect(decoder.next(first)).toBe(frameEvent.header);
    expect(decoder.violation).toBeNull();
    expect(decoder.next(first)).toBe(frameEvent.payload);
    expect(decoder.frameEnds).toBe(false);
    expect(first.subarray(decoder.pieceStart, decoder.pieceEnd)).toEqual(hex("01"));
    expect(decoder.next(first)).toBe(frameEvent.starved);
    expect(decoder.next(new Uint8Array(0))).toBe(frameEvent.starved);
    const second = hex("0000");
    expect(decoder.next(second)).toBe(frameEvent.payload);
    expect(decoder.frameEnds).toBe(true);
    expect(second).toEqual(hex("0203"));
  });
});
