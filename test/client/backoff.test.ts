import { describe, expect, it } from "vitest";
import { backoffMs, mayComeBack } from "../../src/client/backoff.ts";

describe("backoff", () => {
  it.each([
    ["the first wait, lowest", 0, 0, 250],
    ["the first wait, highest", 0, 1, 500],
    ["doubles", 3, 1, 4000],
    ["never passes 30 s", 9, 1, 30_000],
    ["never passes 30 s after a thousand attempts", 1000, 1, 30_000],
    ["keeps half of it at the ceiling", 1000, 0, 15_000],
  ])("%s", (_name, attempt, die, expected) => {
    expect(backoffMs(attempt, die)).toBe(expected);
  });
});

describe("close codes as advice", () => {
  it.each([
    [1000, true],
    [1006, true],
    [1009, true],
    [4000, true],
    [4499, true],
    [4500, false],
    [4999, false],
  ])("%i comes back: %s", (code, expected) => {
    expect(mayComeBack(code)).toBe(expected);
  });
});
