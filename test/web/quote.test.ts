import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { difference, percentChange } from "../../src/web/decimal.ts";
import { Quote, seenValuesMax, signed } from "../../src/web/quote.ts";

/** Cents as a price with two decimals. */
function text(cents: number): string {
  const digits = String(Math.abs(cents)).padStart(3, "0");
  return `${cents < 0 ? "-" : ""}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

describe("exact differences of prices", () => {
  const rows: [
    name: string,
    later: string,
    earlier: string,
    change: string | null,
    percent: string | null,
  ][] = [
    ["a rise that floats cannot write", "189.40", "189.30", "0.10", "0.05"],
    ["a fall", "189.30", "189.40", "-0.10", "-0.05"],
    ["a fall below one", "0.5", "0.75", "-0.25", "-33.33"],
    ["no change keeps its decimals", "1.10", "1.10", "0.00", "0.00"],
    ["different decimals take the longer", "2", "1.125", "0.875", "77.78"],
    ["digits beyond a double", "12345678901234567890.1", "12345678901234567890.0", "0.1", "0.00"],
    ["exponents", "1e3", "9.99E2", "1", "0.10"],
    ["small exponents", "15e-1", "1", "0.5", "50.00"],
    ["from zero there is no percent", "1", "0", "1", null],
    ["from a negative price", "-37.63", "18.27", "-55.90", "-305.97"],
    ["no number", "abc", "1", null, null],
    ["a number of absurd size", "1e9999", "1", null, null],
  ];
  it.each(rows)("%s", (_name, later, earlier, change, percent) => {
    expect(difference(later, earlier)).toBe(change);
    expect(percentChange(later, earlier)).toBe(percent);
  });

  it("is exact for all cents", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), (later, earlier) => {
        expect(difference(text(later), text(earlier))).toBe(text(later - earlier));
      }),
    );
  });
});

describe("a quote", () => {
  it("keeps the decimals as published and moves against the value before", () => {
    const quote = new Quote();
    expect(quote.take('{"symbol":"AAPL","price":189.30,"date":"2000-01-01"}')).toBe(true);
    expect(quote).toMatchObject({
      last: "189.30",
      change: null,
      percent: null,
      direction: "same",
      date: "2000-01-01",
    });
    quote.take('{"price":189.4}');
    expect(quote).toMatchObject({ last: "189.4", change: "0.10", direction: "up", date: null });
    quote.take('{"price":189.00}');
    expect(quote).toMatchObject({ last: "189.00", change: "-0.40", direction: "down" });
    quote.take('{"price":189}');
    expect(quote).toMatchObject({ last: "189", change: "0.00", direction: "same" });
    expect(quote.seen).toEqual([189.3, 189.4, 189, 189]);
  });

  it.each([
    ["a bare number", "12.50", "12.50"],
    ["a quoted price", '{"price":"12.50"}', "12.50"],
    ["a candle without price", '{"open":1,"close":12.50}', "12.50"],
    ["a price before a close", '{"close":1,"price":12.50}', "12.50"],
  ])("reads %s", (_name, text, last) => {
    const quote = new Quote();
    expect(quote.take(text)).toBe(true);
    expect(quote.last).toBe(last);
  });

  it.each([
    ["null", "null"],
    ["a text", '"hello"'],
    ["an object without a price", '{"text":"hello"}'],
    ["a price that is none", '{"price":null}'],
    ["a nested price", '{"price":{"bid":1}}'],
  ])("changes nothing on %s", (_name, text) => {
    const quote = new Quote();
    quote.take("1.5");
    expect(quote.take(text)).toBe(false);
    expect(quote).toMatchObject({ last: "1.5", seen: [1.5] });
  });

  it("keeps a bounded number of values", () => {
    const quote = new Quote();
    for (let value = 0; value <= seenValuesMax; value += 1) quote.take(String(value));
    expect(quote.seen).toHaveLength(seenValuesMax);
    expect(quote.seen[0]).toBe(1);
  });

  it.each([
    ["0.10", "+0.10"],
    ["-0.10", "\u22120.10"],
    ["0.00", "0.00"],
  ])("writes %s as %s", (text, expected) => {
    expect(signed(text)).toBe(expected);
  });
});
