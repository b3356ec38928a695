/**
 * The books of a delivery test: what the server accepted and what each subscriber got, and what does not match.
 * A message is known by its topic and its number, which its publisher counts up; so a message that arrives after a
 * higher number, or twice, is found at once, and one that is missing is found when the books are closed.
 */

/** One thing that did not match. */
export interface Discrepancy {
  readonly kind: "missing" | "duplicate" | "reordered" | "moved";
  readonly subscriber: number;
  readonly topic: string;
  readonly number: number;
  /** The position that the server answered to the publisher, if it accepted the message. */
  readonly seq: number | null;
}

/** The closed books. */
export interface LedgerReport {
  readonly accepted: number;
  /** Accepted messages times subscribers: what should have arrived. */
  readonly expected: number;
  readonly delivered: number;
  readonly missing: number;
  readonly duplicates: number;
  readonly reordered: number;
  /** Arrived with another `seq` than the publisher was answered. */
  readonly moved: number;
  /** Arrived although no 200 came back: timeouts and answers that were lost. Allowed. */
  readonly unconfirmed: number;
  /** The first discrepancies, for people. */
  readonly examples: readonly Discrepancy[];
}

/** Numbers of one topic begin at 1. */
interface TopicBooks {
  /** By number: the accepted position, or 0. */
  readonly acceptedSeq: number[];
  /** By subscriber, then by number: the position it arrived with, or 0. */
  readonly arrivedSeq: number[][];
  /** By subscriber: the highest number that arrived. */
  readonly lastNumber: number[];
}

const examplesMax = 10;

/** Books for a fixed set of subscribers; topics appear as they are used. */
export class DeliveryLedger {
  readonly #subscriberCount: number;
  readonly #topics = new Map<string, TopicBooks>();
  readonly #examples: Discrepancy[] = [];
  #accepted = 0;
  #delivered = 0;
  #duplicates = 0;
  #reordered = 0;

  constructor(subscriberCount: number) {
    this.#subscriberCount = subscriberCount;
  }

  /** How many messages were accepted so far. */
  get accepted(): number {
    return this.#accepted;
  }

  /** How many arrivals were booked so far, each subscriber's one. */
  get delivered(): number {
    return this.#delivered;
  }

  /** The server answered that it has the message. */
  accept(topic: string, number: number, seq: number): void {
    this.#books(topic).acceptedSeq[number] = seq;
    this.#accepted++;
  }

  /** A subscriber got the message. */
  arrive(subscriber: number, topic: string, number: number, seq: number): void {
    const books = this.#books(topic);
    const arrived = books.arrivedSeq[subscriber] ?? [];
    if (arrived[number] !== undefined) {
      this.#duplicates++;
      this.#note({ kind: "duplicate", subscriber, topic, number, seq });
      return;
    }
    const last = books.lastNumber[subscriber] ?? 0;
    if (number < last) {
      this.#reordered++;
      this.#note({ kind: "reordered", subscriber, topic, number, seq });
    }
    arrived[number] = seq;
    books.lastNumber[subscriber] = Math.max(last, number);
    this.#delivered++;
  }

  /** True when every accepted message has arrived at every subscriber. */
  isComplete(): boolean {
    return this.close().missing === 0;
  }

  /** Compares both sides. May be called again later. */
  close(): LedgerReport {
    let missing = 0;
    let moved = 0;
    let unconfirmed = 0;
    const examples = [...this.#examples];
    for (const [topic, { acceptedSeq, arrivedSeq }] of this.#topics) {
      for (const [subscriber, arrived] of arrivedSeq.entries()) {
        for (let number = 1; number < Math.max(acceptedSeq.length, arrived.length); number++) {
          const seq = acceptedSeq[number] ?? null;
          const arrivedWith = arrived[number];
          if (seq === null) {
            if (arrivedWith !== undefined) unconfirmed++;
          } else if (arrivedWith === undefined) {
            missing++;
            if (examples.length < examplesMax)
              examples.push({ kind: "missing", subscriber, topic, number, seq });
          } else if (arrivedWith !== seq) {
            moved++;
            if (examples.length < examplesMax)
              examples.push({ kind: "moved", subscriber, topic, number, seq });
          }
        }
      }
    }
    return {
      accepted: this.#accepted,
      expected: this.#accepted * this.#subscriberCount,
      delivered: this.#delivered,
      missing,
      duplicates: this.#duplicates,
      reordered: this.#reordered,
      moved,
      unconfirmed,
      examples,
    };
  }

  #books(topic: string): TopicBooks {
    let books = this.#topics.get(topic);
    if (books === undefined) {
      const subscribers = Array.from({ length: this.#subscriberCount });
      books = {
        acceptedSeq: [],
        arrivedSeq: subscribers.map(() => []),
        lastNumber: subscribers.map(() => 0),
      };
      this.#topics.set(topic, books);
    }
    return books;
  }

  #note(discrepancy: Discrepancy): void {
    if (this.#examples.length < examplesMax) this.#examples.push(discrepancy);
  }
}
