import { describe, expect, it } from "vitest";

import { AddressWorks } from "../../src/base/address-work.ts";

/** A connection of this address comes, costs so much, and goes. */
function visit(works: AddressWorks, key: string, workMs: number, nowMs: number): void {
  const work = works.enter(key, nowMs);
  work.spend(workMs);
  works.leave(key, work, nowMs);
}

describe("what the connections of an address may work", () => {
  it("is a burst of half a second's worth, and then its rate", () => {
    const work = new AddressWorks(100).enter("a", 1000);
    work.spend(50);
    expect(work.restMs(1000)).toBe(0);
    work.spend(1);
    expect(work.restMs(1000)).toBeCloseTo(10);
    expect(work.restMs(1009)).toBeCloseTo(1);
    expect(work.restMs(1010.001)).toBe(0);
    expect(work.restMs(60_000)).toBe(0);
    work.spend(50.5);
    expect(work.restMs(60_000)).toBeCloseTo(5);
  });

  it("stays spent when its connections go and come back", () => {
    const works = new AddressWorks(100);
    for (let nowMs = 1000; nowMs < 1100; nowMs += 1) visit(works, "a", 2, nowMs);
    // 200 ms of work in 100 ms: 50 at once, 10 meanwhile, 140 owed.
    expect(works.of("a")?.restMs(1100)).toBeCloseTo(1400, -1.5);
    expect(works.of("b")).toBeNull();
  });

  it("is shared by the connections that are there together", () => {
    const works = new AddressWorks(100);
    const [first, second] = [works.enter("a", 0), works.enter("a", 0)];
    expect(second).toBe(first);
    works.leave("a", first, 0);
    expect(works.of("a")).toBe(second);
  });

  it("is forgotten when nothing is owed and nobody is connected, and not before", () => {
    const works = new AddressWorks(100);
    const kept = works.enter("kept", 0);
    visit(works, "owing", 20, 0);
    const owing = works.of("owing");
    for (let count = 0; count < 1000; count += 1) visit(works, `other ${count}`, 0, 100);
    expect(works.of("owing")).toBe(owing);
    for (let count = 0; count < 1000; count += 1) visit(works, `more ${count}`, 0, 1000);
    expect(works.of("owing")).toBeNull();
    expect(works.of("kept")).toBe(kept);
    expect(works.size).toBeLessThan(10);
  });

  it("keeps so many resting addresses and no more, however much they owe", () => {
    const works = new AddressWorks(100, 50);
    for (let count = 0; count < 1000; count += 1) visit(works, `other ${count}`, 1_000_000, 0);
    expect(works.size).toBe(50);
    expect(works.of("other 999")?.restMs(0)).toBeGreaterThan(0);
    expect(works.of("other 0")).toBeNull();
  });
});
