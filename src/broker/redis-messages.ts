/**
 * The messages of a subscriber connection, read where they lie: RESP2 (https://redis.io/docs/latest/develop/reference/protocol-spec)
 * `*3 message CHANNEL PAYLOAD` is taken apart here, all of a read in one pass, without an array, two buffers and an event
 * for each; every other reply goes to ioredis as it came. Why: docs/adr/0004.
 */

import { EventEmitter } from "node:events";
import type { Redis } from "ioredis";

/** Whose messages these are. */
export interface MessageReceiver {
  /** Something was read: what follows came now. */
  onRead(): void;
  /**
   * A message came. All is borrowed until return: the channel lies in `bytes` from `channelStart` to `channelEnd`,
   * the payload from `start` to `end`; behind it stands CR.
   */
  onMessage(bytes: Buffer, channelStart: number, channelEnd: number, start: number, end: number): void;
  /** A message was larger than `payloadBytesMax`; it is not kept in memory and cannot be had. */
  onOversized(channel: string): void;
  /** This is not RESP2. Nothing more is read. */
  onUnreadable(): void;
}

const star = 0x2a;
const dollar = 0x24;
const plus = 0x2b;
const minus = 0x2d;
const colon = 0x3a;
const carriageReturn = 0x0d;
const three = 0x33;
const seven = 0x37;
const letterM = 0x6d;
const zero = 0x30;

/** `*3\r\n$7\r\nmessage\r\n`: only `message` has seven letters and begins with m in RESP2. */
const kindBytes = 17;
/** What a reader of lines waits for at most; a length has 20 digits. */
const lineBytesMax = 64;

/** More bytes are needed. */
const incomplete = -1;
/** Not what we know. */
const unknown = -2;

export class RedisMessageReader {
  readonly #receiver: MessageReceiver;
  readonly #payloadBytesMax: number;
  readonly #passOn: (bytes: Buffer) => void;
  /** Pieces of a reply that is not whole, and how many bytes it has at least. */
  #pieces: Buffer[] = [];
  #piecesBytes = 0;
  #neededBytes = 0;
  /** Of a message that is too large: bytes that are still to come. */
  #skipBytes = 0;
  #isLost = false;
  /** Result of `#readLength`. */
  #length = 0;

  /** @param passOn for replies that are no messages, whole, in order. */
  constructor(receiver: MessageReceiver, payloadBytesMax: number, passOn: (bytes: Buffer) => void) {
    this.#receiver = receiver;
    this.#payloadBytesMax = payloadBytesMax;
    this.#passOn = passOn;
  }

  /** Bytes from the socket. Cost: no allocation for a message that lies whole in `chunk`. */
  push(chunk: Buffer): void {
    if (this.#isLost) return;
    this.#receiver.onRead();
    let bytes = chunk;
    if (this.#skipBytes > 0) {
      const skipped = Math.min(this.#skipBytes, bytes.length);
      this.#skipBytes -= skipped;
      bytes = bytes.subarray(skipped);
    }
    if (this.#piecesBytes > 0) {
      this.#pieces.push(bytes);
      this.#piecesBytes += bytes.length;
      if (this.#piecesBytes < this.#neededBytes) return;
      bytes = Buffer.concat(this.#pieces);
      this.#pieces = [];
      this.#piecesBytes = 0;
    }
    let at = 0;
    while (at < bytes.length && this.#skipBytes === 0) {
      const next = this.#readOne(bytes, at);
      if (next === incomplete) {
        this.#keep(bytes, at);
        return;
      }
      if (next === unknown) {
        this.#isLost = true;
        this.#receiver.onUnreadable();
        return;
      }
      at = next;
    }
  }

  /** One reply. Returns where the next begins. */
  #readOne(bytes: Buffer, at: number): number {
    if (bytes.length - at < kindBytes) return this.#readOther(bytes, at);
    const isMessage =
      bytes[at] === star &&
      bytes[at + 1] === three &&
      bytes[at + 4] === dollar &&
      bytes[at + 5] === seven &&
      bytes[at + 6] === carriageReturn &&
      bytes[at + 8] === letterM;
    if (!isMessage) return this.#readOther(bytes, at);
    const channelStart = this.#readBulkLength(bytes, at + kindBytes);
    if (channelStart < 0) return channelStart;
    const channelEnd = channelStart + this.#length;
    if (channelEnd + 2 > bytes.length) return this.#need(channelEnd + 2 - at);
    const start = this.#readBulkLength(bytes, channelEnd + 2);
    if (start < 0) return start;
    const end = start + this.#length;
    if (this.#length > this.#payloadBytesMax) {
      this.#receiver.onOversized(bytes.toString("utf8", channelStart, channelEnd));
      this.#skipBytes = Math.max(0, end + 2 - bytes.length);
      return Math.min(end + 2, bytes.length);
    }
    if (end + 2 > bytes.length) return this.#need(end + 2 - at);
    this.#receiver.onMessage(bytes, channelStart, channelEnd, start, end);
    return end + 2;
  }

  #readOther(bytes: Buffer, at: number): number {
    const end = this.#replyEnd(bytes, at, at);
    if (end > 0) this.#passOn(bytes.subarray(at, end));
    return end;
  }

  /** Where the reply that begins at `at` ends. @param from where the outermost one began. */
  #replyEnd(bytes: Buffer, at: number, from: number): number {
    if (at >= bytes.length) return this.#need(at + 1 - from);
    switch (bytes[at]) {
      case plus:
      case minus:
      case colon: {
        const end = bytes.indexOf("\r\n", at);
        return end === -1 ? this.#need(bytes.length + 1 - from) : end + 2;
      }
      case dollar: {
        const start = this.#readBulkLength(bytes, at);
        if (start < 0) return start;
        // A null bulk string has the length -1, and nothing behind it.
        const end = this.#length < 0 ? start : start + this.#length + 2;
        return end > bytes.length ? this.#need(end - from) : end;
      }
      case star: {
        let end = this.#readLength(bytes, at);
        if (end < 0) return end;
        for (let left = this.#length; left > 0; left -= 1) {
          end = this.#replyEnd(bytes, end, from);
          if (end < 0) return end;
        }
        return end;
      }
      default:
        return unknown;
    }
  }

  /** `$LENGTH\r\n`. */
  #readBulkLength(bytes: Buffer, at: number): number {
    if (at >= bytes.length) return this.#need(1);
    return bytes[at] === dollar ? this.#readLength(bytes, at) : unknown;
  }

  /** A type and a number: the number goes to `#length`. Returns the position behind the line. */
  #readLength(bytes: Buffer, at: number): number {
    let position = at + 1;
    let value = 0;
    const isNegative = bytes[position] === minus;
    if (isNegative) position += 1;
    for (; position < bytes.length; position += 1) {
      const byte = bytes[position] as number;
      if (byte === carriageReturn) {
        this.#length = isNegative ? -value : value;
        return position + 2 > bytes.length ? this.#need(1) : position + 2;
      }
      if (byte < zero || byte > zero + 9 || position - at > lineBytesMax) return unknown;
      value = value * 10 + byte - zero;
    }
    return this.#need(1);
  }

  /** Remembers how many bytes the reply has at least, from its beginning; 1 for "more than there are". */
  #need(bytes: number): typeof incomplete {
    this.#neededBytes = bytes;
    return incomplete;
  }

  #keep(bytes: Buffer, at: number): void {
    const rest = bytes.subarray(at);
    this.#pieces = [rest];
    this.#piecesBytes = rest.length;
  }
}

/**
 * Reads the messages of a connection that is up and has no subscription and no command under way. Where ioredis does not
 * read its socket as it has since version 4, its own events are used: slower, with the same result.
 */
export function receiveMessages(client: Redis, receiver: MessageReceiver, payloadBytesMax: number): void {
  const stream: unknown = Reflect.get(client, "stream");
  const [parse, ...others] = stream instanceof EventEmitter ? stream.listeners("data") : [];
  if (!(stream instanceof EventEmitter) || parse === undefined || others.length > 0) {
    receiveEvents(client, receiver, payloadBytesMax);
    return;
  }
  const reader = new RedisMessageReader(receiver, payloadBytesMax, (bytes) => {
    Reflect.apply(parse, stream, [bytes]);
  });
  stream.off("data", parse as () => void);
  stream.on("data", (chunk: Buffer) => reader.push(chunk));
}

/** By the events of ioredis: the slow twin. */
export function receiveEvents(client: Redis, receiver: MessageReceiver, payloadBytesMax: number): void {
  client.on("messageBuffer", (channel: Buffer, message: Buffer) => {
    receiver.onRead();
    if (message.length > payloadBytesMax) {
      receiver.onOversized(channel.toString());
      return;
    }
    const start = channel.length;
    const bytes = Buffer.concat([channel, message, Buffer.from([carriageReturn])]);
    receiver.onMessage(bytes, 0, start, start, start + message.length);
  });
}
