/** Inflating with node's public function, for a Node whose inside is not as inflate-engine.ts knows it. */
import { constants as bufferConstants } from "node:buffer";
import { constants, inflateRawSync } from "node:zlib";
import { type Violation, violation } from "./violation.ts";

/** Final blocks that a message may contain. Real endpoints send none or one. */
export const finalBlocksMax = 4;
/** zlib's output is collected in pieces of a size between these; Node 20.20 is slower outside of them. */
const pieceBytesMin = 1024;
const pieceBytesMax = 65_536;

interface Inflated {
  readonly buffer: Buffer;
  /** Bytes of the input that zlib has read. */
  readonly consumedBytes: number;
}

/**
 * Inflates one message.
 * @param message with its tail.
 * Cost: 5 µs and 1 µs per KiB of output (Node 20.20); up to twice `outputBytesMax` of memory for a moment.
 */
export function inflateByNode(message: Buffer, outputBytesMax: number): Uint8Array | Violation {
  let input = message;
  const pieces: Buffer[] = [];
  let restBytes = outputBytesMax;
  for (let finalBlocks = 0; finalBlocks <= finalBlocksMax; finalBlocks += 1) {
    const result = inflate(input, restBytes);
    if ("closeCode" in result) return result;
    const { buffer, consumedBytes } = result;
    restBytes -= buffer.length;
    if (restBytes < 0) return violation.messageTooBig;
    if (pieces.length === 0 && consumedBytes === input.length) return buffer;
    pieces.push(buffer);
    if (consumedBytes === input.length) return Buffer.concat(pieces);
    input = input.subarray(consumedBytes);
  }
  return violation.tooManyFinalBlocks;
}

function inflate(input: Uint8Array, outputBytesMax: number): Inflated | Violation {
  try {
    const result = inflateRawSync(input, {
      finishFlush: constants.Z_FINISH,
      chunkSize: Math.min(pieceBytesMax, Math.max(pieceBytesMin, input.length * 4)),
      // Zero is no valid limit; whoever has no room left is found out by the length.
      maxOutputLength: Math.min(bufferConstants.MAX_LENGTH, Math.max(1, outputBytesMax)),
      info: true,
    });
    // With `info` zlib returns its engine too (Node.js documentation, zlib options), which its types do not say.
    const { buffer, engine } = result as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
    return { buffer, consumedBytes: engine.bytesWritten };
  } catch (error) {
    // What else zlib throws on input, it throws because the input is no deflate data, or ends too early.
    const isTooLarge = error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
    return isTooLarge ? violation.messageTooBig : violation.deflateCorrupt;
  }
}
