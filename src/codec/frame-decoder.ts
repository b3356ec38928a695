/**
 * RFC 6455 §5.2: bytes in, frames out, however the bytes are cut. Holds a frame's rules that need nothing but the
 * frame itself; what depends on the frames before it (§5.4) and on our limits is message-assembler.ts.
 * It keeps no payload: each piece is unmasked in place in the caller's chunk and handed on, so the memory of a
 * waiting connection is the reader's business alone. Pulled, not pushing: next() says what comes next.
 */
import { byteAt } from "./byte-at.ts";
import { xorMask } from "./mask.ts";
import { opcode } from "./opcode.ts";
import { type Violation, violation } from "./violation.ts";

/** What next() found. */
export const frameEvent = {
  /** The chunk is used up. */
  starved: 0,
  /** A header is known but for its masking key: `opcode`, `isFinal`, `isRsv1`, `payloadBytes` hold. */
  header: 1,
  /** A piece of payload, unmasked, at `[pieceStart, pieceEnd)` of the chunk; `frameEnds` after the last. */
  payload: 2,
  /** The peer broke the protocol: `violation` says how. Call next() no more. */
  violation: 3,
} as const;

/** One of `frameEvent`. */
export type FrameEvent = (typeof frameEvent)[keyof typeof frameEvent];

/** Takes wire bytes, before unmasking, as they are read. */
export interface WireRecorder {
  append(bytes: Uint8Array, start: number, end: number): void;
}

/** What to expect of the peer. */
export interface FrameDecoderOptions {
  /** True at a server: RFC 6455 §5.1 masks what a client sends and only that. */
  readonly isMasked: boolean;
  /** True when an extension gave RSV1 a meaning (RFC 7692 §6): then on the first frame of a message only. */
  readonly isRsv1Allowed: boolean;
  /** Gets the bytes of data frames, headers included; null for nobody. */
  readonly recorder: WireRecorder | null;
}

/** The part of a frame that the next byte belongs to, in wire order. */
const part = { flags: 0, length: 1, longLength: 2, key: 3, payload: 4 } as const;
type Part = (typeof part)[keyof typeof part];

/** One per connection. */
export class FrameDecoder {
  readonly #isMasked: boolean;
  readonly #isRsv1Allowed: boolean;
  readonly #recorder: WireRecorder | null;
  #offset = 0;
  #part: Part = part.flags;
  /** Bytes of the present part still to come (long length, key, payload). */
  #partBytesLeft = 0;
  /** The smallest length that may stand in the long form being read. */
  #longFormBytesMin = 0;
  #opcode = 0;
  #isFinal = false;
  #isRsv1 = false;
  #payloadBytes = 0;
  #key = 0;
  #phase = 0;
  #pieceStart = 0;
  #pieceEnd = 0;
  #violation: Violation | null = null;

  constructor(options: FrameDecoderOptions) {
    this.#isMasked = options.isMasked;
    this.#isRsv1Allowed = options.isRsv1Allowed;
    this.#recorder = options.recorder;
  }

  get opcode(): number {
    return this.#opcode;
  }

  get isControl(): boolean {
    return this.#opcode >= opcode.close;
  }

  get isFinal(): boolean {
    return this.#isFinal;
  }

  get isRsv1(): boolean {
    return this.#isRsv1;
  }

  /** Length that the header promises; above 2^53 rounded to a double, so only good to be refused. */
  get payloadBytes(): number {
    return this.#payloadBytes;
  }

  get pieceStart(): number {
    return this.#pieceStart;
  }

  get pieceEnd(): number {
    return this.#pieceEnd;
  }

  /** After a payload event: that piece was the frame's last. */
  get frameEnds(): boolean {
    return this.#part === part.flags;
  }

  /** True when a frame has begun and not ended. */
  get isInFrame(): boolean {
    return this.#part !== part.flags;
  }

  get violation(): Violation | null {
    return this.#violation;
  }

  /** How far `next` has read its chunk. */
  get offset(): number {
    return this.#offset;
  }

  /** Whoever gave the chunk takes back what is left of it from `offset` on: it comes again as the next one. */
  handBack(): void {
    this.#offset = 0;
  }

  /**
   * Reads on in `chunk` to the next event. Call with the same chunk until it answers `starved`, then with the next.
   * @param chunk borrowed between `starved` and `starved`; changed: payload is unmasked in place.
   * Cost: no allocation, except one view per chunk with a payload of 128 bytes or more (mask.ts).
   */
  next(chunk: Uint8Array): FrameEvent {
    for (;;) {
      if (this.#part === part.payload) return this.#takePayload(chunk);
      const at = this.#offset;
      if (at === chunk.length) return this.#starve();
      this.#offset = at + 1;
      const event = this.#takeHeaderByte(byteAt(chunk, at));
      this.#record(chunk, at, at + 1);
      if (event !== frameEvent.starved) return event;
    }
  }

  #starve(): FrameEvent {
    this.#offset = 0;
    return frameEvent.starved;
  }

  #refuse(what: Violation): FrameEvent {
    this.#violation = what;
    return frameEvent.violation;
  }

  #record(chunk: Uint8Array, start: number, end: number): void {
    if (this.#recorder !== null && !this.isControl) this.#recorder.append(chunk, start, end);
  }

  /** Answers `starved` when the header goes on. */
  #takeHeaderByte(byte: number): FrameEvent {
    if (this.#part === part.flags) return this.#takeFlags(byte);
    if (this.#part === part.length) return this.#takeLength(byte);
    return this.#part === part.longLength ? this.#takeLongLengthByte(byte) : this.#takeKeyByte(byte);
  }

  #takeFlags(byte: number): FrameEvent {
    this.#isFinal = (byte & 0x80) !== 0;
    this.#isRsv1 = (byte & 0x40) !== 0;
    this.#opcode = byte & 0x0f;
    // RFC 6455 §5.2: "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values."
    if ((byte & 0x30) !== 0) return this.#refuse(violation.reservedBits);
    // RFC 7692 §6: "An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and non-first
    // fragments of a data message."
    const mayCompress = this.#opcode === opcode.text || this.#opcode === opcode.binary;
    if (this.#isRsv1 && !(this.#isRsv1Allowed && mayCompress)) return this.#refuse(violation.reservedBits);
    // RFC 6455 §5.2: "If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket
    // Connection_." The known ones are 0–2 and 8–10.
    if ((this.#opcode & 0x7) > 2) return this.#refuse(violation.reservedOpcode);
    // RFC 6455 §5.5: "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented."
    if (this.isControl && !this.#isFinal) return this.#refuse(violation.fragmentedControl);
    this.#part = part.length;
    return frameEvent.starved;
  }

  #takeLength(byte: number): FrameEvent {
    const isMasked = (byte & 0x80) !== 0;
    if (isMasked !== this.#isMasked) {
      // RFC 6455 §5.1: "The server MUST close the connection upon receiving a frame that is not masked." and "A
      // client MUST close a connection if it detects a masked frame."
      return this.#refuse(isMasked ? violation.maskedFrame : violation.unmaskedFrame);
    }
    const shortLength = byte & 0x7f;
    if (shortLength <= 125) {
      this.#payloadBytes = shortLength;
      return this.#endLength();
    }
    // RFC 6455 §5.5, as above: 125 bytes or less.
    if (this.isControl) return this.#refuse(violation.longControl);
    this.#payloadBytes = 0;
    this.#part = part.longLength;
    const isTwoBytes = shortLength === 126;
    this.#partBytesLeft = isTwoBytes ? 2 : 8;
    this.#longFormBytesMin = isTwoBytes ? 126 : 65_536;
    return frameEvent.starved;
  }

  #takeLongLengthByte(byte: number): FrameEvent {
    // RFC 6455 §5.2: 8 bytes "interpreted as a 64-bit unsigned integer (the most significant bit MUST be 0)".
    if (this.#partBytesLeft === 8 && byte >= 0x80) return this.#refuse(violation.lengthSignBit);
    // A double: past 2^53 it loses low bits, never its order of magnitude; every limit lies far below.
    this.#payloadBytes = this.#payloadBytes * 256 + byte;
    this.#partBytesLeft -= 1;
    if (this.#partBytesLeft > 0) return frameEvent.starved;
    // RFC 6455 §5.2: "in all cases, the minimal number of bytes MUST be used to encode the length"
    if (this.#payloadBytes < this.#longFormBytesMin) return this.#refuse(violation.longLengthForm);
    return this.#endLength();
  }

  #endLength(): FrameEvent {
    this.#phase = 0;
    this.#part = this.#isMasked ? part.key : part.payload;
    this.#partBytesLeft = this.#isMasked ? 4 : this.#payloadBytes;
    return frameEvent.header;
  }

  #takeKeyByte(byte: number): FrameEvent {
    this.#key = (this.#key << 8) | byte;
    this.#partBytesLeft -= 1;
    if (this.#partBytesLeft === 0) {
      this.#part = part.payload;
      this.#partBytesLeft = this.#payloadBytes;
    }
    return frameEvent.starved;
  }

  #takePayload(chunk: Uint8Array): FrameEvent {
    const start = this.#offset;
    const end = Math.min(chunk.length, start + this.#partBytesLeft);
    // An empty frame still has its one (empty) piece.
    if (end === start && this.#partBytesLeft > 0) return this.#starve();
    this.#record(chunk, start, end);
    if (this.#key !== 0) xorMask(chunk, start, end, this.#key, this.#phase);
    this.#phase = (this.#phase + (end - start)) & 3;
    this.#partBytesLeft -= end - start;
    if (this.#partBytesLeft === 0) this.#part = part.flags;
    this.#offset = end;
    this.#pieceStart = start;
    this.#pieceEnd = end;
    return frameEvent.payload;
  }
}
