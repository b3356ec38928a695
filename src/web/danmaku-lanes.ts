/**
 * Which lane a comment takes, so that no two overlap at any time. Scrolling comments all cross the stage in the same
 * time, so a longer one is faster and may catch up with the one before it: the allocation looks at both ends.
 */

/** Free space between two comments of a lane, in stage pixels. */
const gapPx = 24;

interface Run {
  readonly startMs: number;
  readonly width: number;
  readonly stageWidth: number;
}

/** Lanes of comments that run from the right edge to beyond the left one. */
export class ScrollLanes {
  readonly #crossingMs: number;
  readonly #last: (Run | null)[];

  constructor(laneCount: number, crossingMs: number) {
    this.#crossingMs = crossingMs;
    this.#last = Array.from({ length: laneCount }, () => null);
  }

  /** @returns the topmost lane that a comment of `width` can enter now and cross without overlap, or null. */
  place(width: number, stageWidth: number, nowMs: number): number | null {
    const lane = this.#last.findIndex((run) => run === null || this.#isClear(run, width, stageWidth, nowMs));
    if (lane < 0) return null;
    this.#last[lane] = { startMs: nowMs, width, stageWidth };
    return lane;
  }

  #isClear(run: Run, width: number, stageWidth: number, nowMs: number): boolean {
    const aheadEndMs = run.startMs + this.#crossingMs;
    if (nowMs >= aheadEndMs) return true;
    const ahead = scrollX(run.width, run.stageWidth, (nowMs - run.startMs) / this.#crossingMs);
    if (ahead + run.width + gapPx > stageWidth) return false;
    // When the one ahead has left, this one must not have reached the left edge yet.
    return scrollX(width, stageWidth, (aheadEndMs - nowMs) / this.#crossingMs) >= gapPx;
  }
}

/** Left edge of a scrolling comment after `share` (0 to 1) of its crossing. */
export function scrollX(width: number, stageWidth: number, share: number): number {
  return stageWidth - (stageWidth + width) * share;
}

/** Lanes of comments that stand still for a while. */
export class FixedLanes {
  readonly #holdMs: number;
  readonly #freeAtMs: number[];

  constructor(laneCount: number, holdMs: number) {
    this.#holdMs = holdMs;
    this.#freeAtMs = Array.from({ length: laneCount }, () => 0);
  }

  /** @returns the first free lane, or null. */
  place(nowMs: number): number | null {
    const lane = this.#freeAtMs.findIndex((freeAtMs) => freeAtMs <= nowMs);
    if (lane < 0) return null;
    this.#freeAtMs[lane] = nowMs + this.#holdMs;
    return lane;
  }
}
