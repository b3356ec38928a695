/**
 * A 503 that is due within 2 s of a request came after 6 s once: the request had waited for us to read it, and only
 * then its time began.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Arrivals } from "../../src/http/arrivals.ts";

let nowMs = 5000;
let arrivals: Arrivals;

/** The event loop goes on for so long without standing still. */
function go(ms: number): void {
  for (let step = 0; step < ms; step += 1) {
    nowMs += 1;
    vi.advanceTimersByTime(1);
  }
}

/** It stands still, and then its timers are called: it is about to poll. */
function stand(ms: number): void {
  nowMs += ms;
  vi.advanceTimersByTime(50);
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  arrivals = new Arrivals(() => nowMs);
  arrivals.start();
});
afterEach(() => {
  arrivals.stop();
  vi.useRealTimers();
});

describe("when a request came", () => {
  it("is now, while the loop goes round", () => {
    for (let round = 0; round < 20; round += 1) {
      go(37);
      expect(arrivals.earliestMs).toBe(nowMs);
    }
  });

  it("may be any time since the loop stood still, for what the next three polls read, and for nothing later", async () => {
    go(50);
    const lookedMs = nowMs;
    stand(3000);
    expect(arrivals.earliestMs).toBe(lookedMs + 50);
    nowMs += 40;
    for (let polls = 0; polls < 3; polls += 1) {
      expect(arrivals.earliestMs).toBe(lookedMs + 50);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(arrivals.earliestMs).toBe(nowMs);
  });

  it("is told by each time that the loop stood still for three polls, also where that is all it does", async () => {
    go(50);
    const dueMs: number[] = [];
    for (let round = 0; round < 20; round += 1) {
      dueMs.push(nowMs + 50);
      stand(300);
      expect(arrivals.earliestMs).toBe(dueMs[Math.max(0, round - 2)]);
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (let polls = 0; polls < 2; polls += 1) {
      expect(arrivals.earliestMs).toBe(dueMs[18 + polls]);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(arrivals.earliestMs).toBe(nowMs);
  });

  it("is now again when it has stopped looking", () => {
    arrivals.stop();
    stand(3000);
    expect(arrivals.earliestMs).toBe(nowMs);
  });
});
