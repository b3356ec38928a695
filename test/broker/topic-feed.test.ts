import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Arrival } from "../../src/broker/arrival.ts";
import type { BrokerTopic, Delivery } from "../../src/broker/broker.ts";
import { newBrokerCounters } from "../../src/broker/counters.ts";
import type { FeedLimits } from "../../src/broker/held-messages.ts";
import type { LogEntry, LogRead, ReadRequest } from "../../src/broker/log-read.ts";
import { TopicFeed } from "../../src/broker/topic-feed.ts";
import { bytes, count, Recorder, text } from "./recorder.ts";

const limits: FeedLimits = { heldCountMax: 4, heldBytesMax: 40 };

function topicOf(delivery: Delivery): BrokerTopic {
  return { name: "t", delivery, history: { size: 3, ttlMs: 1000 } };
}

function entry(seq: number): LogEntry {
  return { seq, data: bytes(String(seq)), origin: null };
}

function read(epoch: string, seq: number, seqs: readonly number[]): LogRead {
  return { position: { epoch, seq }, entries: seqs.map((each) => entry(each)) };
}

/** Between other bytes, which never count. */
function arrival(seq: number, data: string): Arrival {
  const borrowed = new Arrival(Buffer.from(`--${data}--`), 0);
  borrowed.start = 2;
  borrowed.end -= 2;
  borrowed.seq = seq;
  return borrowed;
}

class Bench {
  readonly recorder = new Recorder();
  readonly counters = newBrokerCounters();
  readonly feed: TopicFeed;
  request: ReadRequest | null = null;

  constructor(topic: BrokerTopic) {
    this.feed = new TopicFeed(
      topic,
      this.recorder,
      this.recorder.receiver(topic.name),
      this.counters,
      limits,
    );
  }
  live(...seqs: readonly number[]): this {
    for (const seq of seqs) this.feed.live("E", arrival(seq, String(seq)), true);
    return this;
  }
  raw(value: string): this {
    this.feed.live(null, arrival(0, value), true);
    return this;
  }
  begin(): this {
    expect(this.feed.wantsRead).toBe(true);
    this.request = this.feed.beginRead();
    expect(this.feed.wantsRead).toBe(false);
    return this;
  }
  finish(result: LogRead): this {
    this.feed.finishRead(this.request!, result);
    return this;
  }
  opened(seq: number): this {
    return this.begin().finish(read("E", seq, seq === 0 ? [] : [seq]));
  }
  /** What the listener was told, in short: `o5` opened, `6` published, `*x` without seq, `g8/2` gap to 8 with 2 lost. */
  get told(): string {
    return this.recorder.events
      .map((event) => {
        if (event.kind === "opened") return `o${event.snapshot.position?.seq ?? "-"}`;
        if (event.kind === "publication") {
          return event.publication.seq === 0
            ? `*${text(event.publication.data)}`
            : String(event.publication.seq);
        }
        if (event.kind === "gap")
          return `g${event.position.epoch}${event.position.seq}/${event.lostCount ?? "?"}`;
        return "?";
      })
      .join(" ");
  }
}

interface Row {
  readonly name: string;
  readonly delivery?: Delivery;
  readonly run: (bench: Bench) => unknown;
  readonly told: string;
  readonly wantsRead?: boolean;
}

const rows: readonly Row[] = [
  { name: "wants a read at first", run: () => {}, told: "", wantsRead: true },
  { name: "opens at the read", run: (b) => b.opened(5), told: "o5" },
  {
    name: "holds what comes before, drops what the snapshot has",
    run: (b) =>
      b
        .begin()
        .live(4, 5, 6, 7)
        .finish(read("E", 5, [5])),
    told: "o5 6 7",
  },
  { name: "goes on live", run: (b) => b.opened(5).live(6, 7, 8), told: "o5 6 7 8" },
  { name: "drops duplicates", run: (b) => b.opened(5).live(4, 5, 6), told: "o5 6" },
  {
    name: "holds behind a hole and wants a read",
    run: (b) => b.opened(5).live(7, 8),
    told: "o5",
    wantsRead: true,
  },
  {
    name: "fills a hole, then what was held",
    run: (b) =>
      b
        .opened(5)
        .live(7, 8)
        .begin()
        .live(9)
        .finish(read("E", 8, [6, 7, 8])),
    told: "o5 6 7 8 9",
  },
  {
    name: "a hole that arrives by itself needs no read",
    run: (b) => b.opened(5).live(6),
    told: "o5 6",
    wantsRead: false,
  },
  {
    name: "tells what was trimmed away",
    run: (b) =>
      b
        .opened(5)
        .live(9)
        .begin()
        .finish(read("E", 9, [8, 9])),
    told: "o5 gE7/2 8 9",
  },
  {
    name: "tells when nothing is left",
    run: (b) =>
      b
        .opened(5)
        .live(9)
        .begin()
        .finish(read("E", 9, [])),
    told: "o5 gE9/4",
  },
  {
    name: "tells a hole within the log",
    run: (b) =>
      b
        .opened(5)
        .live(9)
        .begin()
        .finish(read("E", 9, [6, 8, 9])),
    told: "o5 6 gE7/1 8 9",
  },
  {
    name: "an invalid entry is a gap of one",
    run: (b) => {
      b.opened(5).feed.live("E", arrival(6, "no JSON"), false);
      b.live(7);
    },
    told: "o5 gE6/1 7",
  },
  {
    name: "a new epoch is told first",
    run: (b) => {
      b.opened(5).feed.live("F", arrival(1, "1"), true);
      b.begin().finish(read("F", 1, [1]));
    },
    told: "o5 gF0/? 1",
  },
  {
    name: "a new epoch whose first entries are gone",
    run: (b) =>
      b
        .opened(5)
        .live(7)
        .begin()
        .finish(read("F", 4, [3, 4])),
    told: "o5 gF2/? 3 4",
  },
  {
    name: "a new epoch without entries",
    run: (b) =>
      b
        .opened(5)
        .live(7)
        .begin()
        .finish(read("F", 0, [])),
    told: "o5 gF0/?",
  },
  {
    name: "a log that went back",
    run: (b) =>
      b
        .opened(5)
        .live(7)
        .begin()
        .finish(read("E", 3, [])),
    told: "o5 gE3/?",
  },
  {
    // Found by the twin: the answer of a read was overtaken by a message that was stored after it.
    name: "an answer that was overtaken by live messages is no other life",
    run: (b) => {
      b.opened(5).feed.requestRead();
      b.begin()
        .live(6, 7)
        .finish(read("E", 5, []));
    },
    told: "o5 6 7",
    wantsRead: false,
  },
  {
    name: "a position that no log has is dropped",
    run: (b) =>
      b
        .opened(5)
        .live(99)
        .begin()
        .finish(read("E", 5, []))
        .live(6),
    told: "o5 6",
  },
  {
    name: "a number given out twice asks for a read",
    run: (b) => b.opened(5).live(6, 6),
    told: "o5 6",
    wantsRead: true,
  },
  {
    name: "a duplicate that a read explains does not",
    run: (b) =>
      b
        .begin()
        .finish(read("E", 8, [8]))
        .live(7, 8),
    told: "o8",
    wantsRead: false,
  },
  {
    name: "an epoch that began during the read waits for the next",
    run: (b) => {
      b.begin().feed.live("F", arrival(1, "1"), true);
      b.finish(read("E", 5, [5]))
        .begin()
        .finish(read("F", 1, [1]));
    },
    told: "o5 gF0/? 1",
  },
  {
    name: "more than it may hold comes from the log",
    run: (b) =>
      b
        .begin()
        .live(1, 2, 3, 4, 5, 6, 7)
        .finish(read("E", 0, []))
        .begin()
        .finish(read("E", 7, [5, 6, 7])),
    told: "o0 1 2 3 4 5 6 7",
  },
  {
    name: "more bytes than it may hold, too",
    run: (b) => {
      b.begin().feed.live("E", arrival(1, "1".repeat(41)), true);
      b.finish(read("E", 0, []))
        .begin()
        .finish(read("E", 1, [1]));
    },
    told: "o0 1",
  },
  { name: "a failed read is wanted again", run: (b) => b.begin().feed.failRead(), told: "", wantsRead: true },
  {
    name: "a read asked for during a read follows it",
    run: (b) => {
      b.begin().feed.requestRead();
      b.finish(read("E", 5, [5]));
    },
    told: "o5",
    wantsRead: true,
  },
  {
    name: "raw waits for the snapshot",
    run: (b) =>
      b
        .begin()
        .raw("r")
        .finish(read("E", 5, [5])),
    told: "o5 *r",
  },
  {
    name: "raw stays behind what is held",
    run: (b) =>
      b
        .opened(5)
        .live(7)
        .raw("r")
        .begin()
        .raw("s")
        .finish(read("E", 7, [6, 7])),
    told: "o5 6 7 *r *s",
  },
  {
    name: "raw passes when nothing is held",
    run: (b) => b.opened(5).raw("r").live(6).raw("s"),
    told: "o5 *r 6 *s",
  },
  {
    name: "nothing after close",
    run: (b) => {
      b.opened(5).feed.close();
      b.live(6).raw("r");
    },
    told: "o5",
    wantsRead: false,
  },
  {
    name: "latest: jumps forwards at once",
    delivery: "latest",
    run: (b) => b.opened(5).live(9, 7, 10),
    told: "o5 9 10",
  },
  {
    name: "latest: a read brings the newest only",
    delivery: "latest",
    run: (b) => {
      b.opened(5).feed.requestRead();
      b.begin().finish(read("E", 9, [9]));
    },
    told: "o5 9",
  },
  {
    name: "latest: the newest is gone",
    delivery: "latest",
    run: (b) => {
      b.opened(5).feed.requestRead();
      b.begin().finish(read("E", 9, []));
    },
    told: "o5 gE9/4",
  },
  {
    name: "latest: new epoch with a value",
    delivery: "latest",
    run: (b) => {
      b.opened(5).feed.requestRead();
      b.begin().finish(read("F", 3, [3]));
    },
    told: "o5 gF2/? 3",
  },
  {
    name: "latest: an invalid value is skipped",
    delivery: "latest",
    run: (b) => {
      b.opened(5).feed.live("E", arrival(6, "no JSON"), false);
      b.live(7);
    },
    told: "o5 7",
  },
  {
    name: "sample: as every",
    delivery: "sample",
    run: (b) =>
      b
        .opened(5)
        .live(7)
        .begin()
        .finish(read("E", 7, [6, 7])),
    told: "o5 6 7",
  },
];

describe("an open topic's feed", () => {
  it("counts a message of an epoch that the log does not have when it lets it go, and not before", () => {
    const b = new Bench(topicOf("every"));
    b.opened(5);
    b.feed.live("nobody's", arrival(1, "1"), true);
    expect(b.counters.publicationsRejected).toBe(0);
    b.begin().finish(read("E", 5, []));
    expect(b.counters.publicationsRejected).toBe(1);
    expect(b.live(6).counters.publicationsRejected).toBe(1);
  });

  for (const { name, delivery = "every", run, told, wantsRead } of rows) {
    it(name, () => {
      const bench = new Bench(topicOf(delivery));
      run(bench);
      expect(bench.told).toBe(told);
      if (wantsRead !== undefined) expect(bench.feed.wantsRead).toBe(wantsRead);
    });
  }

  it("asks for what it misses", () => {
    const bench = new Bench(topicOf("every"));
    expect(bench.begin().request).toEqual({ since: null, newest: true, limit: 3 });
    bench.finish(read("E", 5, [5])).live(9);
    expect(bench.begin().request).toEqual({ since: { epoch: "E", seq: 5 }, newest: false, limit: 1000 });
    const latest = new Bench(topicOf("latest")).opened(5);
    latest.feed.requestRead();
    expect(latest.begin().request).toEqual({ since: { epoch: "E", seq: 5 }, newest: true, limit: 1 });
  });

  it("reads on while a read ends at its limit", () => {
    const bench = new Bench(topicOf("every")).opened(0).live(2001).begin();
    bench.finish(read("E", 2001, count(1, 1000))).begin();
    bench.finish(read("E", 2001, count(1001, 2000))).begin();
    bench.finish(read("E", 2001, [2001]));
    expect(bench.feed.wantsRead).toBe(false);
    expect(bench.recorder.seqs("t")).toEqual(count(1, 2001));
    expect(bench.recorder.gaps("t")).toEqual([]);
  });

  it("gives a snapshot without holes, up to the position", () => {
    const cases: readonly (readonly [string, LogRead, readonly number[]])[] = [
      ["whole", read("E", 5, [3, 4, 5]), [3, 4, 5]],
      ["a hole", read("E", 5, [2, 4, 5]), [4, 5]],
      ["the newest is missing", read("E", 5, [3, 4]), []],
      [
        "the newest is invalid",
        { position: { epoch: "E", seq: 5 }, entries: [entry(4), { ...entry(5), data: null }] },
        [],
      ],
      [
        "one is invalid",
        { position: { epoch: "E", seq: 5 }, entries: [{ ...entry(4), data: null }, entry(5)] },
        [5],
      ],
    ];
    for (const [name, result, seqs] of cases) {
      const bench = new Bench(topicOf("every")).begin().finish(result);
      expect([name, bench.recorder.snapshot("t")?.entries.map((each) => each.seq)]).toEqual([name, seqs]);
    }
  });

  it("a live-only topic opens without a read, once, and drops positions", () => {
    const bench = new Bench({ ...topicOf("every"), history: null });
    expect(bench.feed.wantsRead).toBe(false);
    bench.raw("before");
    bench.feed.openLiveOnly();
    bench.feed.openLiveOnly();
    bench.raw("after").live(7, 7);
    bench.feed.requestRead();
    expect(bench.told).toBe("o- *before *after *7 *7");
    expect(bench.feed.wantsRead).toBe(false);
  });
});

/**
 * The naive twin: a log that everybody can see, a wire that loses what it likes, and a listener that must, in the
 * end, have been given or told every single entry.
 */
class Twin {
  epoch = 1;
  seq = 0;
  entries: LogEntry[] = [];
  readonly size: number;
  /** Every entry there ever was, as `epoch-seq`. */
  readonly all: string[] = [];
  constructor(size: number) {
    this.size = size;
  }
  publish(): LogEntry {
    this.seq++;
    const stored = { seq: this.seq, data: bytes(`${this.epoch}-${this.seq}`), origin: null };
    this.entries.push(stored);
    if (this.entries.length > this.size) this.entries.shift();
    this.all.push(`${this.epoch}-${this.seq}`);
    return stored;
  }
  lose(): void {
    this.epoch++;
    this.seq = 0;
    this.entries = [];
  }
  read({ since, newest, limit }: ReadRequest): LogRead {
    const position = { epoch: String(this.epoch), seq: this.seq };
    const after = since !== null && since.epoch === position.epoch ? since.seq : 0;
    const entries = newest
      ? this.entries.slice(-limit)
      : this.entries.filter((each) => each.seq > after).slice(0, limit);
    return { position, entries };
  }
}

type Step =
  | "publish"
  | "publishLost"
  | "beginRead"
  | "finishRead"
  | "failRead"
  | "interrupt"
  | "loseLog"
  | "raw";

const step = fc.oneof(
  { weight: 12, arbitrary: fc.constant<Step>("publish") },
  { weight: 3, arbitrary: fc.constant<Step>("publishLost") },
  { weight: 5, arbitrary: fc.constant<Step>("beginRead") },
  { weight: 5, arbitrary: fc.constant<Step>("finishRead") },
  { weight: 1, arbitrary: fc.constant<Step>("failRead") },
  { weight: 1, arbitrary: fc.constant<Step>("interrupt") },
  { weight: 1, arbitrary: fc.constant<Step>("loseLog") },
  { weight: 1, arbitrary: fc.constant<Step>("raw") },
);

describe("the feed against a naive twin", () => {
  for (const delivery of ["every", "sample", "latest"] as const) {
    it(`${delivery}: whatever is lost, everything is delivered or told, once and in order`, () => {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 120 }), fc.constantFrom(1, 3, 12, 1000), (steps, size) => {
          const twin = new Twin(size);
          const recorder = new Recorder();
          const counters = newBrokerCounters();
          const feed = new TopicFeed(topicOf(delivery), recorder, recorder.receiver("t"), counters, limits);
          let running: { request: ReadRequest; result: LogRead | null } | null = null;
          let rawCount = 0;
          const begin = (): void => {
            if (running === null && feed.wantsRead) running = { request: feed.beginRead(), result: null };
          };
          const finish = (): void => {
            if (running === null) return;
            const { request, result } = running;
            running = null;
            feed.finishRead(request, result ?? twin.read(request));
          };
          for (const each of steps) {
            if (each === "publish") {
              const { seq, data } = twin.publish();
              feed.live(String(twin.epoch), arrival(seq, text(data ?? bytes(""))), data !== null);
            } else if (each === "publishLost") twin.publish();
            else if (each === "beginRead") {
              begin();
              // Half of the reads see the log as it is now, the others as it is when they end.
              if (running !== null && steps.length % 2 === 0) {
                const current: { request: ReadRequest; result: LogRead | null } = running;
                current.result = twin.read(current.request);
              }
            } else if (each === "finishRead") finish();
            else if (each === "failRead" && running !== null) {
              running = null;
              feed.failRead();
            } else if (each === "interrupt") feed.requestRead();
            else if (each === "loseLog") twin.lose();
            else if (each === "raw") {
              rawCount++;
              feed.live(null, arrival(0, "raw"), true);
            }
          }
          // In the end the wire is repaired: one more message, and all reads that are wanted.
          feed.requestRead();
          for (let round = 0; round < 20; round++) {
            begin();
            finish();
          }
          expect(feed.wantsRead).toBe(false);
          check(recorder, twin, delivery);
          // What the log still has is not given up.
          if (size === 1000 && !steps.includes("loseLog")) expect(recorder.gaps("t")).toEqual([]);
          expect(recorder.seqs("t").filter((seq) => seq === 0).length).toBeLessThanOrEqual(rawCount);
        }),
        { numRuns: 500 },
      );
    });
  }
});

/** Walks through what the listener was told, as a client would. */
function check(recorder: Recorder, twin: Twin, delivery: Delivery): void {
  let at: { epoch: string; seq: number } | null = null;
  for (const event of recorder.events) {
    if (event.kind === "status") continue;
    if (event.kind === "opened") {
      expect(at).toBe(null);
      at = { ...event.snapshot.position! };
      continue;
    }
    expect(at).not.toBe(null);
    const before: { epoch: string; seq: number } = at!;
    if (event.kind === "gap") {
      const { epoch, seq } = event.position;
      if (epoch === before.epoch) {
        expect(seq).toBeGreaterThan(before.seq);
        expect(event.lostCount).toBe(seq - before.seq);
      } else {
        expect(Number(epoch)).toBeGreaterThan(Number(before.epoch));
        expect(event.lostCount).toBe(null);
      }
      at = { ...event.position };
    } else if (event.kind === "epoch") {
      throw new Error("no log here goes on in a new epoch");
    } else if (event.publication.seq > 0) {
      const { seq, data } = event.publication;
      if (delivery === "latest") expect(seq).toBeGreaterThan(before.seq);
      else expect(seq).toBe(before.seq + 1);
      expect(text(data)).toBe(`${before.epoch}-${seq}`);
      at = { epoch: before.epoch, seq };
    }
  }
  // Everything is accounted for: the listener stands where the log stands.
  expect(at).toEqual({ epoch: String(twin.epoch), seq: twin.seq });
}
