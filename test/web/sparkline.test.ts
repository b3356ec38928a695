import { describe, expect, it } from "vitest";
import { sparklinePoints } from "../../src/web/sparkline.ts";

describe("sparkline points", () => {
  it.each([
    ["nothing", [], ""],
    ["one value sits in the middle of the right edge", [5], "97,10"],
    ["all equal is a level line", [5, 5], "92.9,10 97,10"],
    ["the lowest is at the bottom, the highest on top", [1, 2, 3], "88.8,17 92.9,10 97,3"],
  ])("%s", (_name, values, points) => {
    expect(sparklinePoints(values, 100, 20)).toBe(points);
  });

  it("fills the width once there are enough values", () => {
    const points = sparklinePoints(
      Array.from({ length: 50 }, (_, index) => index),
      100,
      20,
    ).split(" ");
    expect(points[0]).toBe("3,17");
    expect(points.at(-1)).toBe("97,3");
  });
});
