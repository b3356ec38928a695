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
  /** The payload: a view of the message, not a copy. */
  readonly data: Uint8Array;
}

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

/**
 * Takes a message apart. Never throws.
 * @param message borrowed; `data` of the result points into it.
 * @returns null when it begins like an envelope and is none: to be dropped and counted.
 * Cost: one object and, with history, one string of 16 bytes.
 */
export function decodeEnvelope(message: Buffer): Envelope | null {
  if (message[0] !== at) return { epoch: null, seq: 0, origin: null, data: message };
  let index = 1;
  let epoch: string | null = null;
  let seq = 0;
  if (isDigit(message[index])) {
    const epochEnd = digitsEnd(message, index, epochDigitsMax);
    if (message[epochEnd] !== dash) return null;
    epoch = message.toString("latin1", index, epochEnd);
    const seqEnd = digitsEnd(message, epochEnd + 1, seqDigitsMax);
    seq = numberOf(message, epochEnd + 1, seqEnd);
    // An entry's own number begins at 1.
    if (seq === 0) return null;
    index = seqEnd;
  }
  let origin: string | null = null;
  if (message[index] === tilde) {
    const end = message.indexOf(space, index);
    if (end <= index + 1 || end - index - 1 > originBytesMax) return null;
    origin = message.toString("latin1", index + 1, end);
    if (!origin64.test(origin)) return null;
    index = end;
  }
  if (message[index] !== space) return null;
  return { epoch, seq, origin, data: message.subarray(index + 1) };
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

function digitsEnd(bytes: Uint8Array, start: number, digitsMax: number): number {
  let index = start;
  while (index - start < digitsMax && isDigit(bytes[index])) index++;
  return index;
}

function numberOf(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let index = start; index < end; index++) value = value * 10 + (bytes[index] ?? zero) - zero;
  return value;
}
