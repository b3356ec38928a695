/**
 * Commands of one connection that wait behind one that is not finished, and how many bytes of them may wait: for this
 * connection, and for all connections of the worker together.
 */
import { limitCounters } from "../base/limit-counters.ts";
import type { Command } from "../protocol/parse-command.ts";

/** A command that waits for the ones before it. */
export interface WaitingCommand {
  readonly idJson: string;
  readonly command: Command;
  /** Of the message that it came in. */
  readonly bytes: number;
}

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
  readonly #waiting: WaitingCommand[] = [];
  #bytes = 0;

  /** @param bytesMax of this connection; Infinity for no limit. */
  constructor(bytesMax: number, total: WaitingTotal) {
    this.#bytesMax = bytesMax;
    this.#total = total;
  }

  /** Puts one at the end. @returns null, or why there is no room for it. */
  push(waiting: WaitingCommand): string | null {
    const { bytes } = waiting;
    if (this.#waiting.length >= waitingCommandsMax) return "too many commands wait for earlier ones";
    if (this.#bytes + bytes > this.#bytesMax) {
      limitCounters.hit("waitingCommandBytesMax");
      return `commands that wait for earlier ones have at most ${this.#bytesMax} bytes`;
    }
    if (this.#total.bytes + bytes > this.#total.bytesMax) {
      limitCounters.hit("waitingCommandBytesTotalMax");
      return "the server has no room for commands that must wait";
    }
    this.#waiting.push(waiting);
    this.#bytes += bytes;
    this.#total.bytes += bytes;
    return null;
  }

  /** Takes the first; undefined when none waits. */
  shift(): WaitingCommand | undefined {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) this.#free(waiting.bytes);
    return waiting;
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
