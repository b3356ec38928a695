/**
 * What a server sends, read strictly: every MUST of RFC 6455 §5 and RFC 7692 §6 that binds a server's frames is a
 * complaint here, whichever case is being run. Shares nothing with src/codec.
 */
import { isUtf8 } from "node:buffer";
import { op } from "./wire.ts";

/** A message or control frame that came, or the end of the connection. */
export type Seen =
  | { readonly kind: "text" | "binary" | "ping" | "pong"; readonly payload: Buffer }
  /** `code` null: an empty close frame. */
  | { readonly kind: "close"; readonly code: number | null; readonly reason: string }
  | { readonly kind: "end" };

/** Gives the payload of a message with RSV1; throws when it cannot. Null: nothing was agreed on. */
export type Inflate = ((payload: Buffer) => Buffer) | null;

const codesOnTheWire = new Set([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]);

/** One per connection. */
export class ServerFrames {
  readonly #onSeen: (seen: Seen) => void;
  readonly #inflate: Inflate;
  #chunks: Buffer[] = [];
  #byteCount = 0;
  /** Bytes without which nothing more can be read. */
  #neededBytes = 2;
  #message: { readonly opcode: number; readonly isCompressed: boolean; readonly parts: Buffer[] } | null =
    null;
  #isClosed = false;
  /** The first thing that the server did wrong. */
  complaint: string | null = null;

  constructor(onSeen: (seen: Seen) => void, inflate: Inflate) {
    this.#onSeen = onSeen;
    this.#inflate = inflate;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#byteCount += chunk.length;
    while (this.complaint === null && this.#byteCount >= this.#neededBytes && this.#takeFrame());
  }

  /** False: more bytes are needed. */
  #takeFrame(): boolean {
    const bytes = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    this.#chunks = [bytes];
    const short = bytes[1]! & 127;
    const headerBytes = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (bytes.length < headerBytes) return this.#need(headerBytes);
    const length =
      short === 126
        ? BigInt(bytes.readUInt16BE(2))
        : short === 127
          ? bytes.readBigUInt64BE(2)
          : BigInt(short);
    this.#checkHeader(bytes, length);
    if (this.complaint !== null) return false;
    const end = headerBytes + Number(length);
    if (bytes.length < end) return this.#need(end);
    this.#chunks = [bytes.subarray(end)];
    this.#byteCount = bytes.length - end;
    this.#neededBytes = 2;
    this.#takePayload(bytes[0]!, Buffer.from(bytes.subarray(headerBytes, end)));
    return true;
  }

  #need(bytes: number): boolean {
    this.#neededBytes = bytes;
    return false;
  }

  #checkHeader(bytes: Buffer, length: bigint): void {
    const flags = bytes[0]!;
    const opcode = flags & 15;
    const isControl = opcode >= 8;
    const isCompressed = (flags & 0x40) !== 0;
    const isFirst = opcode === op.text || opcode === op.binary;
    if (this.#isClosed) this.#complain("§5.5.1: a frame after its close frame");
    if ((bytes[1]! & 0x80) !== 0) this.#complain("§5.1: a masked frame from a server");
    if ((flags & 0x30) !== 0) this.#complain("§5.2: RSV2 or RSV3 without an extension");
    if (isCompressed && (this.#inflate === null || !isFirst))
      this.#complain("RFC 7692 §6: RSV1 where it may not be");
    if ((opcode & 7) > 2) this.#complain(`§5.2: the reserved opcode ${opcode}`);
    const form = bytes[1]! & 127;
    const isLong = (form === 126 && length < 126n) || (form === 127 && length < 65_536n);
    if (isLong) this.#complain("§5.2: more bytes of length than needed");
    if (length >= 1n << 63n) this.#complain("§5.2: the most significant bit of a length");
    if (isControl && (length > 125n || flags < 0x80))
      this.#complain("§5.5: a control frame that is long or fragmented");
    if (opcode === op.continuation && this.#message === null) this.#complain("§5.4: a stray continuation");
    if (isFirst && this.#message !== null) this.#complain("§5.4: a message inside of a message");
  }

  #takePayload(flags: number, payload: Buffer): void {
    const opcode = flags & 15;
    if (opcode === op.close) return this.#takeClose(payload);
    if (opcode === op.ping || opcode === op.pong)
      return this.#onSeen({ kind: opcode === op.ping ? "ping" : "pong", payload });
    this.#message ??= { opcode, isCompressed: (flags & 0x40) !== 0, parts: [] };
    this.#message.parts.push(payload);
    if ((flags & 0x80) !== 0) this.#endMessage();
  }

  #endMessage(): void {
    const message = this.#message!;
    this.#message = null;
    let payload = message.parts.length === 1 ? message.parts[0]! : Buffer.concat(message.parts);
    if (message.isCompressed) {
      try {
        payload = this.#inflate!(payload);
      } catch (error) {
        this.#complain(`RFC 7692 §6.1: a message that cannot be inflated as agreed: ${String(error)}`);
        return;
      }
    }
    if (message.opcode === op.text && !isUtf8(payload)) this.#complain("§5.6: text that is not UTF-8");
    this.#onSeen({ kind: message.opcode === op.text ? "text" : "binary", payload });
  }

  #takeClose(payload: Buffer): void {
    this.#isClosed = true;
    const code = payload.length >= 2 ? payload.readUInt16BE(0) : null;
    if (payload.length === 1) this.#complain("§5.5.1: a close body of one byte");
    if (code !== null && !codesOnTheWire.has(code) && (code < 3000 || code > 4999))
      this.#complain(`§7.4: the close code ${code}`);
    const reason = payload.subarray(2);
    if (!isUtf8(reason)) this.#complain("§5.5.1: a close reason that is not UTF-8");
    this.#onSeen({ kind: "close", code, reason: reason.toString("utf8") });
  }

  #complain(what: string): void {
    this.complaint ??= what;
  }
}
