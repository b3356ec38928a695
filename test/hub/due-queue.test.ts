import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { DueQueue } from "../../src/hub/due-queue.ts";

describe("DueQueue", () => {
  it("gives nothing before its time", () => {
    const queue = new DueQueue<string>();
    expect([queue.nextMs, queue.pop(1e9), queue.size]).toEqual([Number.POSITIVE_INFINITY, null, 0]);
    queue.push(10, "a");
    expect([queue.nextMs, queue.pop(9.999), queue.size]).toEqual([10, null, 1]);
    expect([queue.pop(10), queue.size, queue.nextMs]).toEqual(["a", 0, Number.POSITIVE_INFINITY]);
  });

  it("against a sorted list, with any mix of pushes and pops", () => {
    const step = fc.oneof(
      fc.record({ push: fc.integer({ min: 0, max: 50 }) }),
      fc.record({ pop: fc.integer({ min: 0, max: 60 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = new DueQueue<number>();
        let twin: number[] = [];
        for (const each of steps) {
          if ("push" in each) {
            queue.push(each.push, each.push);
            twin = [...twin, each.push].toSorted((left, right) => left - right);
          } else {
            const expected = twin[0] !== undefined && twin[0] <= each.pop ? twin.shift() : undefined;
            expect(queue.pop(each.pop)).toBe(expected ?? null);
          }
          expect(queue.size).toBe(twin.length);
          expect(queue.nextMs).toBe(twin[0] ?? Number.POSITIVE_INFINITY);
        }
      }),
      { numRuns: 500 },
    );
  });
});
