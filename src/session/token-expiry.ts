/** Ends a connection when its token ends, up to five seconds later so that many do not come back at once. */
import type { Clock } from "../base/clock.ts";
import { WheelEntry } from "../base/timer-wheel.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";

/** Longest delay after `exp`. */
export const expiryJitterMs = 5000;
/** The wall clock may jump: look again at least this often. */
const checkMsMax = 60_000;

export class TokenExpiry extends WheelEntry {
  readonly #wheel: TimerWheel;
  readonly #clock: Clock;
  readonly #onExpired: () => void;
  #dueWallMs = Number.POSITIVE_INFINITY;

  constructor(wheel: TimerWheel, clock: Clock, onExpired: () => void) {
    super();
    this.#wheel = wheel;
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  /** @param expiresWallMs null: never. */
  set(expiresWallMs: number | null): void {
    this.#wheel.cancel(this);
    if (expiresWallMs === null) return;
    this.#dueWallMs = expiresWallMs + Math.random() * expiryJitterMs;
    this.#wait();
  }

  clear(): void {
    this.#wheel.cancel(this);
  }

  override onDeadline(): void {
    if (this.#clock.wallMs() >= this.#dueWallMs) this.#onExpired();
    else this.#wait();
  }

  #wait(): void {
    const restMs = this.#dueWallMs - this.#clock.wallMs();
    this.#wheel.schedule(this, Math.min(Math.max(restMs, 0), checkMsMax));
  }
}
