/**
 * One publication in a worker, and its encoded frames. A frame is built at the first time somebody needs it and
 * shared by all who read that variant: serialised once per publication and variant, never per reader.
 *
 * Bytes are kept as Latin-1 strings, one character a byte: one small object of exactly their size in the heap. Thousands
 * of entries live in rings for seconds; as views of pooled buffers each would cost another object of 100 bytes and hold
 * a pool alive, and the collector would carry them all (docs/adr/0004).
 */
import { type ByteString, fromByteString, toByteString } from "../base/byte-string.ts";
import { deflateFrame } from "../codec/deflate.ts";
import { frameHeaderBytes, payloadOf, writeFrameHeader } from "../codec/frame-encoder.ts";
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

/** Whether the publications of a flush come in one message. */
export function isBatchVariant(variant: Variant): boolean {
  return variant === "batch" || variant === "batch+deflate";
}

const lineBreaks = /[\r\n]/g;
const headerScratch = Buffer.alloc(10);

export class Entry {
  /** Place among all publications of this worker; grows by one, so one number is a cursor over all topics. */
  order: number;
  /** How many publications its topic had in this worker, this one included. */
  position: number;
  /** The broker's sequence number; 0 when it has none. */
  seq: number;
  origin: string | null;
  receivedMs: number;
  readonly log: TopicLog;
  /** Whether a flush has taken it: then it stays what it is until all members of the audience have been given it. */
  isTaken = false;
  /** The JSON that was published. */
  data: ByteString;
  #native: ByteString | null = null;
  #raw: ByteString | null = null;
  #line: ByteString | null = null;
  #deflatedNative: ByteString | null = null;
  #deflatedRaw: ByteString | null = null;

  constructor(
    log: TopicLog,
    order: number,
    position: number,
    seq: number,
    data: ByteString,
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
   * A newer publication takes its place: in its topic's log, and among what audiences wait to be given. Only while no
   * flush has taken it. Cost: no allocation, where a new entry for each of many that nobody is ever given makes the
   * collector's work.
   */
  become(
    order: number,
    position: number,
    seq: number,
    data: ByteString,
    origin: string | null,
    receivedMs: number,
  ): void {
    this.order = order;
    this.position = position;
    this.seq = seq;
    this.data = data;
    this.origin = origin;
    this.receivedMs = receivedMs;
    // Who joined has perhaps been given what was here.
    if (this.#native !== null) this.#native = null;
    if (this.#raw !== null) this.#raw = null;
    if (this.#line !== null) this.#line = null;
    if (this.#deflatedNative !== null) this.#deflatedNative = null;
    if (this.#deflatedRaw !== null) this.#deflatedRaw = null;
  }

  /**
   * The bytes that this entry adds to what a reader of `variant` is sent, uncompressed: a whole frame, or for `batch` a
   * line without its line feed. Cost: one string at the first call per variant.
   */
  bytes(variant: Variant): ByteString {
    switch (variant) {
      case "native":
      case "native+deflate":
        return (this.#native ??= framed(this.#json()));
      case "raw":
      case "raw+deflate":
        return (this.#raw ??= framed(this.data));
      case "batch":
      case "batch+deflate":
        // Deviation from byte for byte (docs/PROTOCOL.md): CR and LF inside `data` become spaces, so that a line is a
        // value. Valid JSON has them only between tokens.
        return (this.#line ??= this.#json().replace(lineBreaks, " "));
    }
  }

  /**
   * The frame of `bytes`, compressed as a message of its own; the same where that does not pay.
   * Cost: compressed at the first call per variant, for all readers.
   */
  compressedFrame(variant: "native+deflate" | "raw+deflate"): ByteString {
    return variant === "native+deflate"
      ? (this.#deflatedNative ??= deflated(this.bytes(variant)))
      : (this.#deflatedRaw ??= deflated(this.bytes(variant)));
  }

  #json(): ByteString {
    const seq = this.seq === 0 ? "" : `,"seq":${this.seq}`;
    return `${this.log.prefix}${this.#newEpoch()}${seq},"data":${this.data}}`;
  }

  /** The first publication of an epoch that goes on counting names it: readers know the one before. */
  #newEpoch(): string {
    const { formers, epoch } = this.log;
    const [former] = formers;
    return former === undefined || this.seq !== former.seq + 1 ? "" : `,"epoch":${JSON.stringify(epoch)}`;
  }
}

/** A text frame around `payload`. */
function framed(payload: ByteString): ByteString {
  writeFrameHeader(headerScratch, 0, opcode.text, payload.length);
  return toByteString(headerScratch, 0, frameHeaderBytes(payload.length)) + payload;
}

/** The compressed frame of the same message; the plain one where compressing does not pay. */
function deflated(frame: ByteString): ByteString {
  const compressed = deflateFrame(opcode.text, payloadOf(fromByteString(frame)));
  return compressed === null ? frame : toByteString(compressed);
}
