/**
 * Commands of one connection that wait behind one that is not finished, and how many bytes of them may wait: for this
 * connection, and for all connections of the worker together. They wait as the bytes that came: read, a command of many
 * small members takes seven times as much.
 */
import { limitCounters } from "../base/limit-counters.ts";

/** What waits on all connections of a worker. */
export class WaitingTotal {
  readonly bytesMax: number;
  bytes = 0;

  /** @param bytesMax Infinity for no limit. */
  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }
}

/** Commands that may wait behind one that is not finished. */
const waitingCommandsMax = 1024;

export class CommandQueue {
  readonly #bytesMax: number;
  readonly #total: WaitingTotal;
  readonly #waiting: Uint8Array[] = [];
  #bytes = 0;

  /** @param bytesMax of this connection; Infinity for no limit. */
  constructor(bytesMax: number, total: WaitingTotal) {
    this.#bytesMax = bytesMax;
    this.#total = total;
  }

  /** Puts a copy of a message at the end. @returns null, or why there is no room for it. */
  push(message: Uint8Array): string | null {
    const bytes = message.length;
    if (this.#waiting.length >= waitingCommandsMax) return "too many commands wait for earlier ones";
    if (this.#bytes + bytes > this.#bytesMax) {
      limitCounters.hit("waitingCommandBytesMax");
      return `commands that wait for earlier ones have at most ${this.#bytesMax} bytes`;
    }
    if (this.#total.bytes + bytes > this.#total.bytesMax) {
      limitCounters.hit("waitingCommandBytesTotalMax");
      return "the server has no room for commands that must wait";
    }
    this.#waiting.push(new Uint8Array(message));
    this.#bytes += bytes;
    this.#total.bytes += bytes;
    return null;
  }

  /** Takes the first; undefined when none waits. */
  shift(): Uint8Array | undefined {
    const message = this.#waiting.shift();
    if (message !== undefined) this.#free(message.length);
    return message;
  }

  /** Forgets all. */
  clear(): void {
    this.#waiting.length = 0;
    this.#free(this.#bytes);
  }

  #free(bytes: number): void {
    this.#bytes -= bytes;
    this.#total.bytes -= bytes;
  }
}
