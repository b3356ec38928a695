import { describe, expect, it } from "vitest";

import { Largest } from "../../src/base/largest.ts";

describe("the largest of many", () => {
  it("are the same as sorting all of them gives", () => {
    // A walk over all residues, in no order.
    const scores = Array.from({ length: 1009 }, (_, index) => (index * 271) % 1009);
    for (const countMax of [1, 2, 7, 400, 1009, 2000]) {
      const largest = new Largest<number>(countMax);
      for (const score of scores) largest.offer(score, score);
      expect(largest.take()).toEqual(scores.toSorted((left, right) => right - left).slice(0, countMax));
    }
  });

  it("keeps those that came first among equals, and some of those that count nothing", () => {
    const largest = new Largest<string>(3);
    for (const name of ["a", "b", "c", "d", "e", "f", "g"]) largest.offer(0, name);
    largest.offer(1, "one");
    expect(largest.take()).toEqual(["one", "a", "b"]);
  });
});
