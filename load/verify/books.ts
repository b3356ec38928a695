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
import { NumberSet } from "./number-set.ts";
import type { LossKind } from "./store.ts";

export type Delivery = "latest" | "every" | "sample";

export interface VerifiedTopic {
  readonly name: string;
  readonly delivery: Delivery;
}

export interface Position {
  readonly epoch: string;
  readonly seq: number;
}

/** What a subscribe reply says of a topic. */
export interface Snapshot {
  /** null: the server knows no positions (the control). */
  readonly position: Position | null;
  /** The number in the newest value; null when there is none, or when everything missed is in `messages`. */
  readonly number: number | null;
  /** null: it was not asked to resume. */
  readonly recovered: boolean | null;
  readonly messages: readonly { readonly seq: number; readonly number: number }[];
}

/** Counted while the run goes on. */
interface Counts {
  delivered: number;
  duplicated: number;
  reordered: number;
  holes: number;
  wrongRecovered: number;
  fell: number;
  moved: number;
  again: number;
  /** Messages that are none of ours. */
  unreadable: number;
  /** Accepted, not in the store at the end, and no fault of the store's explains it. */
  unstored: number;
  /** Accepted, and lost by the store in a failover. */
  gone: number;
  recoveries: number;
  refusedRecoveries: number;
  sampledOut: number;
}

/** The closed books. */
export interface Findings extends Readonly<Counts> {
  /** Publishes that were answered 200. */
  readonly accepted: number;
  /** Accepted publications of `every` topics times clients: what had to arrive. */
  readonly expected: number;
  /** Of those: never arrived, and nobody said so. */
  readonly lost: number;
  /** Of those: never arrived, within a stretch for which the client was told `recovered: false`. */
  readonly told: number;
  /** Of those: never arrived, nobody said so, and the store has lost them. */
  readonly doubtful: number;
  /** Clients and `latest` topics that did not end on the newest value. */
  readonly stale: number;
  readonly examples: readonly string[];
}

const examplesMax = 20;

/** One topic as its publisher knows it. */
class TopicBook {
  readonly topic: VerifiedTopic;
  readonly accepted = new NumberSet();
  acceptedCount = 0;
  highest = 0;
  /** By number: the `seq` it was accepted or first seen with. */
  readonly seqs = new Map<number, number>();
  /** Numbers that were published anew after the store had lost their idempotency key. */
  readonly repeated = new Set<number>();
  /** By number: from its first attempt to its 200; the store took it somewhere between. */
  readonly publishing = new Map<number, { readonly startMs: number; readonly endMs: number }>();
  /** Numbers that the store has lost in a failover. */
  gone: ReadonlySet<number> = new Set();

  /** A log of this store may go on in a new epoch: after a failover. */
  readonly epochsGoOn: boolean;

  constructor(topic: VerifiedTopic, epochsGoOn: boolean) {
    this.topic = topic;
    this.epochsGoOn = epochsGoOn;
  }

  /** What stands at another position than it was first seen at, for people; null when all is well. */
  movedTo(number: number, seq: number): string | null {
    const known = this.seqs.get(number);
    if (known === undefined) this.seqs.set(number, seq);
    else if (known !== seq && !this.repeated.has(number))
      return `moved: ${this.topic.name}, message ${number} stands at seq ${known} and ${seq}`;
    return null;
  }
}

/** See the file head. */
export class Books {
  readonly topics: readonly VerifiedTopic[];
  readonly #topicBooks: readonly TopicBook[];
  readonly #readers: ReaderBook[] = [];
  readonly #examples: string[] = [];
  readonly #counts: Counts = {
    delivered: 0,
    duplicated: 0,
    reordered: 0,
    holes: 0,
    wrongRecovered: 0,
    fell: 0,
    moved: 0,
    again: 0,
    unreadable: 0,
    unstored: 0,
    gone: 0,
    recoveries: 0,
    refusedRecoveries: 0,
    sampledOut: 0,
  };
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

  /** The store lost its data while the message was under way: it may be there twice, in two epochs. */
  repeatedOverLoss(topicIndex: number, number: number): void {
    this.#topicBooks[topicIndex]?.repeated.add(number);
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

/** One client and one topic. */
export class ReaderBook {
  readonly client: number;
  readonly book: TopicBook;
  readonly #counts: Counts;
  readonly #note: (example: string) => void;
  readonly #arrived = new NumberSet();
  /** Stretches of numbers for which the client was told that it may have missed some; ends are exclusive. */
  readonly #told: { readonly after: number; before: number }[] = [];
  /** Told of a loss whose end is not known yet. */
  #isTelling = false;
  #position: Position | null = null;
  lastNumber = 0;

  constructor(client: number, book: TopicBook, counts: Counts, note: (example: string) => void) {
    this.client = client;
    this.book = book;
    this.#counts = counts;
    this.#note = note;
  }

  /** Where the client stands, for `since`. */
  get position(): Position | null {
    return this.#position;
  }

  /** The answer to a subscription. */
  subscribed({ position, number, recovered, messages }: Snapshot): void {
    // Of `latest` the history holds one value: that older ones are gone is its nature.
    const isCounted = this.book.topic.delivery !== "latest";
    if (recovered === true) {
      if (isCounted) this.#counts.recoveries++;
      this.#recover(position, messages);
      return;
    }
    if (recovered === false) {
      if (isCounted) this.#counts.refusedRecoveries++;
      this.#told.push({ after: this.lastNumber, before: number ?? Number.POSITIVE_INFINITY });
      this.#isTelling = number === null;
    }
    this.#position = position;
    if (number !== null && number > this.lastNumber) this.#arrive(number, position?.seq ?? null);
  }

  /** The log goes on counting in a new epoch. */
  wentOn(epoch: string): void {
    if (this.#position !== null) this.#position = { epoch, seq: this.#position.seq };
  }

  /** A live publication. @param seq null where the server knows no positions. */
  publication(seq: number | null, number: number): void {
    if (seq !== null && this.#position !== null) {
      this.#followSeq(this.#position.seq, seq);
      this.#position = { epoch: this.#position.epoch, seq };
    }
    this.#arrive(number, seq);
  }

  /** What was accepted and never arrived. */
  missing(): { readonly silent: number[]; readonly toldCount: number; readonly goneCount: number } {
    const silent: number[] = [];
    let toldCount = 0;
    let goneCount = 0;
    for (let number = 1; number <= this.book.highest; number++) {
      if (!this.book.accepted.has(number) || this.#arrived.has(number)) continue;
      if (this.#told.some(({ after, before }) => number > after && number < before)) toldCount++;
      else if (this.book.gone.has(number)) goneCount++;
      else silent.push(number);
    }
    return { silent, toldCount, goneCount };
  }

  #recover(position: Position | null, messages: Snapshot["messages"]): void {
    const before = this.#position;
    let seq = before?.seq ?? 0;
    // After a failover the log counts on in a new epoch. Whether it is the same log shows by number.
    const isSameLog = before?.epoch === position?.epoch || this.book.epochsGoOn;
    let isTrue = before !== null && position !== null && isSameLog;
    for (const message of messages) {
      if (message.seq !== seq + 1) isTrue = false;
      seq = message.seq;
      this.#arrive(message.number, message.seq);
    }
    if (seq !== position?.seq) isTrue = false;
    if (!isTrue) {
      this.#counts.wrongRecovered++;
      const from = before === null ? "nowhere" : `${before.epoch}-${before.seq}`;
      this.#note(
        `wrong recovered: client ${this.client}, ${this.book.topic.name}, from ${from}, ` +
          `${messages.length} messages to ${seq}, said to be at ${position?.epoch}-${position?.seq}`,
      );
    }
    this.#position = position;
  }

  #followSeq(before: number, seq: number): void {
    const { topic } = this.book;
    if (topic.delivery === "every" && seq > before + 1) {
      this.#counts.holes++;
      this.#note(`hole: client ${this.client}, ${topic.name}, seq ${seq} follows ${before}`);
    }
    if (seq <= before) {
      this.#counts.fell++;
      this.#note(`fell: client ${this.client}, ${topic.name}, seq ${seq} follows ${before}`);
    }
  }

  #arrive(number: number, seq: number | null): void {
    const { book } = this;
    if (this.#arrived.has(number)) {
      if (book.repeated.has(number)) this.#counts.again++;
      else {
        this.#counts.duplicated++;
        this.#note(`duplicate: client ${this.client}, ${book.topic.name}, message ${number}`);
      }
      return;
    }
    const moved = seq === null ? null : book.movedTo(number, seq);
    if (moved !== null) {
      this.#counts.moved++;
      this.#note(moved);
    }
    if (number < this.lastNumber && !book.repeated.has(number)) {
      this.#counts.reordered++;
      const after = `message ${number} after ${this.lastNumber}`;
      this.#note(`reordered: client ${this.client}, ${book.topic.name}, ${after}`);
    }
    if (this.#isTelling) this.#endTelling(number);
    this.#arrived.add(number);
    this.lastNumber = Math.max(this.lastNumber, number);
    this.#counts.delivered++;
  }

  /** The first publication after a loss of unknown size: what comes from here on must come. */
  #endTelling(number: number): void {
    this.#isTelling = false;
    const last = this.#told.at(-1);
    if (last !== undefined) last.before = number;
  }
}
