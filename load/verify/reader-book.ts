/**
 * What one client got of one topic, held against the topic's own book: what came twice, late or at another position
 * is counted at once; what never came is known when somebody asks for it.
 */
import type { Counts } from "./findings.ts";
import { NumberSet } from "./number-set.ts";
import type { Position, TopicBook } from "./topic-book.ts";

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

/** See the file head. It counts into the `counts` that all readers of a run share. */
export class ReaderBook {
  readonly client: number;
  readonly book: TopicBook;
  readonly #counts: Counts;
  readonly #note: (example: string) => void;
  readonly #arrived = new NumberSet();
  /** Of the epoch where the client stands, and only of it. */
  #arrivedInEpoch = new NumberSet();
  #epoch: string | null = null;
  /** The client was put back into an epoch before one that it knew. */
  #isBehind = false;
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
    if (number === null) return;
    if (number > this.lastNumber) return this.#arrive(number, position?.seq ?? null);
    this.#enterEpoch();
    if (!this.#isBehind) this.#arrivedInEpoch.add(number);
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

  /**
   * What the store has twice comes once in each epoch, and the later epoch is the second. Within an epoch nothing may
   * come twice, whatever the store lost, nor out of one that the client had left. A failover is no such witness: there
   * an epoch goes on without what was lost.
   */
  #mayComeAgain(number: number): boolean {
    const isInLaterEpoch = !this.#isBehind && !this.#arrivedInEpoch.has(number);
    // The control knows no epochs.
    const isWitnessed = this.#epoch !== null && !this.book.epochsGoOn;
    return this.book.mayBeTwice(number) && (isInLaterEpoch || !isWitnessed);
  }

  #enterEpoch(): void {
    const epoch = this.#position?.epoch ?? null;
    if (epoch === null || epoch === this.#epoch) return;
    this.#isBehind = this.#epoch !== null && BigInt(epoch) < BigInt(this.#epoch);
    if (this.#isBehind) return;
    this.#epoch = epoch;
    this.#arrivedInEpoch = new NumberSet();
  }

  #arrive(number: number, seq: number | null): void {
    const { book } = this;
    this.#enterEpoch();
    if (this.#arrived.has(number)) {
      if (this.#mayComeAgain(number)) {
        this.#counts.again++;
        this.#arrivedInEpoch.add(number);
      } else {
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
    if (number < this.lastNumber && !book.mayBeTwice(number)) {
      this.#counts.reordered++;
      const after = `message ${number} after ${this.lastNumber}`;
      this.#note(`reordered: client ${this.client}, ${book.topic.name}, ${after}`);
    }
    if (this.#isTelling) this.#endTelling(number);
    this.#arrived.add(number);
    if (!this.#isBehind) this.#arrivedInEpoch.add(number);
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
