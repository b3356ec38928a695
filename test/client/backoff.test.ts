import { describe, expect, it } from "vitest";
import { backoffMs } from "../../src/client/backoff.ts";

describe("backoff", () => {
  it.each<[name: string, attempt: number, die: number, expected: number, maxMs?: number]>([
    ["the first wait, lowest", 0, 0, 250],
    ["the first wait, highest", 0, 1, 500],
    ["doubles", 3, 1, 4000],
    ["never passes 30 s", 9, 1, 30_000],
    ["never passes 30 s after a thousand attempts", 1000, 1, 30_000],
    ["has a lower ceiling where it is asked for", 1000, 1, 5000, 5000],
    ["keeps half of it at the ceiling", 1000, 0, 15_000],
  ])("%s", (_name, attempt, die, expected, maxMs) => {
    expect(backoffMs(attempt, die, maxMs)).toBe(expected);
  });
});
