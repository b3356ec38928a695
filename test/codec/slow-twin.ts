/**
 * The obvious receiver of RFC 6455 §5–§8 and RFC 7692: has the whole input in one buffer, copies everything, keeps no
 * state.
 * Oracle of the property tests. Written from the RFC, and shares no code with src/codec but the names of verdicts.
 */
import { isUtf8 } from "node:buffer";
import type { MessageReaderOptions } from "../../src/codec/message-reader.ts";
import { violation, type Violation } from "../../src/codec/violation.ts";
import { inflateTwin } from "./inflate-twin.ts";
import { couldBecomeUtf8 } from "./utf8-twin.ts";

/** As in src/codec/inflate.ts; the page on conformance promises it. */
const finalBlocksMax = 4;

interface TwinFrame {
  readonly opcode: number;
  readonly isCompressed: boolean;
  readonly isFinal: boolean;
  /** What has arrived of the payload. */
  readonly payload: Buffer;
  readonly isWhole: boolean;
  readonly end: number;
}

interface TwinMessage {
  readonly isText: boolean;
  readonly isCompressed: boolean;
  payload: Buffer;
  frames: number;
}

/**
 * The events that `wire` must cause, one line each, as `recordingSink` (reader-harness.ts) writes them. Where a
 * compressed message is both too big and corrupt behind that, the line has both verdicts, joined by ` or `.
 */
export function slowTwin(wire: Uint8Array, options: MessageReaderOptions): string[] {
  const events: string[] = [];
  const bytes = Buffer.from(wire);
  let message: TwinMessage | null = null;

  for (let at = 0; at < bytes.length;) {
    const checkHeader = (opcode: number, length: bigint, isCompressed: boolean): Violation | null => {
      if (opcode >= 8) return opcode === 8 && length === 1n ? violation.closeCodeCut : null;
      if (opcode === 0 && message === null) return violation.continuationOutside;
      if (opcode !== 0 && message !== null) return violation.messageInside;
      if (opcode === 2 && options.allowBinary === false) return violation.binaryRefused;
      const sum = Number(BigInt(message?.payload.length ?? 0) + length);
      const earlier = message?.frames ?? 0;
      const areSmall = options.fragmentBytesMin === undefined || earlier * options.fragmentBytesMin > sum;
      if (earlier + 1 > options.fragmentsPerMessageMax && areSmall) return violation.tooManyFragments;
      return sum > wireBytesMax(options, message?.isCompressed ?? isCompressed)
        ? violation.messageTooBig
        : null;
    };
    const frame = readFrame(bytes.subarray(at), options, checkHeader);
    if (frame === null) return events;
    if ("reason" in frame) return [...events, violated(frame)];
    at += frame.end;

    if (frame.opcode >= 8) {
      if (!frame.isWhole) return events;
      if (frame.opcode === 9) events.push(`ping ${frame.payload.toString("hex")}`);
      if (frame.opcode === 10) events.push(`pong ${frame.payload.toString("hex")}`);
      if (frame.opcode === 8) return [...events, closed(frame.payload)];
      continue;
    }
    message ??= {
      isText: frame.opcode === 1,
      isCompressed: frame.isCompressed,
      payload: Buffer.alloc(0),
      frames: 0,
    };
    message.frames += 1;
    message.payload = Buffer.concat([message.payload, frame.payload]);
    const isEnd = frame.isWhole && frame.isFinal;
    const isGood = isEnd ? isUtf8(message.payload) : couldBecomeUtf8(message.payload);
    if (message.isText && !message.isCompressed && !isGood) {
      return [...events, violated(violation.textNotUtf8)];
    }
    if (!frame.isWhole) return events;
    if (!isEnd) continue;
    const outcome = message.isCompressed ? inflated(message, options) : shown(message, message.payload);
    events.push(outcome);
    if (outcome.startsWith("violation")) return events;
    message = null;
  }
  return events;
}

/** What is stored instead of compressed grows: 5 bytes for each block, blocks of at least 128 bytes, and a little. */
function wireBytesMax({ messageBytesMax }: MessageReaderOptions, isCompressed: boolean): number {
  return isCompressed ? messageBytesMax * (1 + 1 / 16) + 64 : messageBytesMax;
}

function shown({ isText }: TwinMessage, payload: Buffer): string {
  return `${isText ? "text" : "binary"} ${payload.toString("hex")}`;
}

function inflated(message: TwinMessage, { messageBytesMax }: MessageReaderOptions): string {
  const result = inflateTwin(message.payload, messageBytesMax, finalBlocksMax);
  const tooBig = violated(violation.messageTooBig);
  const corrupt = violated(violation.deflateCorrupt);
  if (result.isTooBig) return result.isCorrupt ? `${tooBig} or ${corrupt}` : tooBig;
  if (result.isCorrupt) return corrupt;
  if (result.hasTooManyFinalBlocks) return violated(violation.tooManyFinalBlocks);
  if (message.isText && !isUtf8(result.output)) return violated(violation.textNotUtf8);
  return shown(message, result.output);
}

/** Null: the header is not there yet, and what is there of it is lawful. */
function readFrame(
  bytes: Buffer,
  options: MessageReaderOptions,
  checkHeader: (opcode: number, length: bigint, isCompressed: boolean) => Violation | null,
): TwinFrame | Violation | null {
  const isMasked = options.role === "server";
  const flags = bytes[0]!;
  const opcode = flags & 15;
  const isFinal = flags >= 128;
  const isCompressed = (flags & 0x40) !== 0;
  if ((flags & 0b0011_0000) !== 0) return violation.reservedBits;
  if (isCompressed && !(options.allowCompressed === true && (opcode === 1 || opcode === 2))) {
    return violation.reservedBits;
  }
  if (![0, 1, 2, 8, 9, 10].includes(opcode)) return violation.reservedOpcode;
  if (opcode >= 8 && !isFinal) return violation.fragmentedControl;

  if (bytes.length < 2) return null;
  const second = bytes[1]!;
  if (second >= 128 !== isMasked) return isMasked ? violation.unmaskedFrame : violation.maskedFrame;
  let length = BigInt(second & 127);
  let offset = 2;
  if (opcode >= 8 && length > 125n) return violation.longControl;
  if (length === 126n) {
    if (bytes.length < 4) return null;
    length = BigInt(bytes.readUInt16BE(2));
    offset = 4;
    if (length < 126n) return violation.longLengthForm;
  } else if (length === 127n) {
    if (bytes.length > 2 && bytes[2]! >= 128) return violation.lengthSignBit;
    if (bytes.length < 10) return null;
    length = bytes.readBigUInt64BE(2);
    offset = 10;
    if (length < 65_536n) return violation.longLengthForm;
  }
  const refusal = checkHeader(opcode, length, isCompressed);
  if (refusal !== null) return refusal;

  const payloadStart = offset + (isMasked ? 4 : 0);
  if (bytes.length < payloadStart) return null;
  const key = bytes.subarray(offset, payloadStart);
  const payload = Buffer.from(bytes.subarray(payloadStart, payloadStart + Number(length)));
  if (isMasked) for (let i = 0; i < payload.length; i += 1) payload[i]! ^= key[i % 4]!;
  return {
    opcode,
    isCompressed,
    isFinal,
    payload,
    isWhole: BigInt(payload.length) === length,
    end: payloadStart + payload.length,
  };
}

function closed(payload: Buffer): string {
  if (payload.length === 0) return "close 1005 ";
  const code = payload.readUInt16BE(0);
  const isLawful =
    [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014].includes(code) ||
    (code >= 3000 && code < 5000);
  if (!isLawful) return violated(violation.closeCodeUnsendable);
  const reason = payload.subarray(2);
  return isUtf8(reason) ? `close ${code} ${reason.toString("hex")}` : violated(violation.closeReasonNotUtf8);
}

function violated(what: Violation): string {
  return `violation ${what.closeCode} ${what.reason}`;
}
