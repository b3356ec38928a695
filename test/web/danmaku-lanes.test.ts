import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FixedLanes, ScrollLanes, scrollX } from "../../src/web/danmaku-lanes.ts";

const stageWidth = 800;
const crossingMs = 8000;

describe("scroll lanes", () => {
  it("fills lanes from the top and has no place when all are busy", () => {
    const lanes = new ScrollLanes(3, crossingMs);
    expect([0, 0, 0, 0].map((nowMs) => lanes.place(100, stageWidth, nowMs))).toEqual([0, 1, 2, null]);
  });

  it("lets the next one in when the tail of the one ahead has left the edge", () => {
    const lanes = new ScrollLanes(1, crossingMs);
    lanes.place(100, stageWidth, 0);
    // 900 px in 8 s: the tail and 24 px of gap are inside after 124 / 900 of it.
    expect(lanes.place(100, stageWidth, 1100)).toBe(null);
    expect(lanes.place(100, stageWidth, 1110)).toBe(0);
  });

  it("makes a faster one wait until it cannot catch up", () => {
    const lanes = new ScrollLanes(1, crossingMs);
    lanes.place(100, stageWidth, 0);
    expect(lanes.place(1500, stageWidth, 1110)).toBe(null);
    expect(lanes.place(1500, stageWidth, 5500)).toBe(0);
  });

  it("never lets two comments of a lane overlap, whatever comes when", () => {
    const comments = fc.array(
      fc.record({ width: fc.integer({ min: 10, max: 2000 }), waitMs: fc.integer({ min: 0, max: 3000 }) }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(comments, fc.integer({ min: 1, max: 4 }), (rows, laneCount) => {
        const lanes = new ScrollLanes(laneCount, crossingMs);
        const placed: { lane: number; width: number; startMs: number }[] = [];
        let nowMs = 0;
        for (const { width, waitMs } of rows) {
          nowMs += waitMs;
          const lane = lanes.place(width, stageWidth, nowMs);
          if (lane !== null) placed.push({ lane, width, startMs: nowMs });
        }
        for (let atMs = 0; atMs < nowMs + crossingMs; atMs += 100) {
          const live = placed
            .filter((each) => each.startMs <= atMs && atMs < each.startMs + crossingMs)
            .map(({ lane, width, startMs }) => ({
              lane,
              width,
              x: scrollX(width, stageWidth, (atMs - startMs) / crossingMs),
            }));
          for (const left of live) {
            for (const right of live) {
              if (left === right || left.lane !== right.lane) continue;
              expect(left.x + left.width <= right.x || right.x + right.width <= left.x).toBe(true);
            }
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("fixed lanes", () => {
  it("hold a comment for its time and then take the next", () => {
    const lanes = new FixedLanes(2, 4000);
    expect([0, 10, 20, 3999, 4000, 4009, 4010].map((nowMs) => lanes.place(nowMs))).toEqual([
      0,
      1,
      null,
      null,
      0,
      null,
      1,
    ]);
  });
});
