/**
 * The envelope around a publication on a Redis channel: `@<epoch>-<seq>[~<origin>] <json>` with history,
 * `@[~<origin>] <json>` without. A JSON value never begins with `@`, so everything else on a channel is a raw PUBLISH.
 * tape-functions.lua writes the same form. Whether the payload is JSON is not this file's question.
 */
import type { Position } from "./broker.ts";

/** A message of a channel, taken apart. */
export interface Envelope {
  /** null for a live-only publication and for a raw PUBLISH. */
  readonly epoch: string | null;
  /** 0 where there is no epoch. */
  readonly seq: number;
  readonly origin: string | null;
  /** Where the payload begins; it goes to the end of the message. */
  readonly dataStart: number;
}

const nothing = Buffer.alloc(0);
const at = 0x40;
const space = 0x20;
const tilde = 0x7e;
const dash = 0x2d;
const zero = 0x30;

/** Digits of a 64-bit half of a Redis stream ID. */
const epochDigitsMax = 20;
/** 2^53 has 16 digits: 15 always fit a number exactly, and are 30 years at a million publications a second. */
const seqDigitsMax = 15;
const originBytesMax = 64;

const origin64 = /^[A-Za-z0-9_-]+$/;

/** Longest envelope before a payload. */
export const envelopeBytesMax = 3 + epochDigitsMax + seqDigitsMax + 1 + originBytesMax;

/** Takes messages apart where they lie; holds what it found of the last one. */
export class EnvelopeReader {
  /** 0 where there is no epoch. */
  seq = 0;
  origin: string | null = null;
  /** Where the payload begins; it goes to the end of the message. */
  dataStart = 0;
  #bytes: Buffer = nothing;
  #epochStart = 0;
  /** The same as `#epochStart` where there is no epoch. */
  #epochEnd = 0;

  /**
   * Reads the message that `bytes` hold from `start` to `end`. Never throws.
   * @returns false when it begins like an envelope and is none: to be dropped and counted.
   * Cost: no allocation without an origin.
   */
  read(bytes: Buffer, start: number, end: number): boolean {
    this.seq = 0;
    this.origin = null;
    this.#epochEnd = this.#epochStart;
    this.dataStart = start;
    return end === start || bytes[start] !== at || this.#readEnvelope(bytes, start, end);
  }

  /**
   * The epoch; null for a live-only publication and for a raw PUBLISH.
   * @param known what it most likely is. Cost: no allocation if it is.
   */
  epoch(known = ""): string | null {
    const start = this.#epochStart;
    const end = this.#epochEnd;
    if (start === end) return null;
    if (known.length !== end - start) return this.#bytes.toString("latin1", start, end);
    for (let index = 0; index < known.length; index += 1) {
      if (known.charCodeAt(index) !== this.#bytes[start + index]) {
        return this.#bytes.toString("latin1", start, end);
      }
    }
    return known;
  }

  #readEnvelope(bytes: Buffer, start: number, end: number): boolean {
    let index = start + 1;
    if (index < end && isDigit(bytes[index])) {
      const epochEnd = digitsEnd(bytes, index, Math.min(end, index + epochDigitsMax));
      if (epochEnd >= end || bytes[epochEnd] !== dash) return false;
      this.#bytes = bytes;
      this.#epochStart = index;
      this.#epochEnd = epochEnd;
      const seqEnd = digitsEnd(bytes, epochEnd + 1, Math.min(end, epochEnd + 1 + seqDigitsMax));
      this.seq = numberOf(bytes, epochEnd + 1, seqEnd);
      // An entry's own number begins at 1.
      if (this.seq === 0) return false;
      index = seqEnd;
    }
    if (index < end && bytes[index] === tilde) {
      const originEnd = bytes.indexOf(space, index);
      if (originEnd >= end || originEnd <= index + 1 || originEnd - index - 1 > originBytesMax) return false;
      this.origin = bytes.toString("latin1", index + 1, originEnd);
      if (!origin64.test(this.origin)) return false;
      index = originEnd;
    }
    this.dataStart = index + 1;
    return index < end && bytes[index] === space;
  }
}

const reader = new EnvelopeReader();

/** As `EnvelopeReader.read`, for those who want an object. @returns null when it begins like an envelope and is none. */
export function decodeEnvelope(bytes: Buffer, start = 0, end = bytes.length): Envelope | null {
  if (!reader.read(bytes, start, end)) return null;
  const { seq, origin, dataStart } = reader;
  return { epoch: reader.epoch(), seq, origin, dataStart };
}

/**
 * Puts a publication into its envelope.
 * @param position null for a live-only topic.
 * @param data copied.
 */
export function encodeEnvelope(
  position: Position | null,
  origin: string | null,
  data: Uint8Array,
): Uint8Array {
  const where = position === null ? "" : `${position.epoch}-${position.seq}`;
  const who = origin === null ? "" : `~${origin}`;
  return Buffer.concat([Buffer.from(`@${where}${who} `, "latin1"), data]);
}

/** Parses `epoch-seq`, the ID of a stream entry. @returns null when `id` is none. */
export function parsePosition(id: string): Position | null {
  const match = /^(\d{1,20})-(\d{1,15})$/.exec(id);
  return match === null ? null : { epoch: match[1] ?? "", seq: Number(match[2]) };
}

/** Whether `origin` may stand in an envelope: 1 to 64 characters of base64url. */
export function isOrigin(origin: string): boolean {
  return origin.length <= originBytesMax && origin64.test(origin);
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= zero && byte <= zero + 9;
}

function digitsEnd(bytes: Uint8Array, start: number, end: number): number {
  let index = start;
  while (index < end && isDigit(bytes[index])) index++;
  return index;
}

function numberOf(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let index = start; index < end; index++) value = value * 10 + (bytes[index] ?? zero) - zero;
  return value;
}
