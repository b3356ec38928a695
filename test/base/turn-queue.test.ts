import { describe, expect, it } from "vitest";

import type { Clock } from "../../src/base/clock.ts";
import { AddressWork } from "../../src/base/address-work.ts";
import { TurnQueue, type TurnTaker, WorkShare } from "../../src/base/turn-queue.ts";

/** Moves only when somebody works. */
class WorkClock implements Clock {
  now = 1000;
  nowMs(): number {
    return this.now;
  }
  wallMs(): number {
    return this.now;
  }
}

class World {
  readonly clock = new WorkClock();
  readonly queue: TurnQueue;
  /** Who worked, in order. */
  readonly log: string[] = [];
  sharesSpent = 0;
  addressesSpent = 0;

  constructor(workMsPerSecMax: number | null = null) {
    this.queue = new TurnQueue(this.clock, workMsPerSecMax);
    this.queue.onShareSpent = (isOfAddress) => {
      if (isOfAddress) this.addressesSpent += 1;
      else this.sharesSpent += 1;
    };
  }

  /** Each unit takes 0.1 ms. */
  worker(name: string, units: number, ofAddress: AddressWork | null = null): Worker {
    return new Worker(this, name, units, ofAddress);
  }

  /** `taker` works so long in one go. @returns whether it must wait. */
  work(taker: TurnTaker, ms: number): boolean {
    this.queue.begin(taker);
    this.clock.now += ms;
    return this.queue.end();
  }
}

class Worker implements TurnTaker {
  readonly workShare: WorkShare;
  readonly #world: World;
  readonly #name: string;
  units: number;
  ended = 0;

  constructor(world: World, name: string, units: number, ofAddress: AddressWork | null) {
    this.#world = world;
    this.#name = name;
    this.units = units;
    this.workShare = new WorkShare(world.queue.burstMs, world.clock.now, ofAddress);
  }

  takeTurn(): boolean {
    while (this.units > 0) {
      this.units -= 1;
      this.#world.log.push(this.#name);
      this.#world.clock.now += 0.1;
      if (this.#world.queue.isSpent) break;
    }
    return this.units > 0;
  }

  endWait(): void {
    this.ended += 1;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

async function turns(count: number): Promise<void> {
  for (let at = 0; at < count; at += 1) await turn();
}

/** Others are heard of in every turn. */
function busy(world: World): () => void {
  const [other, another] = [world.worker("other", 0), world.worker("another", 0)];
  return () => {
    world.queue.touch(other);
    world.queue.touch(another);
  };
}

describe("the queue of turns", () => {
  it("gives each a slice of 0.25 ms in a turn of the event loop, one after the other", async () => {
    const world = new World();
    const [a, b] = [world.worker("a", 7), world.worker("b", 4)];
    world.queue.wait(a);
    world.queue.wait(b);
    world.queue.wait(a);
    expect(world.log).toEqual([]);
    const perTurn: string[] = [];
    for (let at = 0; at < 7; at += 1) {
      await turn();
      perTurn.push(world.log.splice(0).join(""));
    }
    expect(perTurn.filter((each) => each !== "")).toEqual(["aaabbb", "aaab", "a"]);
    expect([a.ended, b.ended]).toEqual([1, 1]);
    expect(world.queue.counters).toMatchObject({ waiting: 0, cut: { slice: 5, share: 0 } });
  });

  it("knows when a slice is over: not before 0.25 ms, at 0.25 ms, and for reads of one turn together", () => {
    const world = new World();
    const { queue, clock } = world;
    const taker = world.worker("a", 0);
    expect(queue.isSpent).toBe(false);
    queue.begin(taker);
    clock.now += 0.249;
    expect(queue.isSpent).toBe(false);
    expect(queue.mustWait(taker)).toBe(false);
    clock.now += 0.001;
    expect(queue.isSpent).toBe(true);
    expect(queue.mustWait(taker)).toBe(true);
    expect(queue.end()).toBe(true);
    expect(queue.isSpent).toBe(false);
    // Right behind it, and a moment later.
    expect(world.work(taker, 0.01)).toBe(true);
    clock.now += 0.2;
    expect(world.work(taker, 0.01)).toBe(false);
  });

  it("only one works at a time: whoever is called by it is not measured twice", () => {
    const world = new World();
    const [a, b] = [world.worker("a", 0), world.worker("b", 0)];
    expect(world.queue.begin(a)).toBe(true);
    expect(world.queue.begin(b)).toBe(false);
    expect(world.queue.begin(a)).toBe(false);
    world.queue.end();
    expect(world.queue.begin(b)).toBe(true);
    world.queue.end();
  });

  it("all together have 2 ms of a turn, and the next turn goes on where it ended", async () => {
    const world = new World();
    const takers = Array.from({ length: 10 }, (_, index) => world.worker(String(index), 3));
    for (const taker of takers) world.queue.wait(taker);
    await turn();
    // 0.3 ms each: the seventh ends at 2.1 ms.
    expect(world.log.splice(0).join("")).toBe("000111222333444555666");
    await turn();
    expect(world.log.join("")).toBe("777888999");
  });

  it("who leaves does not get its turn", async () => {
    const world = new World();
    const [a, b] = [world.worker("a", 1), world.worker("b", 1)];
    world.queue.wait(a);
    world.queue.wait(b);
    world.queue.leave(a);
    world.queue.leave(a);
    expect(world.queue.counters.waiting).toBe(1);
    await turns(4);
    expect(world.log).toEqual(["b"]);
    expect(a.workShare.isWaiting).toBe(false);
  });
});

describe("limits.workMsPerSecMax", () => {
  it("lets work until the share and its burst are used up, and not a moment longer", () => {
    const world = new World(20);
    const taker = world.worker("a", 0);
    // A burst of half a second's worth: 10 ms.
    for (let at = 0; at < 100; at += 1) {
      world.clock.now += 0.1;
      world.work(taker, 0.1);
      taker.workShare.leftMs = Math.round(taker.workShare.leftMs * 1000) / 1000;
    }
    expect(taker.workShare.leftMs).toBeGreaterThanOrEqual(0);
    expect(world.queue.mustWait(taker)).toBe(false);
    for (let at = 0; at < 10; at += 1) world.work(taker, 0.2);
    expect(taker.workShare.leftMs).toBeLessThan(0);
    expect(world.queue.mustWait(taker)).toBe(true);
  });

  it("charges what others did for it, and at most 2 ms for one turn of its own", () => {
    const world = new World(20);
    const taker = world.worker("a", 0);
    world.work(taker, 500);
    expect(taker.workShare.leftMs).toBeCloseTo(8);
    world.queue.charge(taker, 7);
    expect(taker.workShare.leftMs).toBeCloseTo(1);
  });

  it("who has used up its share rests while others are active, and goes on when it is refilled", async () => {
    const world = new World(20);
    const makeBusy = busy(world);
    const taker = world.worker("a", 3);
    // 5 ms too many: a quarter of a second.
    world.queue.charge(taker, 15);
    world.queue.wait(taker);
    expect(world.sharesSpent).toBe(1);
    for (let at = 0; at < 10; at += 1) {
      makeBusy();
      await turn();
    }
    expect(world.log).toEqual([]);
    expect(world.queue.counters.waiting).toBe(1);
    world.clock.now += 240;
    makeBusy();
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(world.log).toEqual([]);
    world.clock.now += 11;
    makeBusy();
    await expect.poll(() => world.log).toEqual(["a", "a", "a"]);
    expect(world.sharesSpent).toBe(1);
  });

  it("who rests does not hold up those who need not", async () => {
    const world = new World(20);
    const makeBusy = busy(world);
    const [resting, ready] = [world.worker("resting", 3), world.worker("ready", 6)];
    world.queue.charge(resting, 100);
    world.queue.wait(resting);
    world.queue.wait(ready);
    for (let at = 0; at < 6; at += 1) {
      makeBusy();
      await turn();
    }
    expect(world.log).toEqual(["ready", "ready", "ready", "ready", "ready", "ready"]);
    world.queue.leave(resting);
  });

  it("nobody rests when nobody else was active for 50 ms", async () => {
    const world = new World(20);
    const taker = world.worker("a", 3);
    busy(world)();
    world.queue.charge(taker, 1000);
    world.queue.wait(taker);
    await turns(3);
    expect(world.log).toEqual([]);
    world.clock.now += 50;
    await expect.poll(() => world.log).toEqual(["a", "a", "a"]);
    await expect.poll(() => taker.ended).toBe(1);
  });
});

describe("limits.workMsPerAddressPerSecMax", () => {
  it("holds all connections of an address back together, and nobody else", async () => {
    const world = new World(null);
    const makeBusy = busy(world);
    const address = new AddressWork(20, world.clock.now);
    const [first, second, other] = [
      world.worker("first", 3, address),
      world.worker("second", 3, address),
      world.worker("other", 3),
    ];
    // A burst of half a second's worth: 10 ms. 2 more are a tenth of a second.
    world.queue.charge(first, 12);
    expect([first, second, other].map((taker) => world.queue.mustWait(taker))).toEqual([true, true, false]);
    for (const taker of [first, second, other]) world.queue.wait(taker);
    expect([world.addressesSpent, world.sharesSpent]).toEqual([2, 0]);
    expect(world.queue.counters.cut).toEqual({ slice: 1, share: 0, address: 2 });
    makeBusy();
    await turns(6);
    expect(world.log).toEqual(["other", "other", "other"]);
    world.clock.now += 200;
    makeBusy();
    await expect.poll(() => world.log.length).toBe(9);
    expect(world.log.slice(3)).toEqual(expect.arrayContaining(["first", "second"]));
    expect(world.queue.counters.waiting).toBe(0);
  });

  it("a connection that has just come owes what those before it have left", () => {
    const world = new World(20);
    const makeBusy = busy(world);
    const address = new AddressWork(20, world.clock.now);
    for (let count = 0; count < 8; count += 1) world.work(world.worker("gone", 0, address), 2);
    makeBusy();
    expect(world.queue.mustRest(address)).toBe(true);
    expect(world.queue.mustWait(world.worker("new", 0, address))).toBe(true);
    expect(world.queue.mustWait(world.worker("elsewhere", 0))).toBe(false);
    world.clock.now += 60_000;
    makeBusy();
    expect(world.queue.mustRest(address)).toBe(false);
  });

  it("holds nobody back while nobody else is active", () => {
    const world = new World(20);
    busy(world)();
    const address = new AddressWork(20, world.clock.now);
    address.spend(100);
    expect(world.queue.mustRest(address)).toBe(true);
    world.clock.now += 60;
    expect(world.queue.mustRest(address)).toBe(false);
  });
});
