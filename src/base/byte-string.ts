/**
 * Bytes kept as a string of Latin-1 characters, one character a byte: one object of exactly their size in the heap, where
 * a view of a pooled buffer is an object of 100 bytes that holds 8 KiB alive. For small pieces that live for seconds.
 */

import { Buffer } from "node:buffer";

/** A string whose characters are bytes. */
export type ByteString = string;

/** The bytes of `bytes` from `start` to `end`. Cost: one string. */
export function toByteString(bytes: Uint8Array, start = 0, end = bytes.length): ByteString {
  return asBuffer(bytes).toString("latin1", start, end);
}

/** Writes `text` at `offset`. @returns the offset behind it. Cost: no allocation. */
export function writeByteString(target: Buffer, text: ByteString, offset: number): number {
  return offset + target.write(text, offset, "latin1");
}

/** The bytes again. Cost: one buffer. */
export function fromByteString(text: ByteString): Buffer {
  return Buffer.from(text, "latin1");
}

/** The same bytes as a Buffer. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
