/**
 * Puts the entries of a flush into one contiguous buffer, so that each reader is served by one write. What goes to one
 * reader alone (`seal`) is never compressed; what an audience shares (`sealCompressed`) may be, once for all.
 */
import { writeByteString } from "../base/byte-string.ts";
import { deflateBytesMin, deflateFrame } from "../codec/deflate.ts";
import type { Slab } from "../codec/slab.ts";
import { frameHeaderBytes, payloadOf, writeFrameHeader } from "../codec/frame-encoder.ts";
import { opcode } from "../codec/opcode.ts";
import { type CompressedVariant, type Entry, isBatchVariant, type Variant } from "./entry.ts";

const lineFeed = 0x0a;

/**
 * The bytes of `entries` for `variant`, uncompressed, before them the frames `events`. Kept by the caller until every write of them
 * is taken; then the slab may have them back.
 * Cost: one copy of the bytes; no allocation while they fit the slab.
 */
export function seal(
  entries: readonly Entry[],
  variant: Variant,
  events: readonly Uint8Array[],
  slab: Slab,
): Buffer {
  let payloadBytes = 0;
  for (const entry of entries) payloadBytes += entry.bytes(variant).length;
  const isBatch = isBatchVariant(variant) && entries.length > 0;
  if (isBatch) payloadBytes += entries.length - 1;
  let totalBytes = payloadBytes + (isBatch ? frameHeaderBytes(payloadBytes) : 0);
  for (const event of events) totalBytes += event.length;

  const target = slab.reserve(totalBytes);
  let at = 0;
  for (const event of events) {
    target.set(event, at);
    at += event.length;
  }
  if (isBatch) at = writeFrameHeader(target, at, opcode.text, payloadBytes);
  for (const [index, entry] of entries.entries()) {
    if (isBatch && index > 0) target[at++] = lineFeed;
    at = writeByteString(target, entry.bytes(variant), at);
  }
  return target;
}

/** Whether it may pay to compress `entries` for readers of `variant`: they take that, and something is long enough. */
export function isWorthCompressing(
  entries: readonly Entry[],
  variant: Variant,
): variant is CompressedVariant {
  if (!variant.endsWith("+deflate")) return false;
  if (variant !== "batch+deflate") {
    return entries.some((entry) => entry.bytes(variant).length > deflateBytesMin);
  }
  let bytes = 0;
  for (const entry of entries)
    if (entry.log.topic.sharesCompression) bytes += entry.bytes(variant).length + 1;
  return bytes > deflateBytesMin;
}

/**
 * As `seal`, for all members of an audience together. Of a batch, the lines of topics that may share a compressed
 * message come in one, those of other topics in a plain one behind it; other publications are compressed each alone.
 */
export function sealCompressed(entries: readonly Entry[], variant: CompressedVariant, slab: Slab): Buffer {
  if (variant !== "batch+deflate") {
    const frames = entries.map((entry) => entry.compressedFrame(variant)).join("");
    const target = slab.reserve(frames.length);
    writeByteString(target, frames, 0);
    return target;
  }
  const shared = entries.filter(({ log }) => log.topic.sharesCompression);
  const plain = seal(shared, variant, [], slab);
  const frame = deflateFrame(opcode.text, payloadOf(plain));
  slab.release(plain);
  if (frame === null) return seal(entries, variant, [], slab);
  if (shared.length === entries.length) return frame;
  const others = entries.filter(({ log }) => !log.topic.sharesCompression);
  return seal(others, variant, [frame], slab);
}
