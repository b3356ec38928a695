/**
 * Ends a connection within five seconds after its token ends, at a random time, so that many do not come back at once;
 * or, where a token is needed and none has come, after a fixed time.
 */
import type { Clock } from "../base/clock.ts";
import { WheelEntry } from "../base/timer-wheel.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";

/** Longest delay after `exp`. With a tick of the wheel and the close frame's way it stays below five seconds. */
export const expiryJitterMs = 4500;
/** The wall clock may jump: look again at least this often. A token then lives at most this much too long. */
const checkMsMax = 5000;

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

  /** Ends it after this long, whatever the wall clock does; `set` and `clear` take its place. */
  setAfter(delayMs: number): void {
    this.#dueWallMs = Number.NEGATIVE_INFINITY;
    this.#wheel.schedule(this, delayMs);
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
