/**
 * RFC 7692 §7.2.2: a compressed message in, its payload out. Each message stands alone (client_no_context_takeover), so
 * there is no state. zlib runs synchronously, and stops at the byte past the limit on what comes *out*. What a message
 * inflates to is counted before memory is reserved for it: a bomb costs no memory at all, and 5 µs against 64 KiB.
 */
import { finalBlocksMax, inflateByNode } from "./inflate-by-node.ts";
import { InflateEngine } from "./inflate-engine.ts";
import { InflateJob } from "./inflate-job.ts";
import { type Violation, violation } from "./violation.ts";

/**
 * RFC 7692 §7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message." The five
 * after them are an empty final block: only when zlib reaches their end the message was whole. Without them a message
 * cut in the middle of a block would be taken for a shorter one.
 */
const tail = Buffer.from([0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff]);
/** Where messages are inflated: one byte more than `limits.messageBytesMax`, so that most fit. */
const scratch = Buffer.allocUnsafeSlow(65_537);
const nothing = Buffer.alloc(0);
/** Undefined: not tried yet. */
let sharedEngine: InflateEngine | null | undefined;

/**
 * Inflates one message.
 * @param payload of all its frames, borrowed until return.
 * @param outputBytesMax most bytes that may come out.
 * @param engine null for node's public function.
 * @returns its bytes, borrowed until the next call, or what is wrong with it.
 * Cost: 1 µs and 0.1 to 4 µs per KiB of output (Node 20.20); beyond 64 KiB twice that, for it is counted first.
 */
export function inflateMessage(
  payload: Uint8Array,
  outputBytesMax: number,
  engine: InflateEngine | null = (sharedEngine ??= InflateEngine.create()),
): Uint8Array | Violation {
  // By §7.2.3.6 an empty message is one byte; some senders leave out even that.
  if (payload.length === 0) return nothing;
  const message = Buffer.concat([payload, tail]);
  if (engine === null) return inflateByNode(message, outputBytesMax);
  const bytes = inflateInto(engine, message, scratch, outputBytesMax);
  if (typeof bytes !== "number") return bytes;
  if (bytes < scratch.length) return scratch.subarray(0, bytes);
  const whole = Buffer.allocUnsafeSlow(bytes + 1);
  inflateInto(engine, message, whole, bytes);
  return whole.subarray(0, bytes);
}

/**
 * As `inflateMessage`, but of a message that is larger than 64 KiB it only begins.
 * @param isText whether a job checks its UTF-8; what is returned as bytes is unchecked.
 * @param payload borrowed until return.
 */
export function beginInflating(
  payload: Uint8Array,
  outputBytesMax: number,
  isText: boolean,
  createJob: typeof InflateJob.create = InflateJob.create,
): Uint8Array | Violation | InflateJob {
  const small = inflateMessage(payload, Math.min(outputBytesMax, scratch.length - 1));
  if (small !== violation.messageTooBig || outputBytesMax < scratch.length) return small;
  const job = createJob(Buffer.concat([payload, tail]), payload.length, outputBytesMax, isText);
  return job ?? inflateMessage(payload, outputBytesMax);
}

/**
 * Inflates `message` into `output`, from its start again when it is full.
 * @returns how many bytes came out: all of them are in `output` if they are fewer than it has.
 */
function inflateInto(
  engine: InflateEngine,
  message: Uint8Array,
  output: Uint8Array,
  bytesMax: number,
): number | Violation {
  let bytes = 0;
  let offset = 0;
  for (let finalBlocks = 0; finalBlocks <= finalBlocksMax; finalBlocks += 1) {
    engine.begin(message, offset);
    for (;;) {
      const start = bytes % output.length;
      const end = Math.min(output.length, start + bytesMax + 1 - bytes);
      const stop = engine.fill(output, start, end);
      if (stop === -1) return violation.deflateCorrupt;
      bytes += stop - start;
      if (bytes > bytesMax) return violation.messageTooBig;
      if (stop < end) break;
    }
    // §7.2.1: blocks with "BFINAL" set to 0 and to 1 may both be used, and after a final block the next one "follows the
    // padded data if any".
    offset = engine.inputOffset;
    if (offset === message.length) return bytes;
  }
  return violation.tooManyFinalBlocks;
}
