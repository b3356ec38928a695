import { describe, expect, it } from "vitest";

import type { Clock } from "../../src/base/clock.ts";
import { TimerWheel, WheelEntry } from "../../src/base/timer-wheel.ts";

class FakeClock implements Clock {
  now = 1000;
  nowMs(): number {
    return this.now;
  }
  wallMs(): number {
    return this.now;
  }
}

class Alarm extends WheelEntry {
  readonly rings: number[] = [];
  onRing: (() => void) | null = null;
  override onDeadline(nowMs: number): void {
    this.rings.push(nowMs);
    this.onRing?.();
  }
}

function wheelOf(slots = 8): { clock: FakeClock; wheel: TimerWheel; go: (ms: number) => void } {
  const clock = new FakeClock();
  const wheel = new TimerWheel(clock, 10, slots);
  return {
    clock,
    wheel,
    go(ms: number): void {
      clock.now += ms;
      wheel.advance(clock.now);
    },
  };
}

describe("timer wheel", () => {
  it.each([
    { name: "nothing", delayMs: 0, due: 1010 },
    { name: "less than a tick", delayMs: 3, due: 1010 },
    { name: "exactly one tick", delayMs: 10, due: 1010 },
    { name: "a little over a tick", delayMs: 11, due: 1020 },
    { name: "a whole revolution", delayMs: 80, due: 1080 },
    { name: "several revolutions", delayMs: 333, due: 1340 },
    { name: "a negative delay", delayMs: -5, due: 1010 },
  ])("rings once and never early: $name", ({ delayMs, due }) => {
    const { clock, wheel } = wheelOf();
    const alarm = new Alarm();
    wheel.schedule(alarm, delayMs);
    for (clock.now = 1000; clock.now < 2000; clock.now += 1) wheel.advance(clock.now);
    expect(alarm.rings).toEqual([due]);
    expect(wheel.size).toBe(0);
  });

  it("never rings early when the wheel was advanced long ago", () => {
    const { clock, wheel } = wheelOf();
    clock.now = 1065;
    const alarm = new Alarm();
    wheel.schedule(alarm, 20);
    wheel.advance(1084);
    expect(alarm.rings).toEqual([]);
    wheel.advance(1090);
    expect(alarm.rings).toEqual([1090]);
  });

  it("rings everything that is due after the process stood still for many revolutions", () => {
    const { wheel, go } = wheelOf();
    const alarms = Array.from({ length: 50 }, () => new Alarm());
    for (const [index, alarm] of alarms.entries()) wheel.schedule(alarm, index * 7);
    const late = new Alarm();
    wheel.schedule(late, 20_000);
    go(10_000);
    expect(alarms.map((alarm) => alarm.rings)).toEqual(alarms.map(() => [11_000]));
    expect(late.rings).toEqual([]);
    go(10_000);
    expect(late.rings).toEqual([21_000]);
  });

  it("moves a deadline when scheduled again, and cancels", () => {
    const { wheel, go } = wheelOf();
    const moved = new Alarm();
    const cancelled = new Alarm();
    wheel.schedule(moved, 10);
    wheel.schedule(cancelled, 10);
    wheel.schedule(moved, 50);
    wheel.cancel(cancelled);
    wheel.cancel(cancelled);
    expect(wheel.size).toBe(1);
    go(20);
    expect(moved.rings).toEqual([]);
    go(30);
    expect(moved.rings).toEqual([1050]);
    expect(cancelled.rings).toEqual([]);
  });

  it("takes infinity as never", () => {
    const { wheel, go } = wheelOf();
    const alarm = new Alarm();
    wheel.schedule(alarm, 10);
    wheel.schedule(alarm, Number.POSITIVE_INFINITY);
    expect(wheel.size).toBe(0);
    go(1_000_000);
    expect(alarm.rings).toEqual([]);
  });

  it("lets a callback schedule itself again without ringing twice in one advance", () => {
    const { wheel, go } = wheelOf();
    const alarm = new Alarm();
    alarm.onRing = () => wheel.schedule(alarm, 0);
    wheel.schedule(alarm, 0);
    go(10);
    go(10);
    expect(alarm.rings).toEqual([1010, 1020]);
  });

  it("lets a callback cancel or move its neighbours of the same slot", () => {
    const { wheel, go } = wheelOf();
    const [first, second, third] = [new Alarm(), new Alarm(), new Alarm()];
    for (const alarm of [first, second, third]) wheel.schedule(alarm, 10);
    first.onRing = () => {
      wheel.cancel(second);
      wheel.schedule(third, 10);
    };
    go(10);
    expect([first.rings.length, second.rings.length, third.rings.length]).toEqual([1, 0, 0]);
    go(10);
    expect(third.rings).toEqual([1020]);
  });

  it("does the same as a sorted list under random use", () => {
    const { clock, wheel } = wheelOf(16);
    const alarms = Array.from({ length: 40 }, () => new Alarm());
    const due = new Map<Alarm, number>();
    const expected = new Map<Alarm, number[]>(alarms.map((alarm) => [alarm, []]));
    let seed = 42;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor((seed / 2_147_483_648) * below);
    };
    for (let step = 0; step < 5000; step += 1) {
      const alarm = alarms[random(alarms.length)]!;
      if (random(4) === 0) {
        wheel.cancel(alarm);
        due.delete(alarm);
      } else {
        const delayMs = random(500);
        wheel.schedule(alarm, delayMs);
        due.set(alarm, Math.max(Math.ceil((clock.now + delayMs) / 10), Math.floor(clock.now / 10) + 1));
      }
      clock.now += random(30);
      wheel.advance(clock.now);
      for (const [waiting, tick] of due) {
        if (tick > Math.floor(clock.now / 10)) continue;
        expected.get(waiting)!.push(clock.now);
        due.delete(waiting);
      }
    }
    expect(alarms.map((alarm) => alarm.rings)).toEqual(alarms.map((alarm) => expected.get(alarm)));
    expect(wheel.size).toBe(due.size);
  });
});

describe("a budget for what comes due together", () => {
  it("leaves the rest for the next call, in order, and loses none of it", () => {
    const { clock, wheel } = wheelOf();
    const rung: number[] = [];
    const alarms = Array.from({ length: 100 }, (_, index) => {
      const alarm = new Alarm();
      alarm.onRing = () => {
        rung.push(index);
        clock.now += 0.25;
      };
      wheel.schedule(alarm, 10);
      return alarm;
    });
    clock.now += 10;
    let calls = 1;
    while (wheel.advance(clock.now, 1)) {
      expect(rung).toHaveLength(4 * calls);
      calls += 1;
    }
    expect(rung).toEqual(alarms.map((_, index) => index));
    expect(calls).toBe(25);
    expect(wheel.size).toBe(0);
  });

  it("lets what waits be cancelled and moved", () => {
    const { clock, wheel } = wheelOf();
    const [first, cancelled, moved] = [new Alarm(), new Alarm(), new Alarm()];
    for (const alarm of [first, cancelled, moved]) wheel.schedule(alarm, 10);
    first.onRing = () => {
      clock.now += 5;
    };
    clock.now += 10;
    expect(wheel.advance(clock.now, 1)).toBe(true);
    wheel.cancel(cancelled);
    wheel.schedule(moved, 100);
    expect(wheel.advance(clock.now, 1)).toBe(false);
    expect([cancelled.rings.length, moved.rings.length]).toEqual([0, 0]);
    clock.now += 110;
    wheel.advance(clock.now, 1);
    expect([cancelled.rings.length, moved.rings.length, wheel.size]).toEqual([0, 1, 0]);
  });
});
