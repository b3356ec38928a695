import { describe, expect, it } from "vitest";

import { PlainHistogram } from "../../src/base/plain-histogram.ts";

describe("PlainHistogram", () => {
  it.each([
    { name: "below the first bound", value: 0.5, bucket: 0 },
    { name: "on a bound", value: 1, bucket: 0 },
    { name: "just above a bound", value: 1.001, bucket: 1 },
    { name: "on the last bound", value: 10, bucket: 1 },
    { name: "above all bounds", value: 11, bucket: 2 },
  ])("$name", ({ value, bucket }) => {
    const histogram = new PlainHistogram([1, 10]);
    histogram.observe(value);
    expect(
      histogram.counts.map((count, index) => (count === 1 ? index : -1)).filter((index) => index >= 0),
    ).toEqual([bucket]);
    expect(histogram).toMatchObject({ sum: value, count: 1 });
  });
});
