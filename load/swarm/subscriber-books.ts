/**
 * The subscribers' side of the books of a delivery test, in the process that holds them. A publisher numbers the
 * messages of a topic from 1; each subscriber's arrivals are checked against what the topic's delivery promises, at the
 * cost of a few array cells per message. What was accepted comes from the publisher's side (accepted-books.ts) at the end.
 */
import type { AcceptedSummary, SwarmTopic } from "./swarm-plan.ts";

/** One thing that did not match. */
export interface Discrepancy {
  readonly kind: "missing" | "duplicate" | "reordered" | "moved";
  readonly subscriber: number;
  readonly topic: string;
  /** Of a sampled topic: how many are neither delivered nor told. */
  readonly number: number;
  /** The position that the server answered to the publisher, if it accepted the message. */
  readonly seq: number | null;
}

/** The closed books of some subscribers. */
export interface BooksReport {
  /** What should have arrived, or been told as left out; of a `latest` topic only its newest message. */
  readonly expected: number;
  readonly delivered: number;
  /** Told as left out by the server, which `sample` allows. */
  readonly toldLost: number;
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

const examplesMax = 10;
/** Not subscribed yet. */
const absent = -1;

/** Books for a fixed set of subscribers and topics. */
export class SubscriberBooks {
  readonly #topics: readonly SwarmTopic[];
  readonly #firstSubscriber: number;
  readonly #subscriberCount: number;
  /** By subscriber and topic: the number that it began after, the highest one that came, how many, how many told lost. */
  readonly #base: Int32Array;
  readonly #last: Int32Array;
  readonly #got: Int32Array;
  readonly #told: Int32Array;
  /** Numbers that were jumped over, where there are any. */
  readonly #gaps = new Map<number, Set<number>>();
  /** By topic and number: the position of its first arrival at anybody; subscribers must agree on it. */
  readonly #seqs: number[][];
  readonly #examples: Discrepancy[] = [];
  #delivered = 0;
  #toldLost = 0;
  #duplicates = 0;
  #reordered = 0;
  #moved = 0;

  /** @param firstSubscriber the number of the first one, for people. */
  constructor(topics: readonly SwarmTopic[], subscriberCount: number, firstSubscriber = 0) {
    const cells = topics.length * subscriberCount;
    this.#topics = topics;
    this.#firstSubscriber = firstSubscriber;
    this.#subscriberCount = subscriberCount;
    this.#base = new Int32Array(cells).fill(absent);
    this.#last = new Int32Array(cells);
    this.#got = new Int32Array(cells);
    this.#told = new Int32Array(cells);
    this.#seqs = topics.map(() => []);
  }

  /** The first time: what is published after `newest` must arrive. Later, after an unrecovered return: `newest` is there. */
  subscribed(subscriber: number, topic: number, newest: number, seq: number): void {
    const cell = this.#cell(subscriber, topic);
    if (this.#base[cell] === absent) {
      this.#base[cell] = newest;
      this.#last[cell] = newest;
    } else if (newest !== 0 && newest !== this.#last[cell]) {
      this.arrive(subscriber, topic, newest, seq);
    }
  }

  /** A subscriber got a message. Cost: no allocation when it is the next one. */
  arrive(subscriber: number, topic: number, number: number, seq: number): void {
    const cell = this.#cell(subscriber, topic);
    const last = this.#last[cell] ?? 0;
    if (number <= last) {
      this.#arriveLate(cell, subscriber, topic, number, seq);
      return;
    }
    if (number > last + 1 && this.#topics[topic]?.delivery === "every") this.#jump(cell, last + 1, number);
    this.#last[cell] = number;
    this.#got[cell] = (this.#got[cell] ?? 0) + 1;
    this.#delivered++;
    this.#checkSeq(subscriber, topic, number, seq);
  }

  /** A subscriber was told that messages were left out. */
  toldLost(subscriber: number, topic: number, count: number): void {
    const cell = this.#cell(subscriber, topic);
    this.#told[cell] = (this.#told[cell] ?? 0) + count;
    this.#toldLost += count;
  }

  /** How many pairs of subscriber and topic have not got everything yet. */
  behind(accepted: readonly AcceptedSummary[]): number {
    let behind = 0;
    for (let subscriber = 0; subscriber < this.#subscriberCount; subscriber++) {
      for (const [topic, { count, newest }] of accepted.entries()) {
        const cell = this.#cell(subscriber, topic);
        const base = this.#base[cell] ?? absent;
        if (base === absent) continue;
        const isBehind =
          this.#topics[topic]?.delivery === "sample"
            ? (this.#got[cell] ?? 0) + (this.#told[cell] ?? 0) < count - base
            : (this.#last[cell] ?? 0) < newest || this.#gaps.has(cell);
        if (isBehind) behind++;
      }
    }
    return behind;
  }

  /** Compares with what was accepted. @param seqs by topic and number: the answered position, 0 for none. */
  close(seqs: readonly Float64Array[]): BooksReport {
    const sums = { expected: 0, missing: 0, excess: 0, unconfirmed: 0 };
    for (let topic = 0; topic < this.#topics.length; topic++) {
      const accepted = seqs[topic] ?? new Float64Array(0);
      this.#compareSeqs(topic, accepted);
      const counts = acceptedUpTo(accepted);
      for (let subscriber = 0; subscriber < this.#subscriberCount; subscriber++) {
        if (this.#base[this.#cell(subscriber, topic)] === absent) continue;
        this.#closeOne(subscriber, topic, accepted, counts, sums);
      }
    }
    return {
      expected: sums.expected,
      delivered: this.#delivered,
      toldLost: this.#toldLost,
      missing: sums.missing,
      duplicates: this.#duplicates + sums.excess,
      reordered: this.#reordered,
      moved: this.#moved,
      unconfirmed: sums.unconfirmed,
      examples: [...this.#examples],
    };
  }

  #closeOne(
    subscriber: number,
    topic: number,
    accepted: Float64Array,
    counts: Int32Array,
    sums: { expected: number; missing: number; excess: number; unconfirmed: number },
  ): void {
    const cell = this.#cell(subscriber, topic);
    const base = this.#base[cell] ?? 0;
    const last = this.#last[cell] ?? 0;
    const newest = accepted.length - 1;
    const acceptedCount = countAfter(counts, base, newest);
    const delivery = this.#topics[topic]?.delivery;
    const note = (number: number): void =>
      this.#note("missing", subscriber, topic, number, accepted[number] ?? 0);
    if (delivery === "latest") {
      if (newest <= base) return;
      sums.expected++;
      if (last >= newest) return;
      sums.missing++;
      note(newest);
    } else if (delivery === "sample") {
      const known = (this.#got[cell] ?? 0) + (this.#told[cell] ?? 0);
      // Numbers without an answer may have been published or not: up to so many may be there beyond the accepted.
      const unanswered = Math.max(newest, last) - base - acceptedCount;
      sums.expected += acceptedCount;
      if (known < acceptedCount) {
        sums.missing += acceptedCount - known;
        note(acceptedCount - known);
      }
      if (known > acceptedCount + unanswered) sums.excess += known - acceptedCount - unanswered;
    } else {
      sums.expected += acceptedCount;
      let missing = countAfter(counts, Math.max(base, last), newest);
      if (missing > 0) for (let at = last + 1; at <= newest; at++) if (accepted[at] !== 0) note(at);
      for (const number of this.#gaps.get(cell) ?? []) {
        if ((accepted[number] ?? 0) === 0) continue;
        missing++;
        note(number);
      }
      sums.missing += missing;
      sums.unconfirmed += Math.max(0, (this.#got[cell] ?? 0) - (acceptedCount - missing));
    }
  }

  /** Not above the last one: it came already, or it was overtaken. */
  #arriveLate(cell: number, subscriber: number, topic: number, number: number, seq: number): void {
    const gaps = this.#gaps.get(cell);
    const wasMissed = gaps?.delete(number) ?? false;
    if (gaps?.size === 0) this.#gaps.delete(cell);
    const isRepeated = this.#topics[topic]?.delivery === "every" ? !wasMissed : number === this.#last[cell];
    if (isRepeated) {
      this.#duplicates++;
      this.#note("duplicate", subscriber, topic, number, seq);
      return;
    }
    this.#reordered++;
    this.#got[cell] = (this.#got[cell] ?? 0) + 1;
    this.#delivered++;
    this.#note("reordered", subscriber, topic, number, seq);
    this.#checkSeq(subscriber, topic, number, seq);
  }

  #jump(cell: number, from: number, to: number): void {
    const gaps = this.#gaps.get(cell) ?? new Set();
    for (let number = from; number < to; number++) gaps.add(number);
    this.#gaps.set(cell, gaps);
  }

  #checkSeq(subscriber: number, topic: number, number: number, seq: number): void {
    const seqs = this.#seqs[topic] ?? [];
    const first = seqs[number];
    if (first === undefined) {
      // Numbers come nearly in order, so the array stays dense enough.
      seqs[number] = seq;
    } else if (first !== seq) {
      this.#moved++;
      this.#note("moved", subscriber, topic, number, seq);
    }
  }

  #compareSeqs(topic: number, accepted: Float64Array): void {
    for (const [number, seq] of (this.#seqs[topic] ?? []).entries()) {
      const answered = accepted[number] ?? 0;
      if (seq === undefined || answered === 0 || answered === seq) continue;
      this.#moved++;
      this.#note("moved", 0, topic, number, answered);
    }
  }

  #note(kind: Discrepancy["kind"], subscriber: number, topic: number, number: number, seq: number): void {
    if (this.#examples.length >= examplesMax) return;
    const name = this.#topics[topic]?.name ?? "";
    const who = this.#firstSubscriber + subscriber;
    this.#examples.push({ kind, subscriber: who, topic: name, number, seq: seq === 0 ? null : seq });
  }

  #cell(subscriber: number, topic: number): number {
    return subscriber * this.#topics.length + topic;
  }
}

/** Sums up the books of several processes. */
export function mergedReports(reports: readonly BooksReport[]): BooksReport {
  const sum = (pick: (report: BooksReport) => number): number =>
    reports.reduce((total, report) => total + pick(report), 0);
  return {
    expected: sum(({ expected }) => expected),
    delivered: sum(({ delivered }) => delivered),
    toldLost: sum(({ toldLost }) => toldLost),
    missing: sum(({ missing }) => missing),
    duplicates: sum(({ duplicates }) => duplicates),
    reordered: sum(({ reordered }) => reordered),
    moved: sum(({ moved }) => moved),
    unconfirmed: sum(({ unconfirmed }) => unconfirmed),
    examples: reports.flatMap(({ examples }) => examples).slice(0, examplesMax),
  };
}

/** By number: how many numbers up to it were accepted. */
function acceptedUpTo(accepted: Float64Array): Int32Array {
  const counts = new Int32Array(accepted.length);
  for (let number = 1; number < accepted.length; number++) {
    counts[number] = (counts[number - 1] ?? 0) + (accepted[number] === 0 ? 0 : 1);
  }
  return counts;
}

function countAfter(counts: Int32Array, after: number, newest: number): number {
  if (newest <= after) return 0;
  return (counts[newest] ?? 0) - (counts[after] ?? 0);
}
