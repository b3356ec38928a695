import { describe, expect, it } from "vitest";
import { Limiter } from "../../src/broker/limiter.ts";
import { SharedReads } from "../../src/broker/shared-reads.ts";

/** A read that ends when the test says so. */
class Reads {
  readonly started: { resolve: (value: number) => void; reject: (error: Error) => void }[] = [];
  readonly start = (): Promise<number> =>
    new Promise((resolve, reject) => {
      this.started.push({ resolve, reject });
    });
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe("shared reads", () => {
  it("callers during a read share the next one, which begins when it ends", async () => {
    const reads = new Reads();
    const shared = new SharedReads<number>();
    const first = shared.get("a", reads.start);
    const others = [shared.get("a", reads.start), shared.get("a", reads.start)];
    expect(reads.started).toHaveLength(1);
    reads.started[0]?.resolve(1);
    expect(await first).toBe(1);
    await turn();
    expect(reads.started).toHaveLength(2);
    const third = shared.get("a", reads.start);
    reads.started[1]?.resolve(2);
    expect(await Promise.all(others)).toEqual([2, 2]);
    await turn();
    reads.started[2]?.resolve(3);
    expect(await third).toBe(3);
    await turn();
    // Nothing runs any more: the next begins at once.
    void shared.get("a", reads.start);
    expect(reads.started).toHaveLength(4);
  });

  it("who asks again in the moment that a read ends shares the one that others wait for", async () => {
    const reads = new Reads();
    const shared = new SharedReads<number>();
    const again = shared.get("a", reads.start).then(() => shared.get("a", reads.start));
    const waiting = shared.get("a", reads.start);
    reads.started[0]?.resolve(1);
    await turn();
    expect(reads.started).toHaveLength(2);
    reads.started[1]?.resolve(2);
    expect(await Promise.all([again, waiting])).toEqual([2, 2]);
  });

  it("parts do not wait for each other, and a failure is its own callers' only", async () => {
    const reads = new Reads();
    const shared = new SharedReads<number>();
    const failing = expect(shared.get("a", reads.start)).rejects.toThrow("no");
    const next = shared.get("a", reads.start);
    const other = shared.get("b", reads.start);
    expect(reads.started).toHaveLength(2);
    reads.started[0]?.reject(new Error("no"));
    await failing;
    await turn();
    reads.started[1]?.resolve(5);
    reads.started[2]?.resolve(6);
    expect([await other, await next]).toEqual([5, 6]);
  });
});

it("at most 16 parts are read at once, the others in order", async () => {
  const reads = new Reads();
  const shared = new SharedReads<number>();
  const all = Array.from({ length: 18 }, (_, index) => shared.get(`part ${index}`, reads.start));
  expect(reads.started).toHaveLength(16);
  reads.started[3]?.resolve(3);
  expect(await all[3]).toBe(3);
  await turn();
  expect(reads.started).toHaveLength(17);
  for (const [index, { resolve }] of reads.started.entries()) if (index !== 3) resolve(index);
  await turn();
  reads.started[17]?.resolve(17);
  expect(await Promise.all(all)).toHaveLength(18);
});

describe("the limiter", () => {
  it("runs so many at once, the others in order, whatever fails", async () => {
    const limiter = new Limiter(2);
    const reads = new Reads();
    const results = Array.from({ length: 5 }, () => limiter.run(reads.start).catch(() => -1));
    await turn();
    expect(reads.started).toHaveLength(2);
    reads.started[0]?.reject(new Error("no"));
    await turn();
    expect(reads.started).toHaveLength(3);
    for (let index = 1; index < 5; index++) {
      reads.started[index]?.resolve(index);
      await turn();
    }
    expect(await Promise.all(results)).toEqual([-1, 1, 2, 3, 4]);
    void limiter.run(reads.start);
    void limiter.run(reads.start);
    void limiter.run(reads.start);
    await turn();
    expect(reads.started).toHaveLength(7);
  });
});
