/** When the hub gets its turns: at once while there is little to do, in wider windows under load. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { HubCounters } from "../../src/hub/hub-counters.ts";
import type { Hub } from "../../src/hub/hub.ts";
import { HubPacer } from "../../src/worker/hub-pacer.ts";

/** The part of a hub that a pacer drives. */
class FakeHub {
  readonly counters = new HubCounters();
  windowMs = 0;
  batchWindowMs = 0;
  readonly turns: { readonly atMs: number; readonly budgetMs: number }[] = [];
  /** What the next turns do; each returns when it wants to run again. */
  onTurn: (nowMs: number) => number = () => Number.POSITIVE_INFINITY;

  turn(nowMs: number, budgetMs: number): number {
    this.turns.push({ atMs: nowMs, budgetMs });
    return this.onTurn(nowMs);
  }
}

const nowMs = (): number => performance.now();

function pacerOf(windowMsMax = 20, batchWindowMsMax = 60): { pacer: HubPacer; hub: FakeHub } {
  const pacer = new HubPacer({ nowMs, wallMs: nowMs }, windowMsMax, batchWindowMsMax);
  const hub = new FakeHub();
  pacer.drive(hub as unknown as Hub);
  return { pacer, hub };
}

/** A turn whose writing takes so long. */
function sweeping(hub: FakeHub, takesMs: number): void {
  hub.onTurn = () => {
    hub.counters.flushes += 1;
    clockMs += takesMs;
    return Number.POSITIVE_INFINITY;
  };
}

let clockMs = 0;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setImmediate", "clearImmediate"] });
  clockMs = 5000;
  vi.spyOn(performance, "now").mockImplementation(() => clockMs);
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Moves the clock and the timers together, 1 ms at a time. */
function go(elapsedMs: number): void {
  vi.advanceTimersByTime(0);
  for (let step = 0; step < elapsedMs; step += 1) {
    clockMs += 1;
    vi.advanceTimersByTime(1);
  }
}

describe("HubPacer", () => {
  it.each([
    { name: "now", delayMs: 0 },
    { name: "in the past", delayMs: -100 },
  ])(
    "a wake that is due $name gets a turn at the end of this event-loop turn, one for many",
    ({ delayMs }) => {
      const { pacer, hub } = pacerOf();
      for (let count = 0; count < 5; count += 1) pacer.wake(nowMs() + delayMs);
      expect(hub.turns).toHaveLength(0);
      go(0);
      expect(hub.turns).toEqual([{ atMs: 5000, budgetMs: 5 }]);
      go(1000);
      expect(hub.turns).toHaveLength(1);
    },
  );

  it("a wake that is due later gets a turn then, not before", () => {
    const { pacer, hub } = pacerOf();
    pacer.wake(nowMs() + 49.2);
    go(49);
    expect(hub.turns).toHaveLength(0);
    go(1);
    expect(hub.turns).toHaveLength(1);
  });

  it("the earliest wake counts; later ones make no timer", () => {
    const { pacer, hub } = pacerOf();
    pacer.wake(nowMs() + 500);
    pacer.wake(nowMs() + 100);
    pacer.wake(nowMs() + 300);
    expect(vi.getTimerCount()).toBe(1);
    go(100);
    expect(hub.turns).toHaveLength(1);
    // The hub names what is still due; here nothing.
    expect(vi.getTimerCount()).toBe(0);
  });

  it("the hub's answer is its next wake", () => {
    const { pacer, hub } = pacerOf();
    let rest = 3;
    hub.onTurn = (atMs) => {
      rest -= 1;
      return rest > 0 ? atMs + 100 : Number.POSITIVE_INFINITY;
    };
    pacer.wake(nowMs());
    go(1000);
    expect(hub.turns.map(({ atMs }) => atMs)).toEqual([5000, 5100, 5200]);
  });

  it("a hub that wants to go on at once lets the event loop turn first", () => {
    const { pacer, hub } = pacerOf();
    const order: string[] = [];
    let rest = 2;
    hub.onTurn = (atMs) => {
      order.push("turn");
      rest -= 1;
      if (rest > 0) setImmediate(() => order.push("reading"));
      return rest > 0 ? atMs : Number.POSITIVE_INFINITY;
    };
    pacer.wake(nowMs());
    go(1);
    expect(order).toEqual(["turn", "reading", "turn"]);
  });

  it("adds nothing to the latency of an idle hub: the window stays 0", () => {
    const { pacer, hub } = pacerOf();
    sweeping(hub, 0.4);
    pacer.wake(nowMs());
    go(1);
    expect(hub.windowMs).toBe(0);
    expect(hub.counters.flushDurationMs.count).toBe(1);
    expect(hub.counters.flushDurationMs.sum).toBeCloseTo(0.4);
  });

  it("widens the window with the load up to its limit, and narrows it again", () => {
    const { pacer, hub } = pacerOf(20);
    /** Turns that take `takesMs` of every 10 ms, for as long as the windows are looked at six times. */
    const windowsUnder = (takesMs: number): number[] => {
      const windows: number[] = [];
      while (windows.length < 6) {
        sweeping(hub, takesMs);
        pacer.wake(nowMs());
        go(Math.max(1, 10 - takesMs));
        if (windows.at(-1) !== hub.windowMs) windows.push(hub.windowMs);
        if (windows.length > 1 && hub.windowMs === 0) break;
      }
      return windows;
    };
    const widening = windowsUnder(9);
    expect(widening).toEqual(widening.toSorted((left, right) => left - right));
    expect(hub.windowMs).toBeGreaterThan(18);
    expect(hub.windowMs).toBeLessThanOrEqual(20);
    expect(hub.batchWindowMs).toBeCloseTo(3 * hub.windowMs);
    windowsUnder(1);
    expect(hub.windowMs).toBe(0);
    expect(hub.batchWindowMs).toBe(0);
  });

  it.each([
    { windowMsMax: 20, batchWindowMsMax: 60 },
    { windowMsMax: 0, batchWindowMsMax: 60 },
    { windowMsMax: 20, batchWindowMsMax: 0 },
    { windowMsMax: 0, batchWindowMsMax: 0 },
  ])("opens either window without the other: %o", ({ windowMsMax, batchWindowMsMax }) => {
    const { pacer, hub } = pacerOf(windowMsMax, batchWindowMsMax);
    for (let round = 0; round < 60; round += 1) {
      sweeping(hub, 9);
      pacer.wake(nowMs());
      go(1);
    }
    expect(hub.windowMs).toBeGreaterThanOrEqual(windowMsMax * 0.9);
    expect(hub.windowMs).toBeLessThanOrEqual(windowMsMax);
    expect(hub.batchWindowMs).toBeGreaterThanOrEqual(batchWindowMsMax * 0.9);
    expect(hub.batchWindowMs).toBeLessThanOrEqual(batchWindowMsMax);
    hub.onTurn = () => Number.POSITIVE_INFINITY;
    go(1000);
    expect([hub.windowMs, hub.batchWindowMs]).toEqual([0, 0]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("opens by what writing at once would take, however little the shared writes take", () => {
    const { pacer, hub } = pacerOf(20);
    const windowAfter = (wantedFor1: number): number => {
      for (let round = 0; round < 60; round += 1) {
        hub.onTurn = () => {
          hub.counters.flushes += 1;
          hub.counters.writes += 10;
          hub.counters.wantedWrites += 10 * wantedFor1;
          clockMs += 2;
          return Number.POSITIVE_INFINITY;
        };
        pacer.wake(nowMs());
        go(8);
      }
      return hub.windowMs;
    };
    // Turns take a fifth of the time; without the window they would take five times as much.
    expect(windowAfter(5)).toBeGreaterThan(19);
    expect(windowAfter(2)).toBe(0);
  });

  it.each([
    { name: "with a timer", delayMs: 100 },
    { name: "with a turn already on its way", delayMs: 0 },
  ])("stop ends all turns: $name", ({ delayMs }) => {
    const { pacer, hub } = pacerOf();
    pacer.wake(nowMs() + delayMs);
    pacer.stop();
    pacer.wake(nowMs());
    go(1000);
    expect(hub.turns).toHaveLength(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});
