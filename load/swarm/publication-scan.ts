/**
 * Reads a publication of a load run without parsing JSON: `{"topic":"….7","seq":12,"data":{"n":12,"t":123…`. At ten
 * thousand messages a second JSON.parse would be most of what a reader costs.
 */

/** What was read. One object, filled again and again. */
export interface ScannedPublication {
  /** The number at the end of the topic's name. */
  topic: number;
  /** 0 when there is none. */
  seq: number;
  /** The publisher's number. */
  number: number;
  /** When it was made, microseconds (clock.ts). */
  sentUs: number;
}

const topicStart = Buffer.from('{"topic":"');
const seqStart = Buffer.from(',"seq":');
const dataStart = Buffer.from(',"data":{"n":');
const timeStart = Buffer.from(',"t":');
const quote = 0x22;
const dot = 0x2e;

export function emptyPublication(): ScannedPublication {
  return { topic: 0, seq: 0, number: 0, sentUs: 0 };
}

/** What a publisher puts into `data`: number, time, filling. */
export function publicationData(number: number, sentUs: number, filling: string): object {
  return { n: number, t: sentUs, x: filling };
}

/** Fills `into` from `bytes[start, end)`. False when that is no publication of this form; `into` is then undefined. */
export function scanPublication(
  bytes: Uint8Array,
  start: number,
  end: number,
  into: ScannedPublication,
): boolean {
  if (!holds(bytes, start, end, topicStart)) return false;
  let at = start + topicStart.length;
  let topic = 0;
  for (; at < end && bytes[at] !== quote; at++) {
    const byte = bytes[at] ?? 0;
    topic = byte === dot ? 0 : topic * 10 + (byte - 0x30);
  }
  into.topic = topic;
  at++;
  into.seq = 0;
  if (holds(bytes, at, end, seqStart)) {
    at += seqStart.length;
    into.seq = digits(bytes, at);
    at = digitsEnd(bytes, at);
  }
  if (!holds(bytes, at, end, dataStart)) return false;
  at += dataStart.length;
  into.number = digits(bytes, at);
  at = digitsEnd(bytes, at);
  if (!holds(bytes, at, end, timeStart)) return false;
  into.sentUs = digits(bytes, at + timeStart.length);
  return true;
}

function holds(bytes: Uint8Array, at: number, end: number, text: Uint8Array): boolean {
  if (at + text.length > end) return false;
  for (let index = 0; index < text.length; index++) if (bytes[at + index] !== text[index]) return false;
  return true;
}

function digits(bytes: Uint8Array, start: number): number {
  let value = 0;
  for (let at = start; isDigit(bytes[at]); at++) value = value * 10 + ((bytes[at] ?? 0) - 0x30);
  return value;
}

function digitsEnd(bytes: Uint8Array, start: number): number {
  let at = start;
  while (isDigit(bytes[at])) at++;
  return at;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}
