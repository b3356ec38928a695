import { describe, expect, it } from "vitest";

import { TokenBucket } from "../../src/base/token-bucket.ts";

describe("TokenBucket: a rate with a burst of one second's worth", () => {
  it("lets the burst pass, and not one more", () => {
    const bucket = new TokenBucket(5, 0);
    expect(Array.from({ length: 7 }, () => bucket.take(1, 0))).toEqual([
      true, true, true, true, true, false, false,
    ]); // prettier-ignore
  });

  it("refills at its rate, and what was refused cost nothing", () => {
    const bucket = new TokenBucket(5, 0);
    bucket.take(5, 0);
    expect(bucket.take(1, 199)).toBe(false);
    expect(bucket.take(1, 200)).toBe(true);
    expect(bucket.take(1, 200)).toBe(false);
    expect(bucket.take(2, 600)).toBe(true);
  });

  it("never holds more than the burst, however long nothing happened", () => {
    const bucket = new TokenBucket(5, 0);
    expect(bucket.take(5, 1e9)).toBe(true);
    expect(bucket.take(1, 1e9)).toBe(false);
  });

  it("allows the rate over a long time and no more", () => {
    const bucket = new TokenBucket(100, 0);
    let taken = 0;
    for (let nowMs = 0; nowMs < 10_000; nowMs += 1) if (bucket.take(1, nowMs)) taken += 1;
    expect(taken).toBeGreaterThanOrEqual(1095);
    expect(taken).toBeLessThanOrEqual(1100);
  });

  it("one taking larger than the burst passes when the bucket is full, and is paid off", () => {
    const bucket = new TokenBucket(1000, 0);
    expect(bucket.take(1, 0)).toBe(true);
    expect(bucket.take(5000, 0)).toBe(false);
    expect(bucket.take(5000, 1)).toBe(true);
    expect(bucket.take(1, 4000)).toBe(false);
    expect(bucket.take(1, 4002)).toBe(true);
  });

  it("no limit", () => {
    expect(new TokenBucket(null, 0).take(1e12, 0)).toBe(true);
  });
});
