import { describe, expect, it } from "vitest";

import { RestartBackoff } from "../../src/primary/restart-backoff.ts";

describe("restart with backoff", () => {
  it("doubles from 100 ms to 30 s", () => {
    const backoff = new RestartBackoff(() => 0.999_999);
    const delays = Array.from({ length: 11 }, () => backoff.nextDelayMs(0));
    expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
  });

  it("takes at least half of the step", () => {
    const backoff = new RestartBackoff(() => 0);
    expect([backoff.nextDelayMs(0), backoff.nextDelayMs(0)]).toEqual([50, 100]);
  });

  it("begins again after five stable seconds, and not a moment earlier", () => {
    const backoff = new RestartBackoff(() => 0);
    backoff.nextDelayMs(0);
    expect(backoff.nextDelayMs(4999)).toBe(100);
    expect(backoff.nextDelayMs(5000)).toBe(50);
  });
});
