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
 * also from one lap to the next. Publications of the same whole date are spread over the time until the next date, in
 * the order of the file: when in the day they were made, nobody recorded.
 */
export class ReplaySchedule {
  readonly #recording: Recording;
  readonly #msPerRecordedMs: number;
  readonly #loop: boolean;
  readonly #lapRecordedMs: number;
  #lap = 0;
  #index = 0;
  /** Publications of the same time as the one at `#index`: where they begin, and after which they end. */
  #groupStart = 0;
  #groupEnd = 0;

  constructor(recording: Recording, speed: number, loop: boolean) {
    invariant(recording.publications.length > 0, "a recording has publications");
    invariant(speed > 0, "the speed of a replay is above 0");
    this.#recording = recording;
    this.#msPerRecordedMs = 1000 / (recording.recordedMsPerSec * speed);
    this.#loop = loop;
    this.#lapRecordedMs =
      this.#timeMs(recording.publications.length - 1) - this.#timeMs(0) + recording.recordedMsPerSec;
  }

  /** How many publications one lap has. */
  get length(): number {
    return this.#recording.publications.length;
  }

  /** The next publication without taking it; null at the end. */
  peek(): Due | null {
    const publication = this.#recording.publications[this.#index];
    if (publication === undefined) return null;
    if (this.#index >= this.#groupEnd) this.#findGroup();
    const recordedMs =
      this.#lap * this.#lapRecordedMs + publication.time.ms - this.#timeMs(0) + this.#spreadMs();
    return { dueMs: recordedMs * this.#msPerRecordedMs, publication };
  }

  /** Goes on to the publication after the one that `peek` shows. */
  advance(): void {
    this.#index += 1;
    if (!this.#loop || this.#index < this.length) return;
    this.#index = 0;
    this.#groupEnd = 0;
    this.#lap += 1;
  }

  #timeMs(index: number): number {
    return this.#recording.publications[index]?.time.ms ?? 0;
  }

  #findGroup(): void {
    this.#groupStart = this.#index;
    this.#groupEnd = this.#index + 1;
    while (this.#groupEnd < this.length && this.#timeMs(this.#groupEnd) === this.#timeMs(this.#groupStart)) {
      this.#groupEnd += 1;
    }
  }

  /** Recorded milliseconds by which a publication of a whole date comes after the date. */
  #spreadMs(): number {
    if (this.#recording.publications[this.#index]?.time.isDate !== true) return 0;
    const pace = this.#recording.recordedMsPerSec;
    const nextMs =
      this.#groupEnd < this.length ? this.#timeMs(this.#groupEnd) - this.#timeMs(this.#index) : pace;
    const place = (this.#index - this.#groupStart) / (this.#groupEnd - this.#groupStart);
    return Math.min(pace, nextMs) * place;
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
