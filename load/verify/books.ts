/**
 * The books of a run: what publishers were told is stored, and what arrived at each client. Two independent accounts
 * are kept. By number: each publisher counts its messages up from 1, so a message that never came, came twice or came
 * late is found whatever the server says of itself. By position: the server's own `epoch` and `seq` must go on without
 * a hole, and `recovered: true` must be the truth.
 *
 * A loss that the client was told of (`recovered: false`) is counted apart from a silent one. So is what the store itself
 * has lost: a master that dies takes with it what it answered and had not replicated (docs/REDIS.md). That is decided by
 * what the store has at the end, and only for what was accepted when a master went: _doubtful_.
 */
import { type Counts, type Findings, noCounts } from "./findings.ts";
import { ReaderBook } from "./reader-book.ts";
import type { LossKind } from "./store.ts";
import { type Position, TopicBook, type VerifiedTopic } from "./topic-book.ts";

const examplesMax = 20;

/** See the file head. */
export class Books {
  readonly topics: readonly VerifiedTopic[];
  readonly #topicBooks: readonly TopicBook[];
  readonly #readers: ReaderBook[] = [];
  readonly #examples: string[] = [];
  readonly #counts: Counts = noCounts();
  readonly #clientCount: number;

  /**
   * @param clientCount each subscribes to all topics before the first message is published.
   * @param epochsGoOn the store fails over: `recovered: true` may be said across epochs.
   */
  constructor(topics: readonly VerifiedTopic[], clientCount: number, epochsGoOn = false) {
    this.topics = topics;
    this.#clientCount = clientCount;
    this.#topicBooks = topics.map((topic) => new TopicBook(topic, epochsGoOn));
    for (let client = 0; client < clientCount; client++) {
      for (const book of this.#topicBooks)
        this.#readers.push(new ReaderBook(client, book, this.#counts, this.#note));
    }
  }

  get delivered(): number {
    return this.#counts.delivered;
  }

  get accepted(): number {
    return this.#topicBooks.reduce((sum, { acceptedCount }) => sum + acceptedCount, 0);
  }

  reader(client: number, topicIndex: number): ReaderBook {
    const book = this.#readers[client * this.#topicBooks.length + topicIndex];
    if (book === undefined) throw new RangeError(`no client ${client} or topic ${topicIndex}`);
    return book;
  }

  /**
   * A publish was answered 200. Once per number, or again when the same key was sent again on purpose.
   * @param startMs of its first attempt.
   */
  accept(topicIndex: number, number: number, position: Position | null, startMs = performance.now()): void {
    const book = this.#topicBooks[topicIndex];
    if (book === undefined) throw new RangeError(`no topic ${topicIndex}`);
    if (!book.accepted.has(number)) {
      book.acceptedCount++;
      book.publishing.set(number, { startMs, endMs: performance.now() });
    }
    book.accepted.add(number);
    book.highest = Math.max(book.highest, number);
    const moved = position === null ? null : book.movedTo(number, position.seq);
    if (moved === null) return;
    this.#counts.moved++;
    this.#note(moved);
  }

  /**
   * A message is being published, one at a time for each topic, its repetitions included.
   * @param metLoss whether the store has lost data since: then it may be there twice, in two epochs.
   */
  beginPublish(topicIndex: number, number: number, metLoss: () => boolean): void {
    this.#topicBooks[topicIndex]?.beginPublish(number, metLoss);
  }

  /** The publisher is done with the message that it began. */
  finishPublish(topicIndex: number): void {
    this.#topicBooks[topicIndex]?.finishPublish();
  }

  /** A client got what no server of ours says. */
  unreadable(client: number): void {
    this.#counts.unreadable++;
    this.#note(`unreadable: client ${client}`);
  }

  /**
   * Holds what was accepted against what the store has at the end. Once per topic.
   * @param lossWithin why what was taken within that time may be gone.
   */
  audit(
    topicIndex: number,
    stored: ReadonlySet<number>,
    lossWithin: (startMs: number, endMs: number) => LossKind | null,
  ): void {
    const book = this.#topicBooks[topicIndex];
    if (book === undefined) throw new RangeError(`no topic ${topicIndex}`);
    const gone = new Set<number>();
    for (const [number, { startMs, endMs }] of book.publishing) {
      if (stored.has(number)) continue;
      const loss = lossWithin(startMs, endMs);
      if (loss === "failed over") gone.add(number);
      if (loss !== null) continue;
      this.#counts.unstored++;
      this.#note(`not stored: ${book.topic.name}, message ${number}`);
    }
    this.#counts.gone += gone.size;
    book.gone = gone;
  }

  /** Whether every client has everything, as far as it can still come. Cost: all books. */
  isComplete(): boolean {
    const { lost, stale } = this.close();
    return lost + stale === 0;
  }

  /** Compares both sides. May be called again later. */
  close(): Findings {
    let lost = 0;
    let told = 0;
    let doubtful = 0;
    let stale = 0;
    let sampledOut = 0;
    const examples = [...this.#examples];
    for (const reader of this.#readers) {
      const { topic } = reader.book;
      if (topic.delivery === "latest") {
        if (reader.lastNumber < reader.book.highest) {
          stale++;
          const end = `ends on ${reader.lastNumber}, not ${reader.book.highest}`;
          if (examples.length < examplesMax)
            examples.push(`stale: client ${reader.client}, ${topic.name} ${end}`);
        }
        continue;
      }
      const missing = reader.missing();
      if (topic.delivery === "sample") {
        sampledOut += missing.silent.length;
        continue;
      }
      lost += missing.silent.length;
      told += missing.toldCount;
      doubtful += missing.goneCount;
      for (const number of missing.silent) {
        if (examples.length >= examplesMax) break;
        examples.push(`lost: client ${reader.client}, ${topic.name}, message ${number}`);
      }
    }
    const everyAccepted = this.#topicBooks
      .filter(({ topic }) => topic.delivery === "every")
      .reduce((sum, { acceptedCount }) => sum + acceptedCount, 0);
    return {
      ...this.#counts,
      sampledOut,
      accepted: this.accepted,
      expected: everyAccepted * this.#clientCount,
      lost,
      told,
      doubtful,
      stale,
      examples,
    };
  }

  readonly #note = (example: string): void => {
    if (this.#examples.length < examplesMax) this.#examples.push(example);
  };
}
