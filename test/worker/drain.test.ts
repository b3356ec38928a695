/** DESIGN §6: a worker that goes closes its connections without a stampede. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { closePaced, sleep } from "../../src/worker/drain.ts";
import type { DrainTarget } from "../../src/worker/drain.ts";

interface Target extends DrainTarget {
  readonly calls: string[];
  closedMs: number;
  reconnectAfterMs: number;
}

function targets(count: number): Target[] {
  return Array.from({ length: count }, () => {
    const target: Target = {
      calls: [],
      closedMs: -1,
      reconnectAfterMs: -1,
      depart(reconnectAfterMs) {
        target.calls.push("depart");
        target.reconnectAfterMs = reconnectAfterMs;
      },
      close(code, reason) {
        target.calls.push(`close ${code} ${reason}`);
        target.closedMs = Date.now();
      },
    };
    return target;
  });
}

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
});

afterEach(() => {
  vi.useRealTimers();
});

async function drain(all: Target[], deadlineMs: number): Promise<number> {
  let doneMs = -1;
  void closePaced(all, deadlineMs).then(() => {
    doneMs = Date.now();
  });
  await vi.advanceTimersByTimeAsync(60_000);
  return doneMs;
}

describe("closePaced", () => {
  it("says goodbye to each, then closes it with 4000", async () => {
    const all = targets(3);
    await drain(all, 10_000);
    expect(all.map(({ calls }) => calls)).toEqual(all.map(() => ["depart", "close 4000 restart"]));
  });

  it("nobody to close is done at once", async () => {
    expect(await drain([], 10_000)).toBe(0);
  });

  it("a few are closed at once", async () => {
    const all = targets(50);
    expect(await drain(all, 10_000)).toBe(0);
  });

  it.each([
    {
      name: "long deadline: over two seconds",
      count: 100_000,
      deadlineMs: 30_000,
      withinMs: 2000,
      rounds: 100,
    },
    { name: "short deadline: over half of it", count: 100_000, deadlineMs: 1000, withinMs: 500, rounds: 25 },
    { name: "no time at all: in one go", count: 10_000, deadlineMs: 0, withinMs: 0, rounds: 1 },
  ])("many are spread: $name", async ({ count, deadlineMs, withinMs, rounds }) => {
    const all = targets(count);
    const doneMs = await drain(all, deadlineMs);
    expect(doneMs).toBeLessThanOrEqual(withinMs);
    expect(all.every(({ calls }) => calls.length === 2)).toBe(true);
    const perRound = new Map<number, number>();
    for (const { closedMs } of all) perRound.set(closedMs, (perRound.get(closedMs) ?? 0) + 1);
    expect(perRound.size).toBe(rounds);
    expect(Math.max(...perRound.values())).toBeLessThanOrEqual(Math.ceil(count / rounds));
  });

  it("each is told a time of its own to come back, between 250 and 4,000 ms, in whole milliseconds", async () => {
    const all = targets(2000);
    await drain(all, 10_000);
    const times = all.map(({ reconnectAfterMs }) => reconnectAfterMs);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(250);
    expect(Math.max(...times)).toBeLessThanOrEqual(4000);
    expect(times.every((time) => Number.isInteger(time))).toBe(true);
    // Spread: each quarter of the range has its share.
    for (let quarter = 0; quarter < 4; quarter += 1) {
      const from = 250 + quarter * 937.5;
      expect(times.filter((time) => time >= from && time <= from + 937.5).length).toBeGreaterThan(350);
    }
  });
});

describe("sleep", () => {
  it("resolves after its time and does not keep the process alive", async () => {
    let isOver = false;
    void sleep(100).then(() => {
      isOver = true;
    });
    await vi.advanceTimersByTimeAsync(99);
    expect(isOver).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(isOver).toBe(true);
    vi.useRealTimers();
    const unref = vi.spyOn(setTimeout(() => undefined, 0).constructor.prototype as NodeJS.Timeout, "unref");
    void sleep(0);
    expect(unref).toHaveBeenCalledTimes(1);
    unref.mockRestore();
  });
});
