/** Golden bytes: what stands on the wire, dissected, read whole, byte by byte and cut at every place; and written. */
import { describe, expect, it } from "vitest";
import {
  encodeCloseFrame,
  encodeFrame,
  encodeMaskedFrame,
  encodeTextFrame,
} from "../../src/codec/frame-encoder.ts";
import type { MessageReaderOptions } from "../../src/codec/message-reader.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { hex, readEveryWay, serverOptions } from "./reader-harness.ts";

const clientOptions: MessageReaderOptions = { ...serverOptions, role: "client" };
const hello = "48656c6c6f";
const zeros256 = "00".repeat(256);

const fromClient: readonly (readonly [name: string, wire: string, events: string[]])[] = [
  // 81 FIN, text; 85 masked, 5 bytes; key 37fa213d; 48^37=7f 65^fa=9f 6c^21=4d 6c^3d=51 6f^37=58
  ["RFC 6455 §5.7: a single-frame masked text message", "81 85 37fa213d 7f9f4d5158", [`text ${hello}`]],
  // 8a FIN, pong; the same payload and key
  ["RFC 6455 §5.7: a masked pong with a body", "8a 85 37fa213d 7f9f4d5158", [`pong ${hello}`]],
  // 89 FIN, ping; 80 masked, empty: the key is there all the same
  ["an empty ping", "89 80 37fa213d", ["ping "]],
  // 81 FIN, text; 80 masked, empty
  ["an empty text message", "81 80 00000000", ["text "]],
  // key 0: the payload travels as it is
  ["FR23: masking key 0", `81 85 00000000 ${hello}`, [`text ${hello}`]],
  // 01 text, no FIN "Hel"; 80 FIN, continuation "lo"
  ["two fragments", "01 83 00000000 48656c  80 82 00000000 6c6f", [`text ${hello}`]],
  // a ping between two fragments; it is answered before the message is whole
  [
    "§5.4: a control frame between fragments",
    "01 83 00000000 48656c  89 81 00000000 2a  80 82 00000000 6c6f",
    ["ping 2a", `text ${hello}`],
  ],
  // first, middle and last fragment empty
  ["empty fragments", "01 80 00000000  00 80 00000000  80 80 00000000", ["text "]],
  // an empty first fragment, then a whole one
  ["an empty fragment first", `02 80 00000000  80 85 00000000 ${hello}`, [`binary ${hello}`]],
  // € = e2 82 ac: e2 | 82 (in a read of its own) | ac, with a ping between
  [
    "FR15: a code point over three fragments and a ping",
    "01 81 00000000 e2  00 81 00000000 82  89 80 00000000  80 81 00000000 ac",
    ["ping ", "text e282ac"],
  ],
  // 83 masked close of 2 bytes: 03e8 = 1000
  ["a close with a code", "88 82 00000000 03e8", ["close 1000 "]],
  // 0fa0 = 4000, "bye"
  ["a close with a code and a reason", "88 85 00000000 0fa0 627965", ["close 4000 627965"]],
  ["a close without a code", "88 80 00000000", ["close 1005 "]],
  // close, then a text frame, then rubbish
  ["FR18: data after the close", "88 80 00000000  81 80 00000000 ffff", ["close 1005 "]],
  ["FR18: a second close", "88 82 00000000 03e8  88 82 00000000 03e9", ["close 1000 "]],
  // the close frame may stand inside a fragmented message
  ["a close inside a fragmented message", "01 80 00000000  88 80 00000000", ["close 1005 "]],
  // 82 FIN, binary; fe = masked, 126: two bytes of length 0100 = 256
  ["256 bytes: 16-bit length", `82 fe 0100 00000000 ${zeros256}`, [`binary ${zeros256}`]],
  // 82 7d: 125 is the last length of one byte
  ["125 bytes: 7-bit length", `82 fd 00000000 ${"61".repeat(125)}`, [`binary ${"61".repeat(125)}`]],
  ["126 bytes: 16-bit length", `81 fe 007e 00000000 ${"61".repeat(126)}`, [`text ${"61".repeat(126)}`]],
  [
    "three messages in one read",
    `81 81 00000000 61  82 81 00000000 62  8a 80 00000000`,
    ["text 61", "binary 62", "pong "],
  ],
];

const fromServer: readonly (readonly [name: string, wire: string, events: string[]])[] = [
  ["RFC 6455 §5.7: a single-frame unmasked text message", `81 05 ${hello}`, [`text ${hello}`]],
  ["RFC 6455 §5.7: a fragmented unmasked text message", "01 03 48656c  80 02 6c6f", [`text ${hello}`]],
  ["RFC 6455 §5.7: an unmasked ping", `89 05 ${hello}`, [`ping ${hello}`]],
  ["RFC 6455 §5.7: 256 bytes binary", `82 7e 0100 ${zeros256}`, [`binary ${zeros256}`]],
  ["an empty unmasked message at the end of the read", "81 00", ["text "]],
];

describe("RFC 6455 §5.7 and more: reading", () => {
  it.each(fromClient)("%s", (_name, wire, events) => {
    expect(readEveryWay(hex(wire))).toEqual(events);
  });

  it.each(fromServer)("as a client: %s", (_name, wire, events) => {
    expect(readEveryWay(hex(wire), clientOptions)).toEqual(events);
  });

  it("RFC 6455 §5.7: 64 KiB binary in a single unmasked frame", () => {
    // 82 FIN, binary; 7f = 127: eight bytes of length 00..010000 = 65536
    const payload = Buffer.alloc(65_536, "tape");
    const wire = Buffer.concat([hex("82 7f 0000000000010000"), payload]);
    expect(encodeFrame(opcode.binary, payload).equals(wire)).toBe(true);
  });
});

describe("RFC 6455 §5.7 and more: writing", () => {
  const written: readonly (readonly [name: string, frame: Buffer, wire: string])[] = [
    ["§5.7 unmasked text", encodeTextFrame("Hello"), `81 05 ${hello}`],
    ["§5.7 unmasked ping", encodeFrame(opcode.ping, hex(hello)), `89 05 ${hello}`],
    ["§5.7 masked text", encodeMaskedFrame(opcode.text, hex(hello), 0x37fa213d), "81 85 37fa213d 7f9f4d5158"],
    ["§5.7 masked pong", encodeMaskedFrame(opcode.pong, hex(hello), 0x37fa213d), "8a 85 37fa213d 7f9f4d5158"],
    ["§5.7 256 bytes binary", encodeFrame(opcode.binary, hex(zeros256)), `82 7e 0100 ${zeros256}`],
    // 01: text without FIN; the key has its top bit set
    ["a masked fragment", encodeMaskedFrame(opcode.text, hex("00"), 0xff000001, false), "01 81 ff000001 ff"],
    ["an empty text", encodeTextFrame(""), "81 00"],
    // 涨 = e6 b6 a8
    ["text beyond ASCII", encodeTextFrame("涨"), "81 03 e6b6a8"],
    // a lone surrogate becomes U+FFFD = ef bf bd
    ["a lone surrogate", encodeTextFrame("\ud800"), "81 03 efbfbd"],
    ["a close: 03e8 = 1000", encodeCloseFrame(1000, ""), "88 02 03e8"],
    ["a close with a reason: 1194 = 4500", encodeCloseFrame(4500, "go"), "88 04 1194 676f"],
    ["a close without a code", encodeCloseFrame(1005, "not sent"), "88 00"],
  ];
  it.each(written)("%s", (_name, frame, wire) => {
    expect(frame.toString("hex")).toBe(hex(wire).toString("hex"));
  });
});
