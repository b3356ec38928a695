import { describe, expect, it } from "vitest";

import { DeliveryLedger } from "../../load/delivery-ledger.ts";

interface Event {
  readonly accept?: [topic: string, number: number, seq: number];
  readonly arrive?: [subscriber: number, topic: string, number: number, seq: number];
}

function reportOf(subscriberCount: number, events: readonly Event[]) {
  const ledger = new DeliveryLedger(subscriberCount);
  for (const { accept, arrive } of events) {
    if (accept !== undefined) ledger.accept(...accept);
    if (arrive !== undefined) ledger.arrive(...arrive);
  }
  return ledger.close();
}

const clean = { missing: 0, duplicates: 0, reordered: 0, moved: 0, unconfirmed: 0 };

describe("the delivery ledger", () => {
  it("is content when every subscriber got every accepted message once and in order", () => {
    const report = reportOf(2, [
      { accept: ["a", 1, 7] },
      { arrive: [0, "a", 1, 7] },
      { arrive: [1, "a", 1, 7] },
      { accept: ["a", 2, 8] },
      { arrive: [1, "a", 2, 8] },
      { arrive: [0, "a", 2, 8] },
    ]);
    expect(report).toEqual({ ...clean, accepted: 2, expected: 4, delivered: 4, examples: [] });
  });

  it("lets a message arrive before its answer", () => {
    const report = reportOf(1, [{ arrive: [0, "a", 1, 7] }, { accept: ["a", 1, 7] }]);
    expect(report).toMatchObject({ ...clean, delivered: 1 });
  });

  it.each([
    {
      name: "missing at one of two subscribers",
      events: [{ accept: ["a", 1, 7] }, { arrive: [1, "a", 1, 7] }] satisfies Event[],
      found: { missing: 1 },
      example: { kind: "missing", subscriber: 0, topic: "a", number: 1, seq: 7 },
    },
    {
      name: "twice",
      events: [
        { accept: ["a", 1, 7] },
        { arrive: [0, "a", 1, 7] },
        { arrive: [1, "a", 1, 7] },
        { arrive: [1, "a", 1, 7] },
      ],
      found: { duplicates: 1 },
      example: { kind: "duplicate", subscriber: 1, topic: "a", number: 1, seq: 7 },
    },
    {
      name: "out of order",
      events: [
        { accept: ["a", 1, 7] },
        { accept: ["a", 2, 8] },
        { arrive: [0, "a", 2, 8] },
        { arrive: [0, "a", 1, 7] },
        { arrive: [1, "a", 1, 7] },
        { arrive: [1, "a", 2, 8] },
      ],
      found: { reordered: 1 },
      example: { kind: "reordered", subscriber: 0, topic: "a", number: 1, seq: 7 },
    },
    {
      name: "at another position than was answered",
      events: [{ accept: ["a", 1, 7] }, { arrive: [0, "a", 1, 9] }, { arrive: [1, "a", 1, 7] }],
      found: { moved: 1 },
      example: { kind: "moved", subscriber: 0, topic: "a", number: 1, seq: 7 },
    },
  ] satisfies { name: string; events: Event[]; found: object; example: object }[])(
    "finds what is $name",
    ({ events, found, example }) => {
      const report = reportOf(2, events);
      expect(report).toMatchObject({ ...clean, ...found });
      expect(report.examples).toEqual([example]);
    },
  );

  it("does not blame a message whose answer was lost", () => {
    expect(reportOf(1, [{ arrive: [0, "a", 1, 7] }])).toMatchObject({
      ...clean,
      unconfirmed: 1,
      delivered: 1,
    });
  });

  it("keeps topics apart, and few examples of many", () => {
    const events = Array.from({ length: 50 }, (_, index): Event => ({ accept: [`t${index}`, 1, 1] }));
    const report = reportOf(1, events);
    expect(report.missing).toBe(50);
    expect(report.examples).toHaveLength(10);
  });
});
