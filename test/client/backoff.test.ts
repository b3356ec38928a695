import { describe, expect, it } from "vitest";
import { backoffMs } from "../../src/client/backoff.ts";

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
