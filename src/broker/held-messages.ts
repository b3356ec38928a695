/**
 * Live messages of one topic that wait for a read of its log, within bounds. With history nothing is lost when there is
 * no room: the log has it. Without, the newest are the ones that go, told by nobody: a live-only topic is held only
 * until its subscription is confirmed.
 */
import type { Arrival } from "./arrival.ts";
import type { LogEntry } from "./log-read.ts";

/** How much a feed holds while it waits for a read. What is beyond is read from the log later. */
export interface FeedLimits {
  readonly heldCountMax: number;
  readonly heldBytesMax: number;
}

/** 4 s of a topic with 1,000 messages a second; 1 MiB for one with large ones. */
export const defaultFeedLimits: FeedLimits = { heldCountMax: 4096, heldBytesMax: 1_048_576 };

export interface HeldMessage extends LogEntry {
  /** null: without position (raw PUBLISH, live-only). */
  readonly epoch: string | null;
}

export class HeldMessages {
  /** A message had to be let go since this was last set to false. */
  hasOverflowed = false;
  readonly #limits: FeedLimits;
  #messages: HeldMessage[] = [];
  #bytes = 0;

  constructor(limits: FeedLimits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#messages.length;
  }

  add(message: HeldMessage): void {
    const bytes = message.data?.length ?? 0;
    const { heldCountMax, heldBytesMax } = this.#limits;
    if (this.#messages.length >= heldCountMax || this.#bytes + bytes > heldBytesMax) {
      this.hasOverflowed = true;
      return;
    }
    this.#messages.push(message);
    this.#bytes += bytes;
  }

  /** All of them, oldest first; nothing is held afterwards. */
  take(): HeldMessage[] {
    const messages = this.#messages;
    this.#messages = [];
    this.#bytes = 0;
    return messages;
  }
}

/** An arrival is borrowed: what is held of it is a copy. @param isValid false: its seq counts, its content is none. */
export function heldCopy(epoch: string | null, arrival: Arrival, isValid: boolean): HeldMessage {
  const { seq, origin } = arrival;
  return { epoch, seq, data: isValid ? Buffer.from(arrival.data) : null, origin };
}
