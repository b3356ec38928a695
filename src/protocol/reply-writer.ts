/**
 * Builds a server message out of text and of `data` bytes that must stay as they are. Server only.
 */
import { toByteString, writeByteString, type ByteString } from "../base/byte-string.ts";
import type { RequestError } from "../base/errors.ts";

/** A stored publication as replies show it. */
export interface WireEntry {
  readonly seq: number;
  readonly data: Uint8Array | ByteString;
}

/** Replies so large are built in memory that is used again: a subscribe to ten topics of 4 KB comes to 41 KB. */
const scratchBytes = 65_536;
const scratch = Buffer.allocUnsafeSlow(scratchBytes);

export class ReplyWriter {
  readonly #parts: (Uint8Array | ByteString)[] = [];
  #text = "";
  #partsBytes = 0;

  /** Appends JSON text. */
  text(text: string): this {
    this.#text += text;
    return this;
  }

  /** Appends JSON bytes as they are. Kept until `bytes` was called. */
  data(data: Uint8Array | ByteString): this {
    this.#flushText();
    this.#parts.push(data);
    this.#partsBytes += data.length;
    return this;
  }

  /** Appends `"messages":[{"seq":…,"data":…},…]`. */
  messages(entries: readonly WireEntry[]): this {
    this.text('"messages":[');
    for (const [index, entry] of entries.entries()) {
      this.text(`${index === 0 ? "" : ","}{"seq":${entry.seq},"data":`);
      this.data(entry.data).text("}");
    }
    return this.text("]");
  }

  /** Bytes so far. */
  get byteLength(): number {
    this.#flushText();
    return this.#partsBytes;
  }

  /**
   * Everything so far as UTF-8. Above 64 KiB the caller owns it, else it is borrowed until somebody's next `bytes`.
   * Cost: one copy, and no memory for what is borrowed.
   */
  bytes(): Buffer {
    this.#flushText();
    const bytes = this.#partsBytes;
    const target = bytes <= scratchBytes ? scratch.subarray(0, bytes) : Buffer.allocUnsafeSlow(bytes);
    let at = 0;
    for (const part of this.#parts) {
      if (typeof part === "string") at = writeByteString(target, part, at);
      else {
        target.set(part, at);
        at += part.length;
      }
    }
    return target;
  }

  #flushText(): void {
    const text = this.#text;
    if (text === "") return;
    this.#text = "";
    const bytes = Buffer.byteLength(text);
    // With one byte for each character it is ASCII, and so its own bytes.
    this.#parts.push(bytes === text.length ? text : toByteString(Buffer.from(text)));
    this.#partsBytes += bytes;
  }
}

/** `{"code":…,"message":…,"temporary":true}` */
export function errorJson(error: RequestError): string {
  const { code, message } = error;
  return JSON.stringify(error.temporary ? { code, message, temporary: true } : { code, message });
}

/** `{"id":…,"error":{…}}` */
export function errorReply(idJson: string, error: RequestError): string {
  return `{"id":${idJson},"error":${errorJson(error)}}`;
}
