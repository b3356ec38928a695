import { describe, expect, it } from "vitest";

import { AcceptedBooks } from "../../load/publishing/accepted-books.ts";
import { mergedReports, SubscriberBooks } from "../../load/swarm/subscriber-books.ts";
import type { SwarmTopic } from "../../load/swarm/swarm-plan.ts";

interface Event {
  readonly accept?: [topic: number, number: number, seq: number];
  readonly join?: [subscriber: number, topic: number, newest: number, seq: number];
  readonly arrive?: [subscriber: number, topic: number, number: number, seq: number];
  readonly told?: [subscriber: number, topic: number, count: number];
}

const every: SwarmTopic = { name: "trade.x.0", delivery: "every" };
const latest: SwarmTopic = { name: "quote.x.0", delivery: "latest" };
const sample: SwarmTopic = { name: "danmaku.x.0", delivery: "sample" };

/** All are subscribed from the beginning, unless they join. */
function reportOf(topics: readonly SwarmTopic[], subscribers: number, events: readonly Event[]) {
  const accepted = new AcceptedBooks(topics.length);
  const books = new SubscriberBooks(topics, subscribers, 40);
  const joiners = new Set(events.flatMap(({ join }) => (join === undefined ? [] : [join[0]])));
  for (let subscriber = 0; subscriber < subscribers; subscriber++) {
    if (joiners.has(subscriber)) continue;
    for (const topic of topics.keys()) books.subscribed(subscriber, topic, 0, 0);
  }
  for (const { accept, join, arrive, told } of events) {
    if (accept !== undefined) accepted.accept(...accept);
    if (join !== undefined) books.subscribed(...join);
    if (arrive !== undefined) books.arrive(...arrive);
    if (told !== undefined) books.toldLost(...told);
  }
  const behind = books.behind(accepted.summaries());
  return { ...books.close(accepted.seqs()), behind };
}

const clean = { missing: 0, duplicates: 0, reordered: 0, moved: 0, unconfirmed: 0 };

describe("the books of a topic where nothing may be missed", () => {
  it("are content when every subscriber got every accepted message once and in order", () => {
    const report = reportOf([every], 2, [
      { accept: [0, 1, 7] },
      { arrive: [0, 0, 1, 7] },
      { arrive: [1, 0, 1, 7] },
      { accept: [0, 2, 8] },
      { arrive: [1, 0, 2, 8] },
      { arrive: [0, 0, 2, 8] },
    ]);
    expect(report).toEqual({ ...clean, expected: 4, delivered: 4, toldLost: 0, behind: 0, examples: [] });
  });

  it("let a message arrive before its answer", () => {
    expect(reportOf([every], 1, [{ arrive: [0, 0, 1, 7] }, { accept: [0, 1, 7] }])).toMatchObject(clean);
  });

  it.each([
    {
      name: "missing at the end, at one of two",
      events: [{ accept: [0, 1, 7] }, { arrive: [1, 0, 1, 7] }],
      found: { missing: 1, behind: 1 },
      example: { kind: "missing", subscriber: 40, topic: every.name, number: 1, seq: 7 },
    },
    {
      name: "missing in the middle",
      events: [
        { accept: [0, 1, 7] },
        { accept: [0, 2, 8] },
        { arrive: [0, 0, 2, 8] },
        { arrive: [1, 0, 1, 7] },
        { arrive: [1, 0, 2, 8] },
      ],
      found: { missing: 1, behind: 1 },
      example: { kind: "missing", subscriber: 40, topic: every.name, number: 1, seq: 7 },
    },
    {
      name: "twice",
      events: [
        { accept: [0, 1, 7] },
        { arrive: [0, 0, 1, 7] },
        { arrive: [1, 0, 1, 7] },
        { arrive: [1, 0, 1, 7] },
      ],
      found: { duplicates: 1 },
      example: { kind: "duplicate", subscriber: 41, topic: every.name, number: 1, seq: 7 },
    },
    {
      name: "out of order",
      events: [
        { accept: [0, 1, 7] },
        { accept: [0, 2, 8] },
        { arrive: [0, 0, 2, 8] },
        { arrive: [0, 0, 1, 7] },
        { arrive: [1, 0, 1, 7] },
        { arrive: [1, 0, 2, 8] },
      ],
      found: { reordered: 1 },
      example: { kind: "reordered", subscriber: 40, topic: every.name, number: 1, seq: 7 },
    },
    {
      name: "at another position than somebody else had it",
      events: [{ accept: [0, 1, 7] }, { arrive: [1, 0, 1, 7] }, { arrive: [0, 0, 1, 9] }],
      found: { moved: 1 },
      example: { kind: "moved", subscriber: 40, topic: every.name, number: 1, seq: 9 },
    },
    {
      name: "at another position than was answered",
      events: [{ arrive: [0, 0, 1, 9] }, { arrive: [1, 0, 1, 9] }, { accept: [0, 1, 7] }],
      found: { moved: 1 },
      example: { kind: "moved", subscriber: 40, topic: every.name, number: 1, seq: 7 },
    },
  ] satisfies { name: string; events: Event[]; found: object; example: object }[])(
    "find what is $name",
    ({ events, found, example }) => {
      const report = reportOf([every], 2, events);
      expect(report).toMatchObject({ ...clean, ...found });
      expect(report.examples).toEqual([example]);
    },
  );

  it("do not blame a message whose answer was lost, arrived or not", () => {
    expect(reportOf([every], 1, [{ arrive: [0, 0, 1, 7] }])).toMatchObject({ ...clean, unconfirmed: 1 });
    const jumped: Event[] = [{ arrive: [0, 0, 2, 7] }, { accept: [0, 2, 7] }];
    expect(reportOf([every], 1, jumped)).toMatchObject(clean);
  });

  it("begin for who comes later where he came", () => {
    const report = reportOf([every], 1, [
      { accept: [0, 1, 7] },
      { accept: [0, 2, 8] },
      { join: [0, 0, 2, 8] },
      { accept: [0, 3, 9] },
      { accept: [0, 4, 10] },
      { arrive: [0, 0, 3, 9] },
    ]);
    expect(report).toMatchObject({ ...clean, expected: 2, missing: 1, behind: 1 });
  });

  it("find what a return without recovery leaves out", () => {
    const report = reportOf([every], 1, [
      { join: [0, 0, 0, 0] },
      { accept: [0, 1, 7] },
      { accept: [0, 2, 8] },
      { accept: [0, 3, 9] },
      { arrive: [0, 0, 1, 7] },
      { join: [0, 0, 3, 9] },
    ]);
    expect(report).toMatchObject({ missing: 1, examples: [{ kind: "missing", number: 2 }] });
  });

  it("keep topics apart, and few examples of many", () => {
    const topics = Array.from({ length: 50 }, (_, index) => ({ ...every, name: `trade.x.${index}` }));
    const report = reportOf(
      topics,
      1,
      topics.map((_, topic): Event => ({ accept: [topic, 1, 1] })),
    );
    expect(report.missing).toBe(50);
    expect(report.examples).toHaveLength(10);
  });
});

describe("the books of a topic where the newest counts", () => {
  const accepted: Event[] = [{ accept: [0, 1, 1] }, { accept: [0, 2, 2] }, { accept: [0, 3, 3] }];

  it("let values be jumped over", () => {
    const report = reportOf([latest], 1, [...accepted, { arrive: [0, 0, 1, 1] }, { arrive: [0, 0, 3, 3] }]);
    expect(report).toMatchObject({ ...clean, expected: 1, delivered: 2, behind: 0 });
  });

  it.each([
    {
      name: "the newest is missing",
      events: [{ arrive: [0, 0, 2, 2] }],
      found: { missing: 1, behind: 1 },
    },
    {
      name: "an older one comes after a newer one",
      events: [{ arrive: [0, 0, 3, 3] }, { arrive: [0, 0, 2, 2] }],
      found: { reordered: 1 },
    },
    {
      name: "the same comes twice",
      events: [{ arrive: [0, 0, 3, 3] }, { arrive: [0, 0, 3, 3] }],
      found: { duplicates: 1 },
    },
  ] satisfies { name: string; events: Event[]; found: object }[])("find that $name", ({ events, found }) => {
    expect(reportOf([latest], 1, [...accepted, ...events])).toMatchObject({ ...clean, ...found });
  });
});

describe("the books of a sampled topic", () => {
  const accepted = Array.from({ length: 10 }, (_, index): Event => ({ accept: [0, index + 1, index + 1] }));
  const arrived: Event[] = [{ arrive: [0, 0, 2, 2] }, { arrive: [0, 0, 7, 7] }];

  it.each([
    { told: 8, found: { missing: 0, behind: 0 } },
    { told: 7, found: { missing: 1, behind: 1 } },
    { told: 9, found: { duplicates: 1, behind: 0 } },
  ])("two of ten arrived and $told were told", ({ told, found }) => {
    const report = reportOf([sample], 1, [...accepted, ...arrived, { told: [0, 0, told] }]);
    expect(report).toMatchObject({ ...clean, expected: 10, delivered: 2, toldLost: told, ...found });
  });
});

it("the books of several processes add up", () => {
  const one = reportOf([every], 1, [{ accept: [0, 1, 7] }]);
  const other = reportOf([every], 1, [{ accept: [0, 1, 7] }, { arrive: [0, 0, 1, 7] }]);
  expect(mergedReports([one, other])).toMatchObject({ expected: 2, delivered: 1, missing: 1 });
});
