/**
 * Publishes recordings again at their pace. Several recordings play side by side, each at its own pace and each
 * beginning now: month closes beside daily ones, so that every symbol of a board moves.
 */
import type { Clock } from "../base/clock.ts";
import { readRecording, type Recording, recordedFiles } from "./recording.ts";
import { earliest, ReplaySchedule } from "./replay-schedule.ts";

export interface ReplayOptions {
  /** Files to replay, or `recorded` for those that come with Tapecast. */
  readonly source: "recorded" | readonly string[];
  /** How many times faster than the recording's own pace; above 0. */
  readonly speed: number;
  /** Begin again at the end; times go on rising. */
  readonly loop: boolean;
  readonly clock: Clock;
  /** Called in due order, at most 256 times before the first of them settles. A rejection is counted, not repeated. */
  publish(topic: string, data: Uint8Array): Promise<unknown>;
  /** A publish was rejected. */
  onFailure?(error: unknown): void;
}

/** A running replay. */
export interface Replay {
  /** How many publications a lap has, all recordings together. */
  readonly length: number;
  /** How many were handed to `publish` so far. */
  readonly published: number;
  /** Ends it. Publications that were handed on already are not taken back. */
  stop(): void;
  /** Resolves when the last publication has settled, or after `stop`. */
  readonly done: Promise<void>;
}

const inFlightMax = 256;
/** A replay that is behind by more (a suspended machine, a slow broker) goes on from here instead of hurrying. */
const lateMsMax = 1000;
/** At most this many publications before other work of the process has its turn. */
const turnMax = 64;

/** Reads the files and begins. @throws RecordingError when one cannot be read. */
export function startReplay(options: ReplayOptions): Replay {
  const files = options.source === "recorded" ? recordedFiles : options.source;
  return playRecordings(
    files.map((file) => readRecording(file)),
    options,
  );
}

/** As `startReplay`, of recordings in memory. */
export function playRecordings(recordings: readonly Recording[], options: ReplayOptions): Replay {
  return new Player(recordings, options);
}

class Player implements Replay {
  readonly length: number;
  readonly done: Promise<void>;
  readonly #options: ReplayOptions;
  readonly #schedules: readonly ReplaySchedule[];
  readonly #finish: () => void;
  #startMs: number;
  #published = 0;
  #inFlight = 0;
  #isStopped = false;
  #isWaiting = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(recordings: readonly Recording[], options: ReplayOptions) {
    const { promise, resolve } = withResolvers();
    this.done = promise;
    this.#finish = resolve;
    this.#options = options;
    this.#schedules = recordings.map(
      (recording) => new ReplaySchedule(recording, options.speed, options.loop),
    );
    this.length = this.#schedules.reduce((sum, schedule) => sum + schedule.length, 0);
    this.#startMs = options.clock.nowMs();
    this.#arm(0);
  }

  get published(): number {
    return this.#published;
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#finish();
  }

  #arm(waitMs: number): void {
    // A timer waits 2^31 - 1 ms at most; a longer one would fire at once.
    this.#timer = setTimeout(() => this.#turn(), Math.min(waitMs, 2_147_483_647));
  }

  #turn(): void {
    this.#timer = null;
    const { clock } = this.#options;
    for (let count = 0; !this.#isStopped; count += 1) {
      const next = earliest(this.#schedules);
      if (next === null) return this.#endWhenSettled();
      const nowMs = clock.nowMs() - this.#startMs;
      const waitMs = next.due.dueMs - nowMs;
      if (waitMs < -lateMsMax) this.#startMs -= waitMs + lateMsMax;
      if (this.#inFlight >= inFlightMax) {
        this.#isWaiting = true;
        return;
      }
      if (waitMs > 0 || count >= turnMax) return this.#arm(Math.max(0, waitMs));
      next.schedule.advance();
      this.#hand(next.due.publication.topic, next.due.publication.data);
    }
  }

  #hand(topic: string, data: Uint8Array): void {
    this.#published += 1;
    this.#inFlight += 1;
    void this.#options
      .publish(topic, data)
      .catch((error: unknown) => this.#options.onFailure?.(error))
      .then(() => this.#settled());
  }

  #settled(): void {
    this.#inFlight -= 1;
    if (this.#isStopped) return;
    if (this.#isWaiting) {
      this.#isWaiting = false;
      this.#arm(0);
    } else if (this.#timer === null) {
      this.#endWhenSettled();
    }
  }

  #endWhenSettled(): void {
    if (this.#inFlight === 0 && earliest(this.#schedules) === null) this.#finish();
  }
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = nothing;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

function nothing(): void {
  // Replaced before anybody can call it.
}
