/**
 * RFC 6455 §5.2 outwards: header and payload in one buffer, built once and written as often as there are readers.
 * Every frame of ours is whole (FIN=1): we never fragment. A server's frames carry no mask (§5.1); the masked form is
 * for our own clients (CLI, load).
 */
import { invariant } from "../base/errors.ts";
import { byteAt } from "./byte-at.ts";
import { closeCode, isReceivableCloseCode } from "./close-code.ts";
import { xorMask } from "./mask.ts";
import { opcode } from "./opcode.ts";

/** RFC 6455 §5.5: a control frame's payload is at most 125 bytes; a close code takes two of them. */
const closeReasonBytesMax = 123;

const textEncoder = new TextEncoder();

/** Bytes of an unmasked header before `payloadBytes` of payload: the shortest form, as §5.2 demands. */
export function frameHeaderBytes(payloadBytes: number): 2 | 4 | 10 {
  if (payloadBytes <= 125) return 2;
  return payloadBytes <= 65_535 ? 4 : 10;
}

/**
 * Writes the header of an unmasked whole frame at `offset`. Returns the offset after it.
 * `target` must have room for `frameHeaderBytes(payloadBytes)`. Cost: no allocation.
 */
export function writeFrameHeader(
  target: Uint8Array,
  offset: number,
  frameOpcode: number,
  payloadBytes: number,
): number {
  target[offset] = 0x80 | frameOpcode;
  if (payloadBytes <= 125) {
    target[offset + 1] = payloadBytes;
    return offset + 2;
  }
  if (payloadBytes <= 65_535) {
    target[offset + 1] = 126;
    target[offset + 2] = payloadBytes >>> 8;
    target[offset + 3] = payloadBytes;
    return offset + 4;
  }
  target[offset + 1] = 127;
  // A JavaScript number has 53 bits of integer: the upper word goes by division, shifts would cut it to 32.
  writeUint32(target, offset + 2, Math.floor(payloadBytes / 2 ** 32));
  writeUint32(target, offset + 6, payloadBytes);
  return offset + 10;
}

/** A whole frame around `payload`, which is copied. The caller owns the result. */
export function encodeFrame(frameOpcode: number, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(frameHeaderBytes(payload.length) + payload.length);
  writeFrame(frame, 0, frameOpcode, payload);
  return frame;
}

/** The same at `offset` of `target`. Returns the offset after it. Cost: no allocation. */
export function writeFrame(
  target: Uint8Array,
  offset: number,
  frameOpcode: number,
  payload: Uint8Array,
): number {
  const payloadStart = writeFrameHeader(target, offset, frameOpcode, payload.length);
  target.set(payload, payloadStart);
  return payloadStart + payload.length;
}

/** The payload of a whole unmasked frame that was made here: a view into it. */
export function payloadOf(frame: Uint8Array): Uint8Array {
  const shortLength = byteAt(frame, 1);
  return frame.subarray(shortLength <= 125 ? 2 : shortLength === 126 ? 4 : 10);
}

/** A text frame; a lone surrogate becomes U+FFFD, so the payload is always UTF-8 (§5.6). */
export function encodeTextFrame(text: string): Buffer {
  const payloadBytes = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(frameHeaderBytes(payloadBytes) + payloadBytes);
  frame.write(text, writeFrameHeader(frame, 0, opcode.text, payloadBytes));
  return frame;
}

/**
 * A close frame. 1005 stands for none: the payload is empty. `reason` is cut to 123 bytes between two code points.
 * @throws InvariantError for a code that no endpoint may send (§7.4).
 */
export function encodeCloseFrame(code: number, reason: string): Buffer {
  if (code === closeCode.noStatus) return encodeFrame(opcode.close, new Uint8Array(0));
  invariant(isReceivableCloseCode(code), `close code ${code} may not be sent`);
  // CVE-2026-45736: a buffer that once held something else, longer than what is written into it, told the peer its
  // old contents. This one begins as zeros, and only what was written leaves.
  const payload = new Uint8Array(2 + closeReasonBytesMax);
  payload[0] = code >>> 8;
  payload[1] = code;
  // encodeInto writes whole code points only (WHATWG Encoding §8.3.1).
  const { written } = textEncoder.encodeInto(reason, payload.subarray(2));
  return encodeFrame(opcode.close, payload.subarray(0, 2 + written));
}

/**
 * A client's frame: `payload` is copied and masked.
 * @param key the four key bytes read big-endian; §5.3 wants it unpredictable, the caller draws it.
 * @param isFinal false for a fragment that others follow.
 */
export function encodeMaskedFrame(
  frameOpcode: number,
  payload: Uint8Array,
  key: number,
  isFinal = true,
): Buffer {
  const headerBytes = frameHeaderBytes(payload.length);
  const frame = Buffer.allocUnsafe(headerBytes + 4 + payload.length);
  writeFrameHeader(frame, 0, frameOpcode, payload.length);
  if (!isFinal) frame[0] = frameOpcode;
  frame[1] = 0x80 | byteAt(frame, 1);
  writeUint32(frame, headerBytes, key);
  const payloadStart = headerBytes + 4;
  frame.set(payload, payloadStart);
  xorMask(frame, payloadStart, frame.length, key, 0);
  return frame;
}

/** The low 32 bits of `value`, in network order. */
function writeUint32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value >>> 24;
  target[offset + 1] = value >>> 16;
  target[offset + 2] = value >>> 8;
  target[offset + 3] = value;
}
