/** Puts the entries of a flush into one contiguous buffer, so that each reader is served by one write. */
import type { Slab } from "../codec/slab.ts";
import { frameHeaderBytes, writeFrameHeader } from "../codec/frame-encoder.ts";
import { opcode } from "../codec/opcode.ts";
import type { Entry, Variant } from "./entry.ts";

const lineFeed = 0x0a;

/**
 * The bytes of `entries` for `variant`, before them the frames `events`. Kept by the caller until every write of them
 * is taken; then the slab may have them back. A single entry is its own frame: nothing is copied.
 * Cost: one copy of the bytes; no allocation while they fit the slab.
 */
export function seal(
  entries: readonly Entry[],
  variant: Variant,
  events: readonly Uint8Array[],
  slab: Slab,
): Buffer {
  if (events.length === 0 && entries.length === 1 && variant !== "batch") {
    // The length was just compared.
    return (entries[0] as Entry).bytes(variant);
  }
  let payloadBytes = 0;
  for (const entry of entries) payloadBytes += entry.bytes(variant).length;
  const isBatch = variant === "batch" && entries.length > 0;
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
    const bytes = entry.bytes(variant);
    target.set(bytes, at);
    at += bytes.length;
  }
  return target;
}
