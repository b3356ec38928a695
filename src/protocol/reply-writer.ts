/**
 * Builds a server message out of text and of `data` bytes that must stay as they are. Server only.
 */
import type { RequestError } from "../base/errors.ts";

/** A stored publication as replies show it. */
export interface WireEntry {
  readonly seq: number;
  readonly data: Uint8Array;
}

export class ReplyWriter {
  readonly #parts: Uint8Array[] = [];
  #text = "";
  #partsBytes = 0;

  /** Appends JSON text. */
  text(text: string): this {
    this.#text += text;
    return this;
  }

  /** Appends JSON bytes as they are. Kept until `bytes` was called. */
  data(data: Uint8Array): this {
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

  /** Everything so far as UTF-8. The caller owns it. */
  bytes(): Buffer {
    this.#flushText();
    return Buffer.concat(this.#parts, this.#partsBytes);
  }

  #flushText(): void {
    if (this.#text === "") return;
    const bytes = Buffer.from(this.#text);
    this.#parts.push(bytes);
    this.#partsBytes += bytes.length;
    this.#text = "";
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
