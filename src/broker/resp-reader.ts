/**
 * Reads what Redis sends to a subscriber, RESP2: arrays of bulk strings and integers, errors, status lines. It knows no
 * socket. Written for sharded channels, since ioredis takes the `sunsubscribe` that Redis sends of itself when a slot
 * moves for the answer to the oldest command, and tells nobody (docs/adr/0003).
 */

/** One element of a push or reply. */
export type RespValue = Buffer | number | null;

/** Where whole replies go. */
export interface RespSink {
  /** An array. Buffers are borrowed until return: they point into the chunk. */
  onArray(values: readonly RespValue[]): void;
  /** A command was refused. */
  onError(message: string): void;
  /** What came is not RESP2. Said once; later bytes are discarded. */
  onBroken(problem: string): void;
}

const [star, dollar, colon, minus, plus, cr] = [0x2a, 0x24, 0x3a, 0x2d, 0x2b, 0x0d];

/** Elements of one array: a push has three. */
const elementsMax = 16;
/** Redis's own limit of a bulk string, proto-max-bulk-len. */
const bulkBytesMax = 536_870_912;
/** An error or status line, or a header. */
const lineBytesMax = 65_536;

/** See the file head. */
export class RespReader {
  readonly #sink: RespSink;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  /** Pending bytes below which there cannot be a whole reply. */
  #neededBytes = 0;
  #isBroken = false;
  /** Where the parser stands in the buffer that is being read. */
  #index = 0;

  constructor(sink: RespSink) {
    this.#sink = sink;
  }

  /**
   * @param chunk borrowed until return, unless a reply ends in a later chunk.
   * Cost: per reply one array and a view per element; one copy of what lies across chunks.
   */
  push(chunk: Buffer): void {
    if (this.#isBroken) return;
    let bytes = chunk;
    if (this.#pendingBytes > 0) {
      this.#pending.push(chunk);
      this.#pendingBytes += chunk.length;
      if (this.#pendingBytes < this.#neededBytes) return;
      bytes = Buffer.concat(this.#pending, this.#pendingBytes);
      this.#pending = [];
      this.#pendingBytes = 0;
    }
    let start = 0;
    while (start < bytes.length && !this.#isBroken) {
      this.#index = start;
      if (!this.#readReply(bytes)) {
        if (this.#isBroken) return;
        this.#pending = [bytes.subarray(start)];
        this.#pendingBytes = bytes.length - start;
        this.#neededBytes = this.#index - start;
        return;
      }
      start = this.#index;
    }
  }

  /** @returns false when the reply is not whole; `#index` then says where it ends at the earliest. */
  #readReply(bytes: Buffer): boolean {
    const type = bytes[this.#index];
    if (type !== star && type !== minus && type !== plus) return this.#broken("an unexpected type of reply");
    const line = this.#readLine(bytes);
    if (line === null) return false;
    if (type === minus) this.#sink.onError(line);
    if (type !== star) return true;
    const count = Number(line);
    if (!(count >= 0 && count <= elementsMax)) return this.#broken("an array of an unexpected length");
    const values: RespValue[] = [];
    for (let index = 0; index < count; index++) {
      const value = this.#readElement(bytes);
      if (value === undefined) return false;
      values.push(value);
    }
    this.#sink.onArray(values);
    return true;
  }

  #readElement(bytes: Buffer): RespValue | undefined {
    if (this.#index >= bytes.length) {
      this.#index = bytes.length + 1;
      return undefined;
    }
    const type = bytes[this.#index];
    const line = this.#readLine(bytes);
    if (line === null) return undefined;
    const number = Number(line);
    if (type === colon && Number.isSafeInteger(number)) return number;
    if (type !== dollar || !Number.isSafeInteger(number) || number < -1 || number > bulkBytesMax) {
      this.#broken("an unexpected element of an array");
      return undefined;
    }
    if (number === -1) return null;
    const start = this.#index;
    this.#index = start + number + 2;
    return this.#index > bytes.length ? undefined : bytes.subarray(start, start + number);
  }

  /** The line without its type and its end. */
  #readLine(bytes: Buffer): string | null {
    const end = bytes.indexOf(cr, this.#index);
    if (end === -1 || end + 1 >= bytes.length) {
      if (bytes.length - this.#index > lineBytesMax) this.#broken("a line without an end");
      this.#index = bytes.length + 1;
      return null;
    }
    const line = bytes.toString("latin1", this.#index + 1, end);
    this.#index = end + 2;
    return line;
  }

  #broken(problem: string): false {
    if (!this.#isBroken) {
      this.#isBroken = true;
      this.#sink.onBroken(problem);
    }
    return false;
  }
}
