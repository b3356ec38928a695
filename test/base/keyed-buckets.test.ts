import { describe, expect, it } from "vitest";

import { KeyedBuckets } from "../../src/base/keyed-buckets.ts";

describe("KeyedBuckets", () => {
  it("gives each key its own rate, at the limit and one past it, and again a second later", () => {
    const buckets = new KeyedBuckets(2);
    expect([1, 2, 3].map(() => buckets.take("a", 1, 0))).toEqual([true, true, false]);
    expect(buckets.take("b", 1, 0)).toBe(true);
    expect(buckets.has("a", 0)).toBe(false);
    expect(buckets.has("never seen", 0)).toBe(true);
    expect([1, 2, 3].map(() => buckets.take("a", 1, 1000))).toEqual([true, true, false]);
  });

  it("without a rate takes all and keeps nothing", () => {
    const buckets = new KeyedBuckets(null);
    for (let index = 0; index < 100; index += 1) expect(buckets.take(`${index}`, 1000, 0)).toBe(true);
    expect(buckets.size).toBe(0);
  });

  it("forgets keys that rested, so that a crowd of strangers leaves nothing behind", () => {
    const buckets = new KeyedBuckets(5);
    for (let index = 0; index < 10_000; index += 1) buckets.take(`key${index}`, 1, index);
    // A second has a thousand of them, and the sweep is two for one.
    expect(buckets.size).toBeLessThanOrEqual(1002);
    for (let index = 0; index < 2000; index += 1) buckets.take("one", 1, 60_000);
    expect(buckets.size).toBe(1);
  });

  it("does not forget a debt: a burst larger than the rate is paid off first", () => {
    const buckets = new KeyedBuckets(1);
    expect(buckets.take("debtor", 10, 0)).toBe(true);
    for (let index = 0; index < 10; index += 1) buckets.take(`other${index}`, 1, 5000);
    expect(buckets.take("debtor", 1, 5000)).toBe(false);
    expect(buckets.take("debtor", 1, 11_000)).toBe(true);
  });

  it("never keeps more keys than it may, whatever comes in one moment", () => {
    const buckets = new KeyedBuckets(1, 100);
    for (let index = 0; index < 1000; index += 1) buckets.take(`key${index}`, 1, 0);
    expect(buckets.size).toBe(100);
    expect(buckets.take("key999", 1, 0), "the newest are kept").toBe(false);
  });
});
