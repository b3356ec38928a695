/**
 * One publication in a worker, and its encoded frames. A frame is built at the first time somebody needs it and
 * shared by all who read that variant: serialised once per publication and variant, never per reader.
 */
import { deflateFrame } from "../codec/deflate.ts";
import { encodeFrame, frameHeaderBytes, payloadOf, writeFrameHeader } from "../codec/frame-encoder.ts";
import { opcode } from "../codec/opcode.ts";
import type { TopicLog } from "./topic-log.ts";

/**
 * How a reader wants its publications.
 * - `native`: a text frame `{"topic":…,"seq":…,"data":…}` each.
 * - `raw`: a text frame with `data` and nothing else.
 * - `batch`: the publications of one flush in one text frame, one JSON value per line.
 */
export type PlainVariant = "native" | "raw" | "batch";
/** The same, of readers that take compressed messages too (RFC 7692). */
export type CompressedVariant = `${PlainVariant}+deflate`;
export type Variant = PlainVariant | CompressedVariant;

/** Whether the variant's readers are told `epoch` and `seq`. */
export function seesPositions(variant: Variant): boolean {
  return variant !== "raw" && variant !== "raw+deflate";
}

const comma = Buffer.from(',"data":');
const closeBrace = 0x7d;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;

export class Entry {
  /** Place among all publications of this worker; grows by one, so one number is a cursor over all topics. */
  readonly order: number;
  /** How many publications its topic had in this worker, this one included. */
  readonly position: number;
  /** The broker's sequence number; 0 when it has none. */
  readonly seq: number;
  /** JSON bytes. Kept: do not change. */
  readonly data: Uint8Array;
  readonly origin: string | null;
  readonly receivedMs: number;
  readonly log: TopicLog;
  #native: Buffer | null = null;
  #raw: Buffer | null = null;
  #line: Buffer | null = null;
  #deflatedNative: Buffer | null = null;
  #deflatedRaw: Buffer | null = null;

  constructor(
    log: TopicLog,
    order: number,
    position: number,
    seq: number,
    data: Uint8Array,
    origin: string | null,
    receivedMs: number,
  ) {
    this.log = log;
    this.order = order;
    this.position = position;
    this.seq = seq;
    this.data = data;
    this.origin = origin;
    this.receivedMs = receivedMs;
  }

  /**
   * The bytes that this entry adds to what a reader of `variant` is sent, uncompressed: a whole frame, or for `batch` a
   * line without its line feed. Kept: do not change. Cost: one allocation at the first call per variant.
   */
  bytes(variant: Variant): Buffer {
    switch (variant) {
      case "native":
      case "native+deflate":
        return (this.#native ??= this.#encodeNative());
      case "raw":
      case "raw+deflate":
        return (this.#raw ??= encodeFrame(opcode.text, this.data));
      case "batch":
      case "batch+deflate":
        return (this.#line ??= this.#encodeLine());
    }
  }

  /**
   * The frame of `bytes`, compressed as a message of its own; the same where that does not pay. Kept: do not change.
   * Cost: compressed at the first call per variant, for all readers.
   */
  compressedFrame(variant: "native+deflate" | "raw+deflate"): Buffer {
    return variant === "native+deflate"
      ? (this.#deflatedNative ??= deflated(this.bytes(variant)))
      : (this.#deflatedRaw ??= deflated(this.bytes(variant)));
  }

  #encodeNative(): Buffer {
    const seq = this.#seqMember();
    const payloadBytes = this.#jsonBytes(seq);
    const frame = Buffer.allocUnsafe(frameHeaderBytes(payloadBytes) + payloadBytes);
    this.#writeJson(frame, writeFrameHeader(frame, 0, opcode.text, payloadBytes), seq);
    return frame;
  }

  /** Deviation from byte for byte (docs/PROTOCOL.md): CR and LF inside `data` become spaces, so that a line is a value. */
  #encodeLine(): Buffer {
    const seq = this.#seqMember();
    const line = Buffer.allocUnsafe(this.#jsonBytes(seq));
    this.#writeJson(line, 0, seq);
    // Valid JSON has CR and LF only between tokens.
    for (let at = 0; at < line.length; at += 1) {
      if (line[at] === lineFeed || line[at] === carriageReturn) line[at] = space;
    }
    return line;
  }

  #seqMember(): string {
    return this.seq === 0 ? "" : `,"seq":${this.seq}`;
  }

  #jsonBytes(seq: string): number {
    return this.log.prefix.length + seq.length + comma.length + this.data.length + 1;
  }

  #writeJson(target: Buffer, start: number, seq: string): void {
    let at = start;
    target.set(this.log.prefix, at);
    at += this.log.prefix.length;
    at += target.write(seq, at, "latin1");
    target.set(comma, at);
    at += comma.length;
    target.set(this.data, at);
    at += this.data.length;
    target[at] = closeBrace;
  }
}

/** The compressed frame of the same message; the plain one where compressing does not pay. */
function deflated(frame: Buffer): Buffer {
  return deflateFrame(opcode.text, payloadOf(frame)) ?? frame;
}
