/** docs/CLI.md, replay: order and pace. */
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { parseRecording, type Recording } from "../../src/feed/recording.ts";
import { playRecordings, type Replay, type ReplayOptions, startReplay } from "../../src/feed/replay.ts";
import { ReplaySchedule } from "../../src/feed/replay-schedule.ts";

const clock = { nowMs: () => performance.now(), wallMs: () => Date.now() };

function csv(text: string): Recording {
  return parseRecording("x.csv", Buffer.from(text));
}

function dues(
  recording: Recording,
  speed: number,
  loop: boolean,
  count = 100,
): readonly (readonly [number, string])[] {
  const schedule = new ReplaySchedule(recording, speed, loop);
  const list: [number, string][] = [];
  for (let due = schedule.peek(); due !== null && list.length < count; due = schedule.peek()) {
    list.push([Math.round(due.dueMs), due.publication.topic]);
    schedule.advance();
  }
  return list;
}

const months = csv(
  "symbol,date,price\nA,2000-01-01,1\nA,2000-02-01,2\nA,2000-03-03,3\nB,2000-01-01,1\nB,2000-02-01,2\n",
);
const ticks = csv(
  "time,price\n2000-01-01T00:00:00.000Z,1\n2000-01-01T00:00:00.250Z,2\n2000-01-01T00:00:02.000Z,3\n",
);

describe("the schedule", () => {
  it("plays dates at one step a second, rows of a date spread over the step", () => {
    expect(dues(months, 1, false)).toEqual([
      [0, "quote.A"],
      [500, "quote.B"],
      [1000, "quote.A"],
      [1500, "quote.B"],
      [2000, "quote.A"],
    ]);
  });

  it("plays times of day in their own time", () => {
    expect(dues(ticks, 1, false).map(([due]) => due)).toEqual([0, 250, 2000]);
  });

  it("is n times as fast at speed n", () => {
    expect(dues(ticks, 10, false).map(([due]) => due)).toEqual([0, 25, 200]);
    expect(dues(months, 0.5, false).map(([due]) => due)).toEqual([0, 1000, 2000, 3000, 4000]);
  });

  it("goes on rising from lap to lap, a step apart", () => {
    expect(dues(ticks, 1, true, 7).map(([due]) => due)).toEqual([0, 250, 2000, 3000, 3250, 5000, 6000]);
    expect(dues(months, 1, true, 7).map(([due]) => due)).toEqual([0, 500, 1000, 1500, 2000, 3000, 3500]);
  });

  it("never goes back, whatever the recording", () => {
    const row = fc.record({ day: fc.integer({ min: 0, max: 400 }), symbol: fc.constantFrom("A", "B", "C") });
    fc.assert(
      fc.property(
        fc.array(row, { minLength: 1, maxLength: 30 }),
        fc.double({ min: 0.1, max: 100, noNaN: true }),
        (rows, speed) => {
          const lines = rows.map(({ day, symbol }) => {
            const date = new Date(Date.UTC(2000, 0, 1 + day)).toISOString().slice(0, 10);
            return `${symbol},${date},1`;
          });
          const list = dues(csv(`symbol,date,price\n${lines.join("\n")}\n`), speed, true, rows.length * 3);
          expect(list).toHaveLength(rows.length * 3);
          for (const [index, [due]] of list.entries())
            expect(due).toBeGreaterThanOrEqual(list[index - 1]?.[0] ?? 0);
        },
      ),
    );
  });
});

describe("the replay", () => {
  let replay: Replay | null = null;
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  });
  afterEach(() => {
    replay?.stop();
    vi.useRealTimers();
  });

  function play(
    recordings: readonly Recording[],
    options: Partial<ReplayOptions>,
  ): (readonly [number, string])[] {
    const published: (readonly [number, string])[] = [];
    const startMs = performance.now();
    replay = playRecordings(recordings, {
      source: [],
      speed: 1,
      loop: false,
      clock,
      publish: async (topic, data) => {
        published.push([
          performance.now() - startMs,
          `${topic} ${String(JSON.parse(Buffer.from(data).toString()).price)}`,
        ]);
      },
      ...options,
    });
    return published;
  }

  it("publishes each at its time and ends", async () => {
    const published = play([ticks], {});
    await vi.advanceTimersByTimeAsync(249);
    expect(published).toEqual([[0, "quote.X 1"]]);
    await vi.advanceTimersByTimeAsync(1);
    expect(published.at(-1)).toEqual([250, "quote.X 2"]);
    await vi.advanceTimersByTimeAsync(2000);
    expect(published.at(-1)).toEqual([2000, "quote.X 3"]);
    await replay?.done;
    expect(replay?.published).toBe(3);
  });

  it("plays several recordings side by side", async () => {
    const published = play([ticks, months], {});
    await vi.advanceTimersByTimeAsync(1000);
    expect(published).toEqual([
      [0, "quote.X 1"],
      [0, "quote.A 1"],
      [250, "quote.X 2"],
      [500, "quote.B 1"],
      [1000, "quote.A 2"],
    ]);
    expect(replay?.length).toBe(8);
  });

  it("loops until it is stopped, and is silent then", async () => {
    const published = play([ticks], { loop: true });
    await vi.advanceTimersByTimeAsync(3250);
    expect(published.map(([at]) => at)).toEqual([0, 250, 2000, 3000, 3250]);
    replay?.stop();
    await replay?.done;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(published).toHaveLength(5);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("goes on after a rejected publish", async () => {
    const failures: unknown[] = [];
    let calls = 0;
    play([ticks], {
      publish: async () => {
        calls += 1;
        throw new Error("away");
      },
      onFailure: (error) => failures.push(error),
    });
    await vi.advanceTimersByTimeAsync(2000);
    await replay?.done;
    expect([calls, failures.length]).toEqual([3, 3]);
  });

  it("waits when 256 are under way, and then goes on from there instead of hurrying", async () => {
    const lines = Array.from({ length: 1000 }, (_, index) => `${946_684_800_000 + index * 10},1`);
    const waiting: (() => void)[] = [];
    let calls = 0;
    play([csv(`time,price\n${lines.join("\n")}\n`)], {
      publish: () => {
        calls += 1;
        return new Promise<void>((resolve) => {
          waiting.push(resolve);
        });
      },
    });
    await vi.advanceTimersByTimeAsync(30_000);
    expect(calls).toBe(256);
    for (const resolve of waiting.splice(0)) resolve();
    await vi.advanceTimersByTimeAsync(0);
    // A second's worth at most is caught up at once: 100 messages.
    await vi.advanceTimersByTimeAsync(5);
    expect(calls - 256).toBeGreaterThan(0);
    expect(calls - 256).toBeLessThanOrEqual(102);
  });

  it("plays what comes with Tapecast: at speed 2 every symbol moves twice a second", async () => {
    const counts = new Map<string, number>();
    replay = startReplay({
      source: "recorded",
      speed: 2,
      loop: true,
      clock,
      publish: async (topic) => {
        counts.set(topic, (counts.get(topic) ?? 0) + 1);
      },
    });
    await vi.advanceTimersByTimeAsync(60_000);
    for (const topic of ["quote.MSFT", "quote.AMZN", "quote.IBM", "quote.AAPL"]) {
      expect(counts.get(topic), topic).toBeGreaterThan(110);
      expect(counts.get(topic), topic).toBeLessThan(126);
    }
    expect(counts.get("quote.SP500")).toBe(121);
    expect(counts.get("quote.GOOG")).toBeGreaterThan(60);
  });
});
