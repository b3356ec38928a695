import { expect, it } from "vitest";
import { shortened } from "../../src/cli/text-table.ts";

it.each([
  ["abcdef", 6, "abcdef"],
  ["abcdefg", 6, "abcde…"],
  // Two columns each.
  ["行情行情", 8, "行情行情"],
  ["行情行情", 7, "行情行…"],
  ["行情行情", 6, "行情…"],
  ["行情", 1, "…"],
])("%s in %i columns: %s", (text, width, short) => {
  expect(shortened(text, width)).toBe(short);
});
