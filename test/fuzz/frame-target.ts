/** Frame decoder, assembler, UTF-8 and inflating together (MessageReader) beside the slow twin of RFC 6455 §5–§8. */
import { deflateRawSync } from "node:zlib";
import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import { MessageReader, type MessageReaderOptions } from "../../src/codec/message-reader.ts";
import { recordingSink } from "../codec/reader-harness.ts";
import { slowTwin } from "../codec/slow-twin.ts";
import type { FuzzInput, FuzzTarget } from "./fuzz-target.ts";
import { mutate, piecesOf, randomCuts } from "./mutate.ts";
import type { Random } from "./random.ts";

const messageLimits = [100_000, 100_000, 600, 125, 0];
const fragmentLimits = [128, 128, 2, 1];
const fragmentBytesMins = [Number.POSITIVE_INFINITY, 0, 3];
const roles = ["server", "server", "server", "client"] as const;
const variantCount =
  messageLimits.length * fragmentLimits.length * fragmentBytesMins.length * roles.length * 4;

const words = [
  "quote",
  "é",
  "弹幕",
  "🎏",
  "\u0000",
  "x".repeat(90),
  '{"price":1.10}',
  "\u{10ffff}",
  "\ufffe",
];
const sizes = [0, 1, 2, 3, 4, 7, 8, 31, 32, 33, 63, 95, 96, 97, 124, 125, 126, 127, 128, 129, 200, 300];

export const frameTarget: FuzzTarget = {
  name: "frames",
  make(random) {
    const variant = random.int(variantCount);
    const options = frameOptions(variant);
    const parts: Buffer[] = [];
    for (let count = 1 + random.int(4); count > 0; count -= 1) parts.push(...validPart(random, options));
    const valid = Buffer.concat(parts);
    const bytes = random.chance(80) ? mutate(random, valid) : valid;
    return { bytes, cuts: randomCuts(random, bytes.length), variant };
  },
  check({ bytes, cuts, variant }: FuzzInput) {
    const options = frameOptions(variant);
    const expected = slowTwin(bytes, options);
    compare(readPieces(piecesOf(bytes, cuts), options), expected);
  },
};

/** The options that a variant stands for. */
export function frameOptions(variant: number): MessageReaderOptions {
  let rest = variant;
  const take = <Value>(values: readonly Value[]): Value => {
    const value = values[rest % values.length] as Value;
    rest = Math.floor(rest / values.length);
    return value;
  };
  return {
    messageBytesMax: take(messageLimits),
    fragmentsPerMessageMax: take(fragmentLimits),
    fragmentBytesMin: take(fragmentBytesMins),
    role: take(roles),
    allowBinary: take([true, false]),
    allowCompressed: take([true, false]),
  };
}

/** Each piece is overwritten behind the reader, as a socket that reuses its buffer does. */
function readPieces(pieces: readonly Buffer[], options: MessageReaderOptions): string[] {
  const events: string[] = [];
  const reader = new MessageReader(options, recordingSink(events));
  let receivedBytes = 0;
  for (const piece of pieces) {
    reader.push(piece);
    receivedBytes += piece.length;
    piece.fill(0xee);
    if (reader.bufferedBytes > 2 * receivedBytes) {
      throw new Error(`holds ${reader.bufferedBytes} bytes of ${receivedBytes} received`);
    }
  }
  return events;
}

/** A line of the twin may allow two verdicts. */
function compare(events: readonly string[], expected: readonly string[]): void {
  const same =
    events.length === expected.length &&
    events.every((event, index) => expected[index]?.split(" or ").includes(event) === true);
  if (!same) throw new Error(`events ${events.join(" | ")}; its twin: ${expected.join(" | ")}`);
}

function validPart(random: Random, options: MessageReaderOptions): Buffer[] {
  const what = random.int(10);
  if (random.chance(1)) return [longForm(random)];
  if (what < 7) return message(random, options);
  if (what < 9) return [frame(random, options, 9 + random.int(2), payload(random).subarray(0, 125), true)];
  const code = random.pick([
    1000,
    1001,
    1003,
    1005,
    1006,
    1007,
    1014,
    1015,
    2999,
    3000,
    4999,
    5000,
    random.int(65_536),
  ]);
  const reason = payload(random).subarray(0, 123);
  const body = random.chance(15)
    ? Buffer.alloc(random.int(2))
    : Buffer.from([code >> 8, code & 255, ...reason]);
  return [frame(random, options, 8, body, true)];
}

/** A message in up to five fragments cut anywhere, also inside a code point, with pings between. */
function message(random: Random, options: MessageReaderOptions): Buffer[] {
  const isCompressed = options.allowCompressed === true && random.chance(50);
  const plain = payload(random);
  const whole = isCompressed ? deflated(random, plain) : plain;
  const frames: Buffer[] = [];
  const pieces = piecesOf(whole, random.chance(50) ? [] : randomCuts(random, whole.length).slice(0, 5));
  for (const [index, piece] of pieces.entries()) {
    const opcode = index === 0 ? 1 + random.int(2) : 0;
    const bytes = frame(random, options, opcode, piece, index === pieces.length - 1);
    if (isCompressed && index === 0) bytes[0] = (bytes[0] ?? 0) | 0x40;
    frames.push(bytes);
    if (random.chance(15)) frames.push(frame(random, options, 9, Buffer.from("beat"), true));
  }
  return frames;
}

function frame(
  random: Random,
  { role }: MessageReaderOptions,
  opcode: number,
  payload: Buffer,
  isFinal: boolean,
): Buffer {
  if (role === "server")
    return encodeMaskedFrame(opcode, payload, random.chance(20) ? 0 : random.int(2 ** 32), isFinal);
  const bytes = encodeMaskedFrame(opcode, payload, 0, isFinal);
  // Without its key and its mask bit it is a server's frame.
  const headerBytes = bytes.length - payload.length - 4;
  bytes[1] = (bytes[1] ?? 0) & 0x7f;
  return Buffer.concat([bytes.subarray(0, headerBytes), payload]);
}

/** A masked frame that says its length, small or just large enough, in a long form. */
function longForm(random: Random): Buffer {
  const isTwoBytes = random.chance(50);
  const length = random.pick(isTwoBytes ? [0, 125, 126, 127] : [0, 126, 65_535, 65_536]);
  const header = Buffer.alloc(isTwoBytes ? 8 : 14);
  header[0] = 0x82;
  header[1] = isTwoBytes ? 0xfe : 0xff;
  if (isTwoBytes) header.writeUInt16BE(length, 2);
  else header.writeUInt32BE(length, 6);
  return Buffer.concat([header, Buffer.alloc(length, 0x61)]);
}

function payload(random: Random): Buffer {
  if (random.chance(20)) return random.bytes(random.pick(sizes));
  let text = "";
  for (let count = random.int(6); count > 0; count -= 1) text += random.pick(words);
  return Buffer.from(random.chance(50) ? text : text.repeat(1 + random.int(3)));
}

/** Taken back by RFC 7692 §7.2.1 from what a sync flush ends with. */
const flushTail = 0xffff;

/** What endpoints make of a message: with and without the tail taken off, with final blocks, stored, in many blocks. */
export function deflated(random: Random, plain: Buffer): Buffer {
  const level = random.pick([0, 1, 6, 9]);
  const allFinal = random.chance(8);
  const blocks: Buffer[] = [];
  const cuts = random.chance(60) && !allFinal ? [] : randomCuts(random, plain.length).slice(0, 5);
  for (const piece of piecesOf(plain, cuts)) {
    // Z_SYNC_FLUSH, or Z_FINISH: a stream of its own that ends with a final block.
    const isFinal = allFinal || random.chance(15);
    const strategy = random.pick([0, 2, 3, 4]);
    blocks.push(deflateRawSync(piece, { level, finishFlush: isFinal ? 4 : 2, strategy }));
  }
  // §7.2.3.4: the header of a stored block behind a final one.
  if (blocks.length > 0 && random.chance(30)) blocks.push(Buffer.of(0));
  const all = Buffer.concat(blocks);
  const hasTail = all.length >= 4 && all.readUInt32BE(all.length - 4) === flushTail;
  return hasTail ? all.subarray(0, all.length - 4) : all;
}
