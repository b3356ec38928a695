import { constants, inflateRawSync } from "node:zlib";

import type { LostReason, ReaderSink } from "../../src/hub/reader.ts";

/** What a reader was sent, decoded. */
export interface Received {
  readonly topic?: string;
  readonly seq?: number;
  readonly data?: unknown;
  readonly event?: string;
  readonly count?: number;
  readonly reason?: string;
}

/** A connection whose kernel takes as much as the test says. */
export class FakeSink implements ReaderSink {
  /** Whole text messages in the order of writing. */
  readonly messages: string[] = [];
  /** Those of them that came compressed. */
  readonly compressed: string[] = [];
  /** Bytes of all frames. */
  bytes = 0;
  writes = 0;
  isOpen = true;
  isFull = false;
  isClosedForGap = false;
  canTellLost = true;
  readonly takesCompressed: boolean;
  /** Decides whether the kernel takes a write. */
  takes: () => boolean = () => true;
  readonly #kept: { readonly bytes: Uint8Array; readonly copy: Buffer }[] = [];

  constructor(takesCompressed = false) {
    this.takesCompressed = takesCompressed;
  }

  get isWritable(): boolean {
    return this.isOpen && !this.isFull;
  }

  write(bytes: Uint8Array): boolean {
    if (!this.isWritable) throw new Error("written to while it was full");
    this.writes += 1;
    this.bytes += bytes.length;
    const compressed = this.takesCompressed ? this.compressed : null;
    for (const message of textMessages(bytes, compressed)) this.messages.push(message);
    if (this.takes()) return true;
    this.isFull = true;
    // The kernel still reads these bytes: nobody may change them until the drain.
    this.#kept.push({ bytes, copy: Buffer.from(bytes) });
    return false;
  }

  /** The kernel has taken all. */
  drain(): void {
    for (const { bytes, copy } of this.#kept.splice(0)) {
      if (!copy.equals(bytes)) throw new Error("bytes were changed while the kernel still had them");
    }
    this.isFull = false;
  }

  lostEvent(topic: string, count: number, reason: LostReason): string | null {
    return this.canTellLost ? JSON.stringify({ event: "lost", topic, count, reason }) : null;
  }

  closeForGap(): void {
    this.isClosedForGap = true;
    this.isOpen = false;
  }

  get received(): Received[] {
    return this.messages.map((message) => JSON.parse(message) as Received);
  }
}

/**
 * Splits unmasked whole text frames; written on purpose without the codec. Compressed ones are an error unless there
 * is a list to note them in.
 */
export function textMessages(bytes: Uint8Array, compressed: string[] | null = null): string[] {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const messages: string[] = [];
  let at = 0;
  while (at < view.length) {
    const isCompressed = view[at] === 0xc1;
    if (view[at] !== 0x81 && !(isCompressed && compressed !== null)) {
      throw new Error(`not a whole text frame: ${view[at]}`);
    }
    let length = view.readUInt8(at + 1);
    at += 2;
    if (length === 126) {
      length = view.readUInt16BE(at);
      at += 2;
    } else if (length === 127) {
      length = Number(view.readBigUInt64BE(at));
      at += 8;
    }
    const payload = view.subarray(at, at + length);
    const text = (isCompressed ? inflate(payload) : payload).toString("utf8");
    messages.push(text);
    if (isCompressed) compressed?.push(text);
    at += length;
  }
  return messages;
}

/** RFC 7692 §7.2.2, with a window of 4 KiB. */
function inflate(payload: Buffer): Buffer {
  const whole = Buffer.concat([payload, Buffer.from([0, 0, 0xff, 0xff])]);
  return inflateRawSync(whole, { windowBits: 12, finishFlush: constants.Z_SYNC_FLUSH });
}
