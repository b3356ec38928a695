/**
 * Collects messages into batches for a publisher. One batch is under way at a time; what comes meanwhile is the next
 * one. So a live feed is sent at once, message by message, and a bulk load in full batches, without a timer.
 */
import type { Message, Outcome, Publisher } from "./publisher.ts";

interface Waiting {
  readonly message: Message;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

/** Batches that may wait behind the one under way before `room` holds up the producer. */
const batchesWaitingMax = 2;

export class Batcher {
  readonly #publisher: Publisher;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #isSending = false;
  #failure: { readonly error: unknown } | null = null;
  #wakers: (() => void)[] = [];

  constructor(publisher: Publisher) {
    this.#publisher = publisher;
  }

  /** Publishes after all that was added before. @throws what the publisher throws, then always. */
  add(message: Message): Promise<Outcome> {
    if (this.#failure !== null) return Promise.reject(this.#failure.error);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ message, resolve, reject });
      this.#waitingBytes += message.data.length;
      if (!this.#isSending) void this.#send();
    });
  }

  /** Resolves when there is room for more: back pressure for the producer. */
  async room(): Promise<void> {
    while (this.#isFull && this.#failure === null) await this.#change();
  }

  /** Resolves when nothing waits and nothing is under way. */
  async idle(): Promise<void> {
    while (this.#isSending) await this.#change();
  }

  get #isFull(): boolean {
    const { batchMessagesMax, batchBytesMax } = this.#publisher;
    return (
      this.#waiting.length >= batchMessagesMax * batchesWaitingMax ||
      this.#waitingBytes >= batchBytesMax * batchesWaitingMax
    );
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    // What is added in this turn belongs to the first batch.
    await Promise.resolve();
    while (this.#waiting.length > 0 && this.#failure === null) {
      const batch = this.#take();
      try {
        const outcomes = await this.#publisher.publish(batch.map((each) => each.message));
        for (const [index, outcome] of outcomes.entries()) batch[index]?.resolve(outcome);
      } catch (error) {
        this.#failure = { error };
        for (const each of [...batch, ...this.#waiting]) each.reject(error);
        this.#waiting = [];
      }
      this.#wake();
    }
    this.#isSending = false;
    this.#wake();
  }

  #take(): Waiting[] {
    const { batchMessagesMax, batchBytesMax } = this.#publisher;
    let bytes = 0;
    let count = 0;
    for (const { message } of this.#waiting) {
      if (count === batchMessagesMax || (count > 0 && bytes + message.data.length > batchBytesMax)) break;
      bytes += message.data.length;
      count += 1;
    }
    this.#waitingBytes -= bytes;
    return this.#waiting.splice(0, count);
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakers.push(resolve);
    });
  }

  #wake(): void {
    const wakers = this.#wakers;
    this.#wakers = [];
    for (const wake of wakers) wake();
  }
}
