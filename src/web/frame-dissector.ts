/**
 * Takes RFC 6455 frames apart for people to read (§5.2). Deliberately not the server's decoder: it reports what the
 * bits say, rule or no rule, and keeps every intermediate step (masked and unmasked payload) for show.
 */

/** How the length is written: in the second byte itself, or in 2 or 8 bytes after it. */
type LengthForm = 7 | 16 | 64;

export interface DissectedFrame {
  readonly fin: boolean;
  readonly rsv: readonly [boolean, boolean, boolean];
  readonly opcode: number;
  readonly masked: boolean;
  /** The seven bits of the second byte: the length, or 126 or 127 for the longer forms. */
  readonly lengthBits: number;
  readonly lengthForm: LengthForm;
  readonly payloadLength: number;
  /** The first two bytes. */
  readonly header: Uint8Array;
  /** 0, 2 or 8 bytes. */
  readonly extendedLength: Uint8Array;
  /** 4 bytes, or none on an unmasked frame. */
  readonly maskingKey: Uint8Array;
  /** As on the wire. */
  readonly payload: Uint8Array;
  /** After unmasking; the same bytes on an unmasked frame. */
  readonly unmasked: Uint8Array;
  /** False when the bytes end before the frame does. */
  readonly complete: boolean;
}

const opcodeNames = new Map([
  [0x0, "continuation"],
  [0x1, "text"],
  [0x2, "binary"],
  [0x8, "close"],
  [0x9, "ping"],
  [0xa, "pong"],
]);

/** The opcode's name in RFC 6455 §5.2; `reserved` for those that have none. */
export function opcodeName(opcode: number): string {
  return opcodeNames.get(opcode) ?? "reserved";
}

/** All frames in `bytes`, which may hold several (a fragmented message). Slices point into `bytes`. Never throws. */
export function dissectFrames(bytes: Uint8Array): DissectedFrame[] {
  const frames: DissectedFrame[] = [];
  let at = 0;
  while (at < bytes.length) {
    const frame = dissectFrame(bytes.subarray(at));
    frames.push(frame);
    if (!frame.complete) break;
    at += frame.header.length + frame.extendedLength.length + frame.maskingKey.length + frame.payload.length;
  }
  return frames;
}

function dissectFrame(bytes: Uint8Array): DissectedFrame {
  const first = bytes[0] ?? 0;
  const second = bytes[1] ?? 0;
  const masked = (second & 0x80) !== 0;
  const lengthBits = second & 0x7f;
  // RFC 6455 §5.2: "If 126, the following 2 bytes interpreted as a 16-bit unsigned integer are the payload length.
  // If 127, the following 8 bytes"
  const lengthForm = lengthBits === 127 ? 64 : lengthBits === 126 ? 16 : 7;
  const keyStart = 2 + (lengthForm === 7 ? 0 : lengthForm / 8);
  const payloadStart = keyStart + (masked ? 4 : 0);
  const extendedLength = bytes.subarray(2, keyStart);
  const payloadLength = lengthForm === 7 ? lengthBits : bigEndian(extendedLength);
  const maskingKey = bytes.subarray(keyStart, payloadStart);
  const payload = bytes.subarray(payloadStart, payloadStart + payloadLength);
  return {
    fin: (first & 0x80) !== 0,
    rsv: [(first & 0x40) !== 0, (first & 0x20) !== 0, (first & 0x10) !== 0],
    opcode: first & 0x0f,
    masked,
    lengthBits,
    lengthForm,
    payloadLength,
    header: bytes.subarray(0, 2),
    extendedLength,
    maskingKey,
    payload,
    unmasked: maskingKey.length === 4 ? unmask(payload, maskingKey) : payload,
    complete: bytes.length >= payloadStart && payload.length === payloadLength,
  };
}

/** RFC 6455 §5.3: "transformed-octet-i = original-octet-i XOR masking-key-octet-j", j = i modulo 4. */
function unmask(payload: Uint8Array, maskingKey: Uint8Array): Uint8Array {
  return payload.map((byte, index) => byte ^ (maskingKey[index % 4] ?? 0));
}

function bigEndian(bytes: Uint8Array): number {
  let value = 0;
  for (const byte of bytes) value = value * 256 + byte;
  return value;
}

/** The payload as text: what a text frame says, or null where the bytes are no UTF-8 (or cut inside a character). */
export function utf8Text(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/**
 * One cell per byte: the character that begins there, nothing for the bytes that continue it, `·` for what cannot be
 * shown.
 */
export function characterCells(bytes: Uint8Array): string[] {
  const cells = Array.from(bytes, () => "");
  let at = 0;
  while (at < bytes.length) {
    const lead = bytes[at] ?? 0;
    const length = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    const character = utf8Text(bytes.subarray(at, at + length));
    const isWhole = character !== null && Array.from(character).length === 1;
    cells[at] = isWhole && !/[\p{C}\p{Z}]/u.test(character) ? character : character === " " ? "␣" : "·";
    at += isWhole ? length : 1;
  }
  return cells;
}

/** Bytes from hex digits; whatever is no pair of digits is skipped. */
export function bytesFromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/[0-9a-f]{2}/gi) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Two hex digits per byte, separated by spaces. */
export function hexText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/**
 * A close frame as the server sends it, unmasked (§5.5.1). The browser tells a page the code, never the bytes: this
 * builds the bytes that the code stands for. 1005 and 1006 never stand in a frame (§7.4.1).
 */
export function serverCloseFrame(code: number): Uint8Array {
  return code === 1005 ? Uint8Array.of(0x88, 0) : Uint8Array.of(0x88, 2, code >> 8, code & 0xff);
}
