import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bytesFromHex,
  characterCells,
  dissectFrames,
  hexText,
  opcodeName,
  serverCloseFrame,
  utf8Text,
} from "../../src/web/frame-dissector.ts";
import type { DissectedFrame } from "../../src/web/frame-dissector.ts";

function only(hex: string): DissectedFrame {
  const frames = dissectFrames(bytesFromHex(hex));
  expect(frames).toHaveLength(1);
  return frames[0]!;
}

/** A frame with `length` bytes of 0x61, for the long forms of RFC 6455 §5.7. */
function filled(header: string, length: number): string {
  return header + "61".repeat(length);
}

describe("RFC 6455 §5.7 examples, dissected", () => {
  const rows: [
    name: string,
    hex: string,
    expected: Partial<DissectedFrame> & { text: string | null; name: string },
  ][] = [
    // 81: FIN, text; 05: no mask, 5 bytes; "Hello"
    [
      "a single-frame unmasked text message",
      "810548656c6c6f",
      {
        fin: true,
        opcode: 1,
        masked: false,
        lengthForm: 7,
        payloadLength: 5,
        complete: true,
        text: "Hello",
        name: "text",
      },
    ],
    // 85: MASK and 5 bytes; 37fa213d: key; "Hello" xor key
    [
      "a single-frame masked text message",
      "818537fa213d7f9f4d5158",
      {
        fin: true,
        opcode: 1,
        masked: true,
        lengthForm: 7,
        payloadLength: 5,
        complete: true,
        text: "Hello",
        name: "text",
      },
    ],
    [
      "the first fragment of an unmasked text message",
      "010348656c",
      { fin: false, opcode: 1, masked: false, payloadLength: 3, complete: true, text: "Hel", name: "text" },
    ],
    [
      "its last fragment",
      "80026c6f",
      {
        fin: true,
        opcode: 0,
        masked: false,
        payloadLength: 2,
        complete: true,
        text: "lo",
        name: "continuation",
      },
    ],
    [
      "an unmasked ping",
      "890548656c6c6f",
      { fin: true, opcode: 9, masked: false, payloadLength: 5, complete: true, text: "Hello", name: "ping" },
    ],
    [
      "its masked pong",
      "8a8537fa213d7f9f4d5158",
      { fin: true, opcode: 10, masked: true, payloadLength: 5, complete: true, text: "Hello", name: "pong" },
    ],
    [
      "256 bytes of binary in an unmasked frame",
      filled("827e0100", 256),
      {
        opcode: 2,
        lengthBits: 126,
        lengthForm: 16,
        payloadLength: 256,
        complete: true,
        text: "a".repeat(256),
        name: "binary",
      },
    ],
    [
      "64 KiB of binary in an unmasked frame",
      filled("827f0000000000010000", 65536),
      {
        opcode: 2,
        lengthBits: 127,
        lengthForm: 64,
        payloadLength: 65536,
        complete: true,
        text: "a".repeat(65536),
        name: "binary",
      },
    ],
  ];
  it.each(rows)("%s", (_name, hex, { text, name, ...expected }) => {
    const frame = only(hex);
    expect(frame).toMatchObject(expected);
    expect(frame.rsv).toEqual([false, false, false]);
    expect(utf8Text(frame.unmasked)).toBe(text);
    expect(opcodeName(frame.opcode)).toBe(name);
  });

  it("keeps each part's own bytes", () => {
    const frame = only("818537fa213d7f9f4d5158");
    expect(hexText(frame.header)).toBe("81 85");
    expect(hexText(frame.extendedLength)).toBe("");
    expect(hexText(frame.maskingKey)).toBe("37 fa 21 3d");
    expect(hexText(frame.payload)).toBe("7f 9f 4d 51 58");
    expect(hexText(frame.unmasked)).toBe("48 65 6c 6c 6f");
  });
});

describe("dissecting what is odd", () => {
  it("takes the frames of a fragmented message one by one", () => {
    const frames = dissectFrames(bytesFromHex("010348656c 80026c6f"));
    expect(frames.map((frame) => [frame.fin, utf8Text(frame.unmasked)])).toEqual([
      [false, "Hel"],
      [true, "lo"],
    ]);
  });

  it.each([
    ["nothing", "", 0],
    ["one byte", "81", 1],
    ["a header without its payload", "8105", 1],
    ["a cut extended length", "817e01", 1],
    ["a cut masking key", "818537fa", 1],
    ["a cut payload", "81054865", 1],
  ])("says that %s is not complete", (_name, hex, count) => {
    const frames = dissectFrames(bytesFromHex(hex));
    expect(frames).toHaveLength(count);
    for (const frame of frames) expect(frame.complete).toBe(false);
  });

  it("shows reserved bits and opcodes as they are", () => {
    const frame = only("f300");
    expect(frame.rsv).toEqual([true, true, true]);
    expect(opcodeName(frame.opcode)).toBe("reserved");
  });

  it("has no text for a payload cut inside a character", () => {
    expect(utf8Text(only("0102e4bd").unmasked)).toBe(null);
  });

  it("loses no byte and ends on any input", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const frames = dissectFrames(bytes);
        const whole = frames.filter((frame) => frame.complete);
        expect(frames.length - whole.length).toBeLessThanOrEqual(1);
        const parts = whole.flatMap((frame) => [
          frame.header,
          frame.extendedLength,
          frame.maskingKey,
          frame.payload,
        ]);
        const joined = parts.flatMap((part) => Array.from(part));
        expect(joined).toEqual([...bytes.subarray(0, joined.length)]);
      }),
    );
  });
});

describe("the server's close frame", () => {
  it.each([
    ["normal closure", 1000, "88 02 03 e8"],
    ["one of ours", 4000, "88 02 0f a0"],
    ["no code given", 1005, "88 00"],
  ])("%s", (_name, code, hex) => {
    expect(hexText(serverCloseFrame(code))).toBe(hex);
    expect(dissectFrames(serverCloseFrame(code))[0]?.complete).toBe(true);
  });
});

describe("characters beside their bytes", () => {
  it.each([
    ["ASCII", "48690a20", ["H", "i", "·", "␣"]],
    ["a Chinese character takes three bytes", "e4bda048", ["你", "", "", "H"]],
    ["an emoji takes four", "f09f918b", ["👋", "", "", ""]],
    ["what is no UTF-8", "ff80c048", ["·", "·", "·", "H"]],
    ["what is cut off", "48e4bd", ["H", "·", "·"]],
    ["nothing", "", []],
  ])("%s", (_name, hex, cells) => {
    expect(characterCells(bytesFromHex(hex))).toEqual(cells);
  });
});
