import { describe, expect, it } from "vitest";

import { median, pairedRatios, readable, readableSummary, summarize } from "../../load/bench/statistics.ts";

describe("the middle of several runs", () => {
  it.each([
    { name: "odd", figures: [9, 1, 5], expected: 5 },
    { name: "even: the mean of the two in the middle", figures: [1, 10, 4, 2], expected: 3 },
    { name: "one", figures: [7], expected: 7 },
    { name: "numbers, not texts", figures: [10, 9, 100], expected: 10 },
  ])("$name", ({ figures, expected }) => expect(median(figures)).toBe(expected));

  it("one disturbed run moves the range, not the middle", () => {
    expect(summarize([5, 5.1, 50, 4.9, 5])).toEqual({ median: 5, min: 4.9, max: 50, count: 5 });
    expect(summarize([])).toBeNull();
  });
});

describe("ratios are taken round by round", () => {
  it("a slow round of both is no difference", () => {
    expect(pairedRatios([10, 20, 10], [5, 10, 5])).toEqual([2, 2, 2]);
  });

  it.each([
    { name: "a failed run of ours", of: [10, null, 30], against: [10, 10, 10] },
    { name: "a failed run of theirs", of: [10, 20, 30], against: [10, null, 10] },
    { name: "a figure of zero", of: [10, 20, 30], against: [10, 0, 10] },
  ])("$name leaves its round out", ({ of, against }) => expect(pairedRatios(of, against)).toEqual([1, 3]));

  it("a variant that was not measured has none", () => expect(pairedRatios([1, 2], [])).toEqual([]));
});

describe("figures for people", () => {
  it.each([
    [1_234_567, "1,230,000"],
    [1000, "1,000"],
    [999.4, "999"],
    [12.345, "12.3"],
    [1.234, "1.23"],
    [0.012_34, "0.0123"],
    [0, "0"],
    [Number.NaN, "–"],
  ])("%d is %s", (figure, text) => expect(readable(figure)).toBe(text));

  it("names the range where there was more than one run", () => {
    expect(readableSummary(summarize([5]))).toBe("5.00");
    expect(readableSummary(summarize([4, 6, 5]))).toBe("5.00 (4.00–6.00)");
    expect(readableSummary(null)).toBe("–");
  });
});
