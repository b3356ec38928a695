/** When each publication of a recording is due. Pure: no clock, no timer; the driver is replay.ts. */
import { invariant } from "../base/errors.ts";
import type { RecordedPublication, Recording } from "./recording.ts";

/** A publication and when it is due, in milliseconds after the start. */
export interface Due {
  readonly dueMs: number;
  readonly publication: RecordedPublication;
}

/**
 * Plays one recording: publications in recorded order, `speed` times as fast as its pace. Due times never go back,
 * also from one lap to the next. In a recording of dates only, no distance is longer than a step (exchanges rest at
 * weekends, a board need not), and publications of the same date are spread over the time until the next, in the order
 * of the file: when in the day they were made, nobody recorded.
 */
export class ReplaySchedule {
  readonly #recording: Recording;
  readonly #msPerRecordedMs: number;
  readonly #loop: boolean;
  #index = 0;
  /** Recorded time that has passed since the start when the publications of the current time are due. */
  #passedMs = 0;
  /** The publications of the current time: from `#groupStart` up to `#groupEnd`. */
  #groupStart = 0;
  #groupEnd = 0;
  /** Recorded time from them to the next ones, or to the next lap. */
  #gapMs = 0;

  constructor(recording: Recording, speed: number, loop: boolean) {
    invariant(recording.publications.length > 0, "a recording has publications");
    invariant(speed > 0, "the speed of a replay is above 0");
    this.#recording = recording;
    this.#msPerRecordedMs = 1000 / (recording.recordedMsPerSec * speed);
    this.#loop = loop;
    this.#findGroup();
  }

  /** How many publications one lap has. */
  get length(): number {
    return this.#recording.publications.length;
  }

  /** The next publication without taking it; null at the end. */
  peek(): Due | null {
    const publication = this.#recording.publications[this.#index];
    if (publication === undefined) return null;
    const place = (this.#index - this.#groupStart) / (this.#groupEnd - this.#groupStart);
    const spreadMs = this.#recording.isDatesOnly ? this.#gapMs * place : 0;
    return { dueMs: (this.#passedMs + spreadMs) * this.#msPerRecordedMs, publication };
  }

  /** Goes on to the publication after the one that `peek` shows. */
  advance(): void {
    this.#index += 1;
    if (this.#index < this.#groupEnd) return;
    this.#passedMs += this.#gapMs;
    if (this.#loop && this.#index >= this.length) this.#index = 0;
    this.#findGroup();
  }

  #findGroup(): void {
    this.#groupStart = this.#index;
    this.#groupEnd = this.#index + 1;
    while (this.#groupEnd < this.length && this.#timeMs(this.#groupEnd) === this.#timeMs(this.#groupStart)) {
      this.#groupEnd += 1;
    }
    const { isDatesOnly, recordedMsPerSec } = this.#recording;
    // One lap is a step apart from the next.
    const gapMs =
      this.#groupEnd < this.length
        ? this.#timeMs(this.#groupEnd) - this.#timeMs(this.#groupStart)
        : recordedMsPerSec;
    this.#gapMs = isDatesOnly ? Math.min(gapMs, recordedMsPerSec) : gapMs;
  }

  #timeMs(index: number): number {
    return this.#recording.publications[index]?.time.ms ?? 0;
  }
}

/** The earliest of several schedules; of equal ones the first. Null when all are at their end. */
export function earliest(
  schedules: readonly ReplaySchedule[],
): { schedule: ReplaySchedule; due: Due } | null {
  let best: { schedule: ReplaySchedule; due: Due } | null = null;
  for (const schedule of schedules) {
    const due = schedule.peek();
    if (due !== null && (best === null || due.dueMs < best.due.dueMs)) best = { schedule, due };
  }
  return best;
}
