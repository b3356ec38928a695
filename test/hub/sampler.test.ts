/** The sample of a crowd: at most so many a second, fair, spread over the second, nothing left out when there is room. */
import { describe, expect, it } from "vitest";

import { Sampler } from "../../src/hub/sampler.ts";
import { evenRandom } from "./hub-world.ts";

/** Feeds `perSec` arrivals a second, evenly, for `seconds`; returns the times of those taken. */
function feed(sampler: Sampler, perSec: number, fromMs: number, seconds: number): number[] {
  const taken: number[] = [];
  for (let index = 0; index < perSec * seconds; index += 1) {
    const atMs = fromMs + (index * 1000) / perSec;
    if (sampler.take(atMs)) taken.push(atMs);
  }
  return taken;
}

const countIn = (times: readonly number[], fromMs: number, toMs: number): number =>
  times.filter((atMs) => atMs >= fromMs && atMs < toMs).length;

describe("Sampler", () => {
  it.each([1, 30, 59, 60])("leaves nothing out at %i a second with a limit of 60", (perSec) => {
    expect(feed(new Sampler(60, evenRandom()), perSec, 0, 10)).toHaveLength(perSec * 10);
  });

  it.each([
    { perSec: 61, max: 60 },
    { perSec: 100, max: 60 },
    { perSec: 600, max: 60 },
    { perSec: 10_000, max: 60 },
    { perSec: 50, max: 1 },
    { perSec: 1000, max: 5 },
  ])("at $perSec a second takes at most $max in each second, and most of them", ({ perSec, max }) => {
    const taken = feed(new Sampler(max, evenRandom()), perSec, 0, 10);
    for (let second = 0; second < 10; second += 1) {
      const count = countIn(taken, second * 1000, (second + 1) * 1000);
      expect(count).toBeLessThanOrEqual(max);
      expect(count).toBeGreaterThanOrEqual(Math.floor(max * 0.8));
    }
  });

  it("spreads the sample over the second once it knows the crowd", () => {
    const taken = feed(new Sampler(60, evenRandom()), 6000, 0, 5);
    for (let tenth = 10; tenth < 50; tenth += 1) {
      const count = countIn(taken, tenth * 100, (tenth + 1) * 100);
      expect(count, `tenth ${tenth}`).toBeGreaterThanOrEqual(3);
      expect(count, `tenth ${tenth}`).toBeLessThanOrEqual(12);
    }
  });

  it("is fair: of senders who speak in turn none is preferred", () => {
    // mulberry32: whose places an even sequence would meet in step.
    let state = 7;
    const random = (): number => {
      state = (state + 0x6d2b79f5) >>> 0;
      let value = Math.imul(state ^ (state >>> 15), state | 1);
      value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
      return ((value ^ (value >>> 14)) >>> 0) / 4294967296;
    };
    const sampler = new Sampler(60, random);
    const senders = 10;
    const taken = Array.from({ length: senders }, () => 0);
    for (let index = 0; index < 60_000; index += 1) {
      if (sampler.take(index / 6)) taken[index % senders]! += 1;
    }
    const total = taken.reduce((sum, count) => sum + count, 0);
    for (const count of taken) {
      expect(count).toBeGreaterThan((total / senders) * 0.6);
      expect(count).toBeLessThan((total / senders) * 1.6);
    }
  });

  it("loses nothing after a burst has ended", () => {
    const sampler = new Sampler(60, evenRandom());
    feed(sampler, 6000, 0, 1);
    // Thirty a second from now on; the second after the burst still expects the crowd at its very beginning.
    const taken = feed(sampler, 30, 1000, 10);
    expect(countIn(taken, 1100, 2000)).toBe(27);
    expect(countIn(taken, 2000, 11_000)).toBe(270);
  });

  it("remembers no crowd of two seconds ago", () => {
    const sampler = new Sampler(60, () => 0.999);
    feed(sampler, 6000, 0, 1);
    const taken = feed(sampler, 60, 3000, 1);
    expect(taken).toHaveLength(60);
  });

  it("takes the first of a quiet topic, whenever it comes", () => {
    const sampler = new Sampler(1, () => 0.999);
    expect([0, 999, 1000, 5000, 5001, 6000].map((atMs) => sampler.take(atMs))).toEqual([
      true,
      false,
      true,
      true,
      false,
      true,
    ]);
  });
});
