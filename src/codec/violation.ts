/**
 * The closed list of what a peer can do wrong at the level of RFC 6455 §5–§8 and RFC 7692, each with its close code.
 * These are verdicts, not exceptions: the reader never throws (§7.1.7 "Fail the WebSocket Connection").
 */
import { closeCode } from "./close-code.ts";

/** One way to break the protocol. `reason` is a constant, fit for a close frame, a log and a metric label. */
export interface Violation {
  readonly closeCode: number;
  readonly reason: string;
}

function protocolError(reason: string): Violation {
  return { closeCode: closeCode.protocolError, reason };
}

/** Every violation by name. */
export const violation = {
  /** §5.2: a reserved bit set without an extension that gives it a meaning. */
  reservedBits: protocolError("reserved_bits"),
  /** §5.2: opcode 0x3–0x7 or 0xB–0xF. */
  reservedOpcode: protocolError("reserved_opcode"),
  /** §5.5: a control frame without FIN. */
  fragmentedControl: protocolError("fragmented_control"),
  /** §5.5: a control frame of more than 125 bytes. */
  longControl: protocolError("long_control"),
  /** §5.1: a client's frame without mask. */
  unmaskedFrame: protocolError("unmasked_frame"),
  /** §5.1: a server's frame with a mask. */
  maskedFrame: protocolError("masked_frame"),
  /** §5.2: a length that fits a shorter form. */
  longLengthForm: protocolError("long_length_form"),
  /** §5.2: the most significant bit of a 64-bit length. */
  lengthSignBit: protocolError("length_sign_bit"),
  /** §5.4: a continuation frame outside a message. */
  continuationOutside: protocolError("continuation_outside"),
  /** §5.4: a new text or binary frame inside a fragmented message. */
  messageInside: protocolError("message_inside"),
  /** §5.5.1: a close payload of one byte, too short for its code. */
  closeCodeCut: protocolError("close_code_cut"),
  /** §7.4: a close code that no endpoint may send. */
  closeCodeUnsendable: protocolError("close_code_unsendable"),
  /** A binary message where only text is spoken. */
  binaryRefused: { closeCode: closeCode.unsupportedData, reason: "binary_refused" },
  /** §8.1: text that is not UTF-8. */
  textNotUtf8: { closeCode: closeCode.invalidPayload, reason: "text_not_utf8" },
  /** §5.5.1 and §8.1: a close reason that is not UTF-8. */
  closeReasonNotUtf8: { closeCode: closeCode.invalidPayload, reason: "close_reason_not_utf8" },
  /** RFC 7692 §7.2.2: a compressed message that cannot be inflated, or does not end where its last block does. */
  deflateCorrupt: { closeCode: closeCode.invalidPayload, reason: "deflate_corrupt" },
  /** RFC 7692 §7.2.1: more final blocks in one compressed message than our limit; each costs an inflater. */
  tooManyFinalBlocks: { closeCode: closeCode.policyViolation, reason: "too_many_final_blocks" },
  /** §10.4: more fragments than our limit, or more small ones. */
  tooManyFragments: { closeCode: closeCode.policyViolation, reason: "too_many_fragments" },
  /** §10.4: a message larger than our limit. */
  messageTooBig: { closeCode: closeCode.messageTooBig, reason: "message_too_big" },
} as const satisfies Record<string, Violation>;

/** All reasons: the label values that a metric of violations can take. */
export const violationReasons: readonly string[] = Object.values(violation).map((each) => each.reason);
