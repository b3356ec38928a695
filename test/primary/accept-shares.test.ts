import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { AcceptShares, shareOf, type ShareHolder } from "../../src/primary/accept-shares.ts";

function holder(
  sockets: number,
  heardMs = 0,
  isAccepting = true,
): ShareHolder & { readonly told: unknown[] } {
  const told: unknown[] = [];
  return { sockets, heardMs, isAccepting, told, sendShare: (share) => void told.push(share) };
}

describe("the share of a worker", () => {
  it.each([
    { name: "one worker has none", sockets: [500], share: null },
    { name: "nobody has any yet", sockets: [0, 0], share: 10 },
    { name: "a tenth and ten above the mean", sockets: [100, 300], share: 230 },
    { name: "four workers", sockets: [0, 0, 0, 400], share: 120 },
  ])("$name", ({ sockets, share }) => {
    const holders = sockets.map((count) => holder(count));
    expect(shareOf(holders, 0)).toBe(share);
  });

  it("does not wait for a worker that stands still", () => {
    const still = holder(0, 0);
    const others = [holder(1000, 2000), holder(1000, 2000)];
    expect(shareOf([still, ...others], 2000)).toBe(1110);
    expect(shareOf([still, holder(1000, 2000)], 2000)).toBeNull();
  });
});

describe("the word about shares", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("is given once for many changes, again when it changed, and not to who does not accept", () => {
    const nowMs = performance.now();
    const holders = [holder(0, nowMs), holder(100, nowMs)];
    const draining = holder(5000, nowMs, false);
    const shares = new AcceptShares(() => [...holders, draining]);
    for (let change = 0; change < 5; change += 1) shares.changed();
    vi.advanceTimersByTime(60);
    shares.changed();
    vi.advanceTimersByTime(60);
    expect(holders.map(({ told }) => told)).toEqual([[65], [65]]);
    holders[0] = holder(100, nowMs);
    shares.changed();
    vi.advanceTimersByTime(60);
    expect(holders.map(({ told }) => told)).toEqual([[120], [65, 120]]);
    expect(draining.told).toEqual([]);
  });

  it("is not given again for a share that is as good", () => {
    const nowMs = performance.now();
    const holders = [holder(1000, nowMs), holder(1000, nowMs)];
    const shares = new AcceptShares(() => holders);
    const told = (): unknown[] => {
      shares.changed();
      vi.advanceTimersByTime(60);
      return holders[1]?.told.slice() ?? [];
    };
    expect(told()).toEqual([1110]);
    // 4 % of 1,110 are 44.
    holders[0] = holder(1080, nowMs);
    expect(told()).toEqual([1110]);
    holders[0] = holder(1082, nowMs);
    expect(told()).toEqual([1110, 1155]);
  });

  it("stops", () => {
    const holders = [holder(0), holder(100)];
    const shares = new AcceptShares(() => holders);
    shares.changed();
    shares.stop();
    vi.advanceTimersByTime(60);
    expect(holders.flatMap(({ told }) => told)).toEqual([]);
  });
});
