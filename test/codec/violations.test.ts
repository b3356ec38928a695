/** Every way to break the protocol, at its first bad byte: each row read whole, byte by byte and cut anywhere. */
import { describe, expect, it } from "vitest";
import { isReceivableCloseCode } from "../../src/codec/close-code.ts";
import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import type { MessageReaderOptions } from "../../src/codec/message-reader.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { violation, violationReasons } from "../../src/codec/violation.ts";
import { hex, readChunks, readEveryWay, serverOptions } from "./reader-harness.ts";

/** Limits small enough to stand at and one past. */
const options: MessageReaderOptions = { ...serverOptions, messageBytesMax: 1000, fragmentsPerMessageMax: 3 };
const fragment = "01 81 00000000 61";
const more = "00 81 00000000 61";

/** Each `wire` ends with the first byte that proves the violation. */
const rows: readonly (readonly [name: string, wire: string, verdict: string, before?: string[]])[] = [
  ["FR1 a client's frame without mask", "81 05", "1002 unmasked_frame"],
  ["FR2 RSV1", "c1", "1002 reserved_bits"],
  ["FR2 RSV2", "a1", "1002 reserved_bits"],
  ["FR2 RSV3", "91", "1002 reserved_bits"],
  ["FR2 RSV1 on a control frame", "c9", "1002 reserved_bits"],
  ["FR2 RSV1 on a continuation", `${fragment} c0`, "1002 reserved_bits"],
  ...["3", "4", "5", "6", "7", "b", "c", "d", "e", "f"].map(
    (digit) => [`FR3 opcode ${digit}`, `8${digit}`, "1002 reserved_opcode"] as const,
  ),
  ["FR4 125 bytes in 16 bits", "82 fe 007d", "1002 long_length_form"],
  ["FR4 0 bytes in 16 bits", "82 fe 0000", "1002 long_length_form"],
  ["FR4 65535 bytes in 64 bits", "82 ff 000000000000ffff", "1002 long_length_form"],
  ["FR4 125 bytes in 64 bits", "82 ff 000000000000007d", "1002 long_length_form"],
  ["FR5 64 bits, the topmost set", "82 ff 80", "1002 length_sign_bit"],
  ["FR5 2^53 bytes", "82 ff 0020000000000000", "1009 message_too_big"],
  ["FR5 2^63-1 bytes", "82 ff 7fffffffffffffff", "1009 message_too_big"],
  ["FR6 one byte over the limit, no payload", "82 fe 03e9", "1009 message_too_big"],
  ["FR8 a ping of 126 bytes", "89 fe", "1002 long_control"],
  ["FR8 a pong in 64 bits", "8a ff", "1002 long_control"],
  ["FR8 a close without FIN", "08", "1002 fragmented_control"],
  ["FR8 a ping without FIN", "09", "1002 fragmented_control"],
  ["FR8 a pong without FIN", "0a", "1002 fragmented_control"],
  ["FR9 a continuation first", "80 80", "1002 continuation_outside"],
  [
    "FR9 a continuation after a whole message",
    "81 80 00000000 80 80",
    "1002 continuation_outside",
    ["text "],
  ],
  ["FR9 a text inside a fragmented message", `${fragment} 81 80`, "1002 message_inside"],
  ["FR9 a binary inside a fragmented message", `${fragment} 02 80`, "1002 message_inside"],
  ["FR10 a fourth fragment of three", `${fragment} ${more} ${more} 80 80`, "1008 too_many_fragments"],
  [
    "FR10 a fourth empty fragment",
    `01 80 00000000 ${"00 80 00000000".repeat(2)} 00 80`,
    "1008 too_many_fragments",
  ],
  [
    "FR11 fragments of 600 and 401 bytes",
    `02 fe 0258 00000000 ${"00".repeat(600)} 80 fe 0191`,
    "1009 message_too_big",
  ],
  ["FR14 a lone surrogate: ed a0", "81 83 00000000 eda0", "1007 text_not_utf8"],
  ["FR14 an overlong form: c0", "81 82 00000000 c0", "1007 text_not_utf8"],
  ["FR14 an overlong form: c1", "81 82 00000000 c1", "1007 text_not_utf8"],
  ["FR14 an overlong form: e0 80", "81 83 00000000 e080", "1007 text_not_utf8"],
  ["FR14 an overlong form: f0 80", "81 84 00000000 f080", "1007 text_not_utf8"],
  ["FR14 above U+10FFFF: f4 90", "81 84 00000000 f490", "1007 text_not_utf8"],
  ["FR14 above U+10FFFF: f5", "81 84 00000000 f5", "1007 text_not_utf8"],
  ["FR14 a continuation byte first", "81 84 00000000 80", "1007 text_not_utf8"],
  ["FR14 ff after good text", "81 85 00000000 61e282acff", "1007 text_not_utf8"],
  ["FR14 a code point cut by ASCII", "81 84 00000000 e28261", "1007 text_not_utf8"],
  ["FR14 cut at the end of the message", "81 82 00000000 e282", "1007 text_not_utf8"],
  ["FR14 cut at the end of the last fragment", "01 81 00000000 e2  80 81 00000000 82", "1007 text_not_utf8"],
  ["FR14 cut, then an empty last fragment", "01 81 00000000 e2  80 80 00000000", "1007 text_not_utf8"],
  ["FR14 bad in a fragment that others would follow", "01 81 00000000 ff", "1007 text_not_utf8"],
  ["FR14 bad in the first byte of a frame that promises 900", "81 fe 0384 00000000 ff", "1007 text_not_utf8"],
  [
    "FR14 bad after 500 good bytes of 900",
    `81 fe 0384 00000000 ${"61".repeat(500)} c0`,
    "1007 text_not_utf8",
  ],
  [
    "FR14 ping between, then bad",
    "01 81 00000000 e2  89 80 00000000  00 83 00000000 61",
    "1007 text_not_utf8",
    ["ping "],
  ],
  ["FR16 a close payload of one byte", "88 81", "1002 close_code_cut"],
  ["FR16 a close payload of 126 bytes", "88 fe", "1002 long_control"],
  ["FR16 a close reason that is not UTF-8", "88 84 00000000 03e8 c0af", "1007 close_reason_not_utf8"],
  ["FR16 a close reason that is cut", "88 83 00000000 03e8 e2", "1007 close_reason_not_utf8"],
  ["FR17 a close code that never travels: 1005", "88 82 00000000 03ed", "1002 close_code_unsendable"],
  ["§5.2: nothing is read after a violation", "a1 81 80 00000000", "1002 reserved_bits"],
];

const violations = rows.map(([name, wire, verdict, before = []]) => ({ name, wire, verdict, before }));

describe("violations of RFC 6455 §5–§8", () => {
  it.each(violations)("$name", ({ wire, verdict, before }) => {
    expect(readEveryWay(hex(wire), options)).toEqual([...before, `violation ${verdict}`]);
  });

  const provedByLastByte = violations.filter(({ name }) => !name.startsWith("§5.2"));
  it.each(provedByLastByte)("$name: not a byte earlier", ({ wire, before }) => {
    expect(readEveryWay(hex(wire).subarray(0, -1), options)).toEqual(before);
  });

  it("§5.1: a server's frame with a mask", () => {
    expect(readEveryWay(hex("81 80"), { ...options, role: "client" })).toEqual([
      "violation 1002 masked_frame",
    ]);
  });

  it("FR24: a binary frame where only text is spoken, from its header", () => {
    const textOnly = { ...options, allowBinary: false };
    expect(readEveryWay(hex("82 84"), textOnly)).toEqual(["violation 1003 binary_refused"]);
    expect(readEveryWay(hex("81 81 00000000 61"), textOnly)).toEqual(["text 61"]);
  });

  const atTheLimit: readonly (readonly [name: string, wire: string, event: string])[] = [
    ["a frame of the limit", `82 fe 03e8 00000000 ${"00".repeat(1000)}`, `binary ${"00".repeat(1000)}`],
    ["as many fragments as the limit", `${fragment} ${more} 80 81 00000000 61`, "text 616161"],
    ["a ping of 125 bytes", `89 fd 00000000 ${"2a".repeat(125)}`, `ping ${"2a".repeat(125)}`],
    [
      "a close reason of 123 bytes",
      `88 fd 00000000 03e8 ${"2a".repeat(123)}`,
      `close 1000 ${"2a".repeat(123)}`,
    ],
    [
      "fragments of 600 and 400 bytes",
      `02 fe 0258 00000000 ${"00".repeat(600)} 80 fe 0190 00000000 ${"00".repeat(400)}`,
      `binary ${"00".repeat(1000)}`,
    ],
  ];
  it.each(atTheLimit)("at the limit: %s", (_name, wire, event) => {
    expect(readEveryWay(hex(wire), options)).toEqual([event]);
  });

  it("each message has limits of its own", () => {
    const threeFragments = `${fragment} ${more} 80 81 00000000 61`;
    expect(readEveryWay(hex(threeFragments.repeat(2)), options)).toEqual(["text 616161", "text 616161"]);
    const full = encodeMaskedFrame(opcode.text, Buffer.alloc(1000, "a"), 1);
    const event = `text ${"61".repeat(1000)}`;
    expect(readChunks([full, full], options)).toEqual([event, event]);
  });

  it("the reasons are a closed list without repetition", () => {
    expect(new Set(violationReasons).size).toBe(violationReasons.length);
    expect(violationReasons).toContain(violation.messageTooBig.reason);
    // every reason but those of a client's reader, of compression (deflate.test.ts) and of text-only endpoints
    // stands in the table above
    const seen = new Set(violations.map(({ verdict }) => verdict.slice(5)));
    expect(violationReasons.filter((reason) => !seen.has(reason))).toEqual([
      "masked_frame",
      "binary_refused",
      "deflate_corrupt",
      "too_many_final_blocks",
    ]);
  });
});

describe("FR17: RFC 6455 §7.4 close codes", () => {
  const lawful: readonly (readonly [first: number, last: number])[] = [
    [1000, 1003],
    [1007, 1014],
    [3000, 4999],
  ];
  it("accepts exactly what may stand in a close frame", () => {
    const refused: number[] = [];
    for (let code = 0; code <= 0xffff; code += 1) {
      const isLawful = lawful.some(([first, last]) => first <= code && code <= last);
      if (isReceivableCloseCode(code) !== isLawful) refused.push(code);
    }
    expect(refused).toEqual([]);
  });

  it.each([0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535])("refuses %i with 1002", (code) => {
    const wire = Buffer.concat([hex("88 82 00000000"), Buffer.from([code >> 8, code & 255])]);
    expect(readEveryWay(wire)).toEqual(["violation 1002 close_code_unsendable"]);
  });

  it.each([1000, 1003, 1007, 1014, 3000, 4999])("hands on %i", (code) => {
    const wire = Buffer.concat([hex("88 82 00000000"), Buffer.from([code >> 8, code & 255])]);
    expect(readEveryWay(wire)).toEqual([`close ${code} `]);
  });
});
