/**
 * The one JSON scanner: says whether bytes are one JSON value (RFC 8259) in valid UTF-8, and where the members of an
 * object lie, without building values. That is how `data` reaches the browser byte for byte as it was published:
 * a parser would turn 1.10 into 1.1 and round 64-bit integers. Used by the HTTP API, the session and the brokers.
 * Iterative, so that nesting costs no stack; deeper than `jsonDepthMax` is not accepted.
 */
import { isUtf8 } from "node:buffer";

/** Deepest nesting of arrays and objects that is accepted. Real messages have fewer than ten levels. */
export const jsonDepthMax = 128;

/** A half-open range of bytes without surrounding whitespace. */
export interface Extent {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

const space = 0x20;
const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const minus = 0x2d;
const plus = 0x2b;
const dot = 0x2e;
const zero = 0x30;
const letterE = 0x65;
const letterU = 0x75;
const literalTrue = Uint8Array.from([0x74, 0x72, 0x75, 0x65]);
const literalFalse = Uint8Array.from([0x66, 0x61, 0x6c, 0x73, 0x65]);
const literalNull = Uint8Array.from([0x6e, 0x75, 0x6c, 0x6c]);

/** By byte, 1: goes on a string without any care (RFC 8259 §7, ASCII only). Measured: half the time of comparing. */
const isPlain = classOf((byte) => byte >= 0x20 && byte < 0x80 && byte !== quote && byte !== backslash);
const isDigit = classOf((byte) => byte >= zero && byte <= zero + 9);
const isHexDigit = classOf((byte) => /^[0-9a-fA-F]$/.test(String.fromCharCode(byte)));
/** RFC 8259 §2: JSON's whitespace. */
const isSpace = classOf((byte) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09);
/** One of `"\/bfnrt`. */
const isSimpleEscape = classOf((byte) => '"\\/bfnrt'.includes(String.fromCharCode(byte)));

/** What closes the container at each depth. One for all calls: the scanner never yields while it is in use. */
const closers = new Uint8Array(jsonDepthMax);
/** Whether the bytes seen since it was last set to false were more than ASCII. */
let sawBeyondAscii = false;

/**
 * True when `bytes` from `start` to `end` are exactly one JSON value, whitespace around it allowed, in valid UTF-8 and
 * without a BOM (RFC 8259 §8.1: "Implementations MUST NOT add a byte order mark").
 * Cost: no allocation for ASCII; about 2 ns a byte (docs/benchmarks/micro.md).
 */
export function isJson(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
  sawBeyondAscii = false;
  const valueEnd = skipValue(bytes, start, end);
  if (valueEnd === -1 || skipSpace(bytes, valueEnd, end) !== end) return false;
  return !sawBeyondAscii || isUtf8(bytes.subarray(start, end));
}

/**
 * Where the members of the object that `bytes` hold lie, by name; of duplicate names the last counts, as with
 * JSON.parse. null when the bytes are not one JSON object in valid UTF-8.
 * Cost: one Map and one Extent per top-level member.
 */
export function objectMembers(bytes: Uint8Array): Map<string, Extent> | null {
  if (!isUtf8(bytes)) return null;
  const length = bytes.length;
  let at = skipSpace(bytes, 0, length);
  if (bytes[at] !== openBrace) return null;
  const members = new Map<string, Extent>();
  at = skipSpace(bytes, at + 1, length);
  if (bytes[at] === closeBrace) return skipSpace(bytes, at + 1, length) === length ? members : null;
  for (;;) {
    const nameStart = at;
    if (bytes[at] !== quote) return null;
    const nameEnd = skipString(bytes, at + 1, length);
    if (nameEnd === -1) return null;
    const colonEnd = skipColon(bytes, nameEnd, length);
    if (colonEnd === -1) return null;
    const start = skipSpace(bytes, colonEnd, length);
    const end = skipValue(bytes, start, length);
    if (end === -1) return null;
    members.set(readString(bytes, nameStart, nameEnd), { start, end });
    at = skipSpace(bytes, end, length);
    if (bytes[at] === closeBrace) return skipSpace(bytes, at + 1, length) === length ? members : null;
    if (bytes[at] !== comma) return null;
    at = skipSpace(bytes, at + 1, length);
  }
}

/** The text of a JSON string whose extent is known to be valid. */
function readString(bytes: Uint8Array, start: number, end: number): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("utf8");
  // A JSON string is all that JSON.parse can make of a valid string literal.
  return text.includes("\\") ? (JSON.parse(text) as string) : text.slice(1, -1);
}

// All functions below stay before `end`: reading past the end of an array would make every read slower.

/** Past the value that begins at or after `start`, behind whitespace; -1 when there is none. */
function skipValue(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  let depth = 0;
  for (;;) {
    if (at < end && (bytes[at] as number) <= space) at = skipSpace(bytes, at, end);
    if (at >= end) return -1;
    const byte = bytes[at];
    if (byte === openBrace || byte === openBracket) {
      // Even an empty container counts as a level: the limit does not depend on what it holds.
      if (depth === jsonDepthMax) return -1;
      const closer = byte === openBrace ? closeBrace : closeBracket;
      at += 1;
      if (at < end && (bytes[at] as number) <= space) at = skipSpace(bytes, at, end);
      if (at >= end) return -1;
      if (bytes[at] !== closer) {
        closers[depth] = closer;
        depth += 1;
        if (closer === closeBrace) {
          at = skipName(bytes, at, end);
          if (at === -1) return -1;
        }
        continue;
      }
      at += 1;
    } else {
      at = byte === quote ? skipString(bytes, at + 1, end) : skipScalar(bytes, at, end);
      if (at === -1) return -1;
    }
    // A value has ended: close what it closes, or go on to the next one.
    for (;;) {
      if (depth === 0) return at;
      if (at < end && (bytes[at] as number) <= space) at = skipSpace(bytes, at, end);
      if (at >= end) return -1;
      const next = bytes[at];
      at += 1;
      if (next === comma) break;
      if (next !== closers[depth - 1]) return -1;
      depth -= 1;
    }
    if (closers[depth - 1] === closeBrace) {
      at = skipName(bytes, at, end);
      if (at === -1) return -1;
    }
  }
}

/** The first position at or after `at` that is no whitespace. */
function skipSpace(bytes: Uint8Array, at: number, end: number): number {
  let position = at;
  while (position < end && isSpace[bytes[position] as number] === 1) position += 1;
  return position;
}

/** Past a member's name and its colon, behind whitespace; -1 when there is none. */
function skipName(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  if (at < end && (bytes[at] as number) <= space) at = skipSpace(bytes, at, end);
  if (at >= end || bytes[at] !== quote) return -1;
  at = skipString(bytes, at + 1, end);
  if (at === -1) return -1;
  if (at < end && (bytes[at] as number) <= space) at = skipSpace(bytes, at, end);
  return at < end && bytes[at] === colon ? at + 1 : -1;
}

function skipColon(bytes: Uint8Array, start: number, end: number): number {
  const at = start < end && (bytes[start] as number) <= space ? skipSpace(bytes, start, end) : start;
  return at < end && bytes[at] === colon ? at + 1 : -1;
}

/** Past the string whose first byte behind the quotation mark is at `start`; -1 when it is none (RFC 8259 §7). */
function skipString(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  for (;;) {
    while (at < end && isPlain[bytes[at] as number] === 1) at += 1;
    if (at >= end) return -1;
    // Within bounds: `at < end`.
    const byte = bytes[at] as number;
    if (byte === quote) return at + 1;
    if (byte === backslash) {
      at = skipEscape(bytes, at + 1, end);
      if (at === -1) return -1;
    } else if (byte < space) return -1;
    else {
      sawBeyondAscii = true;
      at += 1;
    }
  }
}

/** Past what stands behind a backslash. */
function skipEscape(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return -1;
  const escaped = bytes[at] as number;
  if (escaped !== letterU) return isSimpleEscape[escaped] === 1 ? at + 1 : -1;
  if (at + 4 >= end) return -1;
  for (let digit = 1; digit <= 4; digit += 1) if (isHexDigit[bytes[at + digit] as number] !== 1) return -1;
  return at + 5;
}

/** Past a number or a literal. */
function skipScalar(bytes: Uint8Array, at: number, end: number): number {
  switch (bytes[at]) {
    case 0x74: // true
      return skipLetters(bytes, at, end, literalTrue);
    case 0x66: // false
      return skipLetters(bytes, at, end, literalFalse);
    case 0x6e: // null
      return skipLetters(bytes, at, end, literalNull);
    default:
      return skipNumber(bytes, at, end);
  }
}

function skipLetters(bytes: Uint8Array, at: number, end: number, literal: Uint8Array): number {
  if (end - at < literal.length) return -1;
  for (let index = 1; index < literal.length; index += 1) {
    if (bytes[at + index] !== literal[index]) return -1;
  }
  return at + literal.length;
}

/** Past a number of any size and precision (RFC 8259 §6); -1 when it is none. */
function skipNumber(bytes: Uint8Array, start: number, end: number): number {
  let at = bytes[start] === minus ? start + 1 : start;
  let digitsStart = at;
  if (at < end && bytes[at] === zero) at += 1;
  else {
    while (at < end && isDigit[bytes[at] as number] === 1) at += 1;
    if (at === digitsStart) return -1;
  }
  if (at < end && bytes[at] === dot) {
    digitsStart = at + 1;
    at = digitsStart;
    while (at < end && isDigit[bytes[at] as number] === 1) at += 1;
    if (at === digitsStart) return -1;
  }
  // Upper and lower case differ in this bit.
  if (at < end && ((bytes[at] as number) | 0x20) === letterE) {
    at += 1;
    if (at < end && (bytes[at] === plus || bytes[at] === minus)) at += 1;
    digitsStart = at;
    while (at < end && isDigit[bytes[at] as number] === 1) at += 1;
    if (at === digitsStart) return -1;
  }
  return at;
}

/** A table of bytes. */
function classOf(isIn: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (isIn(byte) ? 1 : 0));
}
