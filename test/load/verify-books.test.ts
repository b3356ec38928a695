/** The checker of `npm run verify`: each way of breaking a promise is found, and a told loss is told from a silent one. */
import { describe, expect, it } from "vitest";
import { Books } from "../../load/verify/books.ts";
import type { Findings } from "../../load/verify/findings.ts";
import type { ReaderBook } from "../../load/verify/reader-book.ts";
import { isClean } from "../../load/verify/report.ts";
import { DoubtfulTimes } from "../../load/verify/store.ts";

const epoch = "1795338789954376";
const topics = [
  { name: "every.0", delivery: "every" },
  { name: "latest.1", delivery: "latest" },
] as const;

/** One client that is subscribed to both topics, and five messages that were accepted on each. */
function books(): { readonly books: Books; readonly every: ReaderBook; readonly latest: ReaderBook } {
  const books = new Books(topics, 1);
  const [every, latest] = [books.reader(0, 0), books.reader(0, 1)];
  for (const reader of [every, latest])
    reader.subscribed({ position: { epoch, seq: 0 }, number: null, recovered: null, messages: [] });
  for (let number = 1; number <= 5; number++) {
    books.accept(0, number, { epoch, seq: number });
    books.accept(1, number, { epoch, seq: number });
  }
  return { books, every, latest };
}

function missedFrom(first: number, last: number): { seq: number; number: number }[] {
  return Array.from({ length: last - first + 1 }, (_, index) => ({
    seq: first + index,
    number: first + index,
  }));
}

/** Everything arrives, as `every` and `latest` promise it, but for what the row does. */
function closed(row: (every: ReaderBook, latest: ReaderBook, books: Books) => void): Findings {
  const { books: all, every, latest } = books();
  row(every, latest, all);
  return all.close();
}

function take(reader: ReaderBook, ...numbers: readonly number[]): void {
  for (const number of numbers) reader.publication(number, number);
}

const later = "1795338789954377";
const anew = (ofEpoch: string, seq = 0): Parameters<ReaderBook["subscribed"]>[0] => ({
  position: { epoch: ofEpoch, seq },
  number: null,
  recovered: false,
  messages: [],
});

/** The store lost its data while the message was published. */
function publishedOverLoss(all: Books, number: number): void {
  all.beginPublish(0, number, () => true);
  all.finishPublish(0);
}

describe("a run in which all is well", () => {
  it.each([
    { name: "all live", row: (every: ReaderBook) => take(every, 1, 2, 3, 4, 5) },
    {
      name: "a recovery in the middle",
      row: (every: ReaderBook) => {
        take(every, 1, 2);
        const position = { epoch, seq: 4 };
        every.subscribed({ position, number: null, recovered: true, messages: missedFrom(3, 4) });
        take(every, 5);
      },
    },
  ])("$name", ({ row }) => {
    const findings = closed((every, latest) => {
      row(every);
      take(latest, 2, 5);
    });
    expect(findings).toMatchObject({ accepted: 10, expected: 5, delivered: 7, lost: 0, told: 0 });
    expect(isClean(findings)).toBe(true);
  });

  it("a run in which nothing was accepted or arrived has shown nothing", () => {
    expect(isClean(new Books(topics, 1).close())).toBe(false);
  });
});

describe("a broken promise is found", () => {
  it.each([
    {
      name: "one is missing at the end",
      row: (every: ReaderBook) => take(every, 1, 2, 3, 4),
      found: { lost: 1 },
    },
    {
      name: "one is missing in the middle",
      row: (every: ReaderBook) => take(every, 1, 2, 4, 5),
      found: { lost: 1, holes: 1 },
    },
    {
      name: "one is missing and seq says nothing of it",
      row: (every: ReaderBook) => {
        take(every, 1, 2);
        every.publication(3, 4);
        every.publication(4, 5);
      },
      found: { lost: 1, moved: 2 },
    },
    {
      name: "one comes twice",
      row: (every: ReaderBook) => take(every, 1, 2, 3, 3, 4, 5),
      found: { duplicated: 1, fell: 1 },
    },
    {
      name: "two change places",
      row: (every: ReaderBook) => take(every, 1, 3, 2, 4, 5),
      found: { reordered: 1 },
    },
    {
      name: "a recovery that leaves one out and calls itself whole",
      row: (every: ReaderBook) => {
        take(every, 1, 2);
        const messages = [{ seq: 4, number: 4 }];
        every.subscribed({ position: { epoch, seq: 4 }, number: null, recovered: true, messages });
        take(every, 5);
      },
      found: { lost: 1, wrongRecovered: 1 },
    },
    {
      name: "a recovery that ends before the position it names",
      row: (every: ReaderBook) => {
        take(every, 1, 2);
        const messages = missedFrom(3, 3);
        every.subscribed({ position: { epoch, seq: 4 }, number: null, recovered: true, messages });
        take(every, 5);
      },
      found: { lost: 1, wrongRecovered: 1 },
    },
    {
      name: "a recovery over two epochs",
      row: (every: ReaderBook) => {
        take(every, 1, 2, 3, 4, 5);
        const position = { epoch: "2", seq: 5 };
        every.subscribed({ position, number: null, recovered: true, messages: [] });
      },
      found: { wrongRecovered: 1 },
    },
    {
      name: "one that follows a told loss is missing all the same",
      row: (every: ReaderBook) => {
        take(every, 1);
        every.subscribed({ position: { epoch, seq: 3 }, number: 3, recovered: false, messages: [] });
        take(every, 5);
      },
      found: { lost: 1, told: 1, holes: 1 },
    },
    {
      name: "a message stands elsewhere than the publisher was told",
      row: (every: ReaderBook, _latest: ReaderBook, all: Books) => {
        take(every, 1, 2, 3, 4, 5);
        all.accept(0, 5, { epoch, seq: 6 });
      },
      found: { moved: 1 },
    },
  ])("$name", ({ row, found }) => {
    const findings = closed((every, latest, all) => {
      take(latest, 5);
      row(every, latest, all);
    });
    expect(findings).toMatchObject({ lost: 0, duplicated: 0, reordered: 0, ...found });
    expect(isClean(findings)).toBe(false);
    expect(findings.examples.length).toBeGreaterThan(0);
  });

  it.each([
    { name: "latest ends on an old value", numbers: [1, 2, 4], found: { stale: 1 } },
    { name: "latest goes back", numbers: [4, 3, 5], found: { fell: 1, reordered: 1 } },
  ])("$name", ({ numbers, found }) => {
    const findings = closed((every, latest) => {
      take(every, 1, 2, 3, 4, 5);
      take(latest, ...numbers);
    });
    expect(findings).toMatchObject(found);
    expect(isClean(findings)).toBe(false);
  });
});

describe("a loss that was told", () => {
  it("is counted apart, up to the value that came with the word", () => {
    const findings = closed((every, latest) => {
      take(latest, 5);
      take(every, 1);
      every.subscribed({ position: { epoch: "2", seq: 1 }, number: 4, recovered: false, messages: [] });
      every.publication(2, 5);
    });
    expect(findings).toMatchObject({ lost: 0, told: 2, delivered: 4 });
  });

  it("without a value: up to the next publication", () => {
    const findings = closed((every, latest) => {
      take(latest, 5);
      take(every, 1);
      every.subscribed({ position: { epoch: "2", seq: 0 }, number: null, recovered: false, messages: [] });
      every.publication(1, 4);
    });
    expect(findings).toMatchObject({ lost: 1, told: 2 });
  });

  it.each([
    {
      name: "a message that was published anew after the store lost its key may come once in each epoch",
      row: (every: ReaderBook, all: Books) => {
        publishedOverLoss(all, 3);
        take(every, 1, 2, 3);
        every.subscribed(anew(later));
        every.publication(1, 3);
      },
      found: { again: 1, duplicated: 0 },
    },
    {
      // Its answer was cut off, then all was lost, and a reader is told of the next attempt before the publisher is.
      name: "also before its publisher has an answer that says so",
      row: (every: ReaderBook, all: Books) => {
        let hasLost = false;
        all.beginPublish(0, 3, () => hasLost);
        take(every, 1, 2, 3);
        hasLost = true;
        every.subscribed(anew(later));
        every.publication(1, 3);
        all.finishPublish(0);
      },
      found: { again: 1, duplicated: 0 },
    },
    {
      name: "not without a loss",
      row: (every: ReaderBook, all: Books) => {
        all.beginPublish(0, 3, () => false);
        take(every, 1, 2, 3);
        every.subscribed(anew(later));
        every.publication(1, 3);
        all.finishPublish(0);
      },
      found: { again: 0, duplicated: 1 },
    },
    {
      name: "not twice in the epoch before the loss",
      row: (every: ReaderBook, all: Books) => {
        publishedOverLoss(all, 3);
        take(every, 1, 2, 3);
        every.subscribed(anew(epoch, 2));
        every.publication(3, 3);
        every.subscribed(anew(later));
      },
      found: { again: 0, duplicated: 1 },
    },
    {
      name: "not twice in the epoch after it",
      row: (every: ReaderBook, all: Books) => {
        publishedOverLoss(all, 3);
        take(every, 1, 2, 3);
        every.subscribed(anew(later));
        every.publication(1, 3);
        every.subscribed(anew(later));
        every.publication(1, 3);
      },
      found: { again: 1, duplicated: 1 },
    },
    {
      name: "not once more after it was the newest value of the epoch after it",
      row: (every: ReaderBook, all: Books) => {
        publishedOverLoss(all, 3);
        take(every, 1, 2, 3);
        every.subscribed({ ...anew(later), number: 3 });
        every.publication(1, 3);
      },
      found: { again: 0, duplicated: 1 },
    },
    {
      name: "not by a worker that puts its reader back into the lost log",
      row: (every: ReaderBook, all: Books) => {
        publishedOverLoss(all, 3);
        take(every, 1, 2, 3);
        every.subscribed(anew(later));
        every.subscribed(anew(epoch, 2));
        every.publication(3, 3);
        every.subscribed(anew(later));
      },
      found: { again: 0, duplicated: 1 },
    },
  ])("$name", ({ row, found }) => {
    const findings = closed((every, latest, all) => {
      take(latest, 5);
      row(every, all);
      every.publication(2, 4);
      every.publication(3, 5);
    });
    expect(findings).toMatchObject({ ...found, lost: 0 });
  });
});

/** Of 1 to 5. */
function without(gone: number): Set<number> {
  return new Set([1, 2, 3, 4, 5].filter((number) => number !== gone));
}

/** Everything arrives but this one, and `seq` says nothing of it. */
function misses(gone: number): (every: ReaderBook, latest: ReaderBook) => void {
  return (every, latest) => {
    take(latest, 5);
    for (const number of without(gone)) every.publication(number < gone ? number : number - 1, number);
  };
}

describe("what the store itself has lost", () => {
  it("is doubtful when it was accepted as a master went and is not in the store at the end", () => {
    const findings = closed((every, latest, all) => {
      publishedOverLoss(all, 4);
      publishedOverLoss(all, 5);
      misses(3)(every, latest);
      all.audit(0, without(3), () => "failed over");
    });
    expect(findings).toMatchObject({ lost: 0, doubtful: 1, gone: 1, unstored: 0 });
    expect(isClean(findings)).toBe(true);
  });

  it("is a loss when the store has it", () => {
    const findings = closed((every, latest, all) => {
      misses(3)(every, latest);
      all.audit(0, new Set([1, 2, 3, 4, 5]), () => "failed over");
    });
    expect(findings).toMatchObject({ lost: 1, doubtful: 0, gone: 0 });
  });

  it("is a loss, and not stored, when no master went", () => {
    const findings = closed((every, latest, all) => {
      misses(3)(every, latest);
      all.audit(0, without(3), () => null);
    });
    expect(findings).toMatchObject({ lost: 1, unstored: 1, doubtful: 0 });
  });

  it("is a loss when the store was emptied, and nobody was told", () => {
    const findings = closed((every, latest, all) => {
      misses(3)(every, latest);
      all.audit(0, new Set(), () => "emptied");
    });
    expect(findings).toMatchObject({ lost: 1, unstored: 0, doubtful: 0 });
  });

  it("everybody has it, and the store does not: not stored", () => {
    const findings = closed((every, latest, all) => {
      take(latest, 5);
      take(every, 1, 2, 3, 4, 5);
      all.audit(0, without(5), () => null);
    });
    expect(findings).toMatchObject({ lost: 0, unstored: 1 });
    expect(isClean(findings)).toBe(false);
  });

  it("a message that is none is found", () => {
    const findings = closed((every, latest, all) => {
      take(latest, 5);
      take(every, 1, 2, 3, 4, 5);
      all.unreadable(0);
    });
    expect(isClean(findings)).toBe(false);
  });
});

/** A recovery from seq 5 of one epoch to another that stands at 7. */
function recoverOver(messages: { seq: number; number: number }[]): Findings {
  const all = new Books(topics, 1, true);
  const every = all.reader(0, 0);
  every.subscribed({ position: { epoch, seq: 0 }, number: null, recovered: null, messages: [] });
  for (let number = 1; number <= 7; number++) all.accept(0, number, { epoch, seq: number });
  take(every, 1, 2, 3, 4, 5);
  every.subscribed({ position: { epoch: "2", seq: 7 }, number: null, recovered: true, messages });
  return all.close();
}

describe("where a store fails over", () => {
  it("recovered: true over two epochs is true when nothing is missing", () => {
    expect(recoverOver(missedFrom(6, 7))).toMatchObject({ wrongRecovered: 0, lost: 0 });
  });

  it.each([
    { name: "leaves one out", messages: missedFrom(7, 7), found: { wrongRecovered: 1, lost: 1 } },
    {
      name: "is another log that counts as far",
      messages: [
        { seq: 6, number: 7 },
        { seq: 7, number: 8 },
      ],
      found: { lost: 1, moved: 1 },
    },
  ])("and wrong when it $name", ({ messages, found }) => {
    expect(recoverOver(messages)).toMatchObject(found);
  });

  it("doubt begins before the failover, as replication lags, and ends with it", () => {
    const doubt = new DoubtfulTimes();
    doubt.begin("failed over", 10_000);
    expect([doubt.within(7900, 7900), doubt.within(8100, 8100), doubt.within(99_000, 99_000)]).toEqual([
      null,
      "failed over",
      "failed over",
    ]);
    expect(doubt.isOpen).toBe(true);
    doubt.end(12_000);
    expect([doubt.within(11_000, 11_000), doubt.within(12_001, 12_001), doubt.isOpen]).toEqual([
      "failed over",
      null,
      false,
    ]);
    doubt.begin("emptied", 13_000);
    doubt.end(13_001);
    expect([doubt.within(1, 1), doubt.within(11_000, 11_000), doubt.within(13_002, 13_002)]).toEqual([
      "emptied",
      "emptied",
      null,
    ]);
    expect(doubt.lossCount).toBe(4);
    // Taken before the loss, answered behind it: a 200 that was 300 ms on its way counted as a message never stored.
    expect(doubt.within(13_000, 13_300)).toBe("emptied");
  });
});
