/**
 * Fairness between connections that share one event loop. Each may work for a slice in a turn of the loop, and, while
 * others are active, for a share of the time in the long run. What is beyond waits here, round robin: a slice in each
 * turn, so that between two slices of one the loop polls, the hub writes, and the others are answered. Work is measured
 * by the clock, so everything costs what it costs. Knows nothing of sockets; whoever waits has stopped reading.
 */
import type { AddressWork } from "./address-work.ts";
import type { Clock } from "./clock.ts";

/** Longest that one connection works in a turn when its work can be cut: others wait for it at most that long. */
const sliceMs = 0.25;
/**
 * What one turn can cost a connection. Its process may have stood still meanwhile: that is not its work, and the few
 * things that cannot be cut take about this long.
 */
const chargeMsMax = 2;
/** Two reads so close together count as one turn: libuv reads a socket up to 32 times in a row. */
const sameTurnMs = 0.1;
/** Nobody but the one that works was heard of or written to for so long: then nobody has to wait for anything. */
const aloneMs = 50;
/** All who waited work so long in a turn, together: a crowd that comes back is not held up by its number. */
const turnMsMax = 2;
/** Who may go on is looked for among so many at a time. */
const looksMax = 256;
/** The share's burst, as time at full rate: a heavy command now and then is done at once. */
const burstSec = 0.5;

/** Whoever may have to wait. */
export interface TurnTaker {
  readonly workShare: WorkShare;
  /** Goes on with what waits until the queue's `isSpent`. @returns whether there is more that could be done now. */
  takeTurn(): boolean;
  /** Nothing waits any more, and it need not rest: it may take on new work. */
  endWait(): void;
}

/** Why work had to wait, for the metric. */
export type CutReason = "slice" | "share" | "address";

/** Plain integers, read by the metrics. */
export class TurnCounters {
  /** Gauge: connections whose work waits for a turn, or that rest. */
  waiting = 0;
  /** Gauge: bytes of what waits. Kept by those who wait. */
  waitingBytes = 0;
  /** How often work was cut, by what cut it. */
  readonly cut: Record<CutReason, number> = { slice: 0, share: 0, address: 0 };
}

/** How much one connection has worked. Numbers only, no timer. */
export class WorkShare {
  /** Of its share; below zero it rests. */
  leftMs: number;
  refilledMs: number;
  /** Worked in the present turn. */
  turnMs = 0;
  /** In the queue. */
  isWaiting = false;
  /** Because of its share, or its address's. */
  isResting = false;
  /** What all connections of its address have together; null: as much as they like. */
  readonly ofAddress: AddressWork | null;

  constructor(leftMs: number, nowMs: number, ofAddress: AddressWork | null = null) {
    this.leftMs = leftMs;
    this.refilledMs = nowMs;
    this.ofAddress = ofAddress;
  }

  /** Its share is spent, or its address's. */
  get isOverdrawn(): boolean {
    return this.leftMs < 0 || (this.ofAddress !== null && this.ofAddress.leftMs < 0);
  }

  spend(workMs: number): void {
    this.leftMs -= workMs;
    this.ofAddress?.spend(workMs);
  }
}

/** One per worker. */
export class TurnQueue {
  readonly counters = new TurnCounters();
  /** Called when a connection begins to rest because of its share, or its address's. */
  onShareSpent: (isOfAddress: boolean) => void = () => undefined;
  /** What a new share begins with. */
  readonly burstMs: number;
  readonly #clock: Clock;
  readonly #refillPerMs: number;
  readonly #run: () => void;
  /** In the order in which they go on. */
  readonly #waiting = new Set<TurnTaker>();
  #working: WorkShare | null = null;
  #beganMs = 0;
  /** Who was read from or written to last, and how often it was another than before. */
  #active: object | null = null;
  #switches = 0;
  #switchesSeen = 0;
  #othersSeenMs = Number.NEGATIVE_INFINITY;
  #isImmediate = false;
  #timer: NodeJS.Timeout | null = null;

  /** @param workMsPerSecMax a connection's share while others are active; null for no limit. */
  constructor(clock: Clock, workMsPerSecMax: number | null) {
    this.#clock = clock;
    this.#refillPerMs = workMsPerSecMax === null ? Number.POSITIVE_INFINITY : workMsPerSecMax / 1000;
    this.burstMs = workMsPerSecMax === null ? Number.POSITIVE_INFINITY : workMsPerSecMax * burstSec;
    this.#run = () => this.#turn();
  }

  /** `who`, always the same object for one connection, was read from or written to. Cost: a comparison. */
  touch(who: object): void {
    if (who === this.#active) return;
    this.#active = who;
    this.#switches += 1;
  }

  /** `taker` works from now on. @returns false when somebody works already: then `end` must not be called. */
  begin(taker: TurnTaker): boolean {
    if (this.#working !== null) return false;
    const share = taker.workShare;
    const nowMs = this.#clock.nowMs();
    if (nowMs - share.refilledMs >= sameTurnMs) share.turnMs = 0;
    this.#refill(share, nowMs);
    share.ofAddress?.restMs(nowMs);
    this.#working = share;
    this.#beganMs = nowMs;
    return true;
  }

  /** Whoever works now has used up its slice of this turn. Cost: a clock read. */
  get isSpent(): boolean {
    const share = this.#working;
    return share !== null && share.turnMs + this.#clock.nowMs() - this.#beganMs >= sliceMs;
  }

  /** Whether new work of `taker` must wait: it waits already, or its slice or share is spent. */
  mustWait(taker: TurnTaker): boolean {
    const share = taker.workShare;
    return share.isWaiting || share.isOverdrawn || (share === this.#working && this.isSpent);
  }

  /** It works no longer. @returns whether it must `wait`, though nothing of it may wait: its slice or share is spent. */
  end(): boolean {
    const share = this.#working;
    this.#working = null;
    if (share === null) return false;
    const nowMs = this.#clock.nowMs();
    const workedMs = nowMs - this.#beganMs;
    share.turnMs += workedMs;
    share.refilledMs = nowMs;
    share.spend(Math.min(workedMs, chargeMsMax));
    return share.isOverdrawn || share.turnMs >= sliceMs;
  }

  /** Others have worked for `taker`, or will, for about so long: processes behind us, later turns. */
  charge({ workShare }: TurnTaker, workMs: number): void {
    workShare.spend(workMs);
  }

  /** Puts `taker` behind all who wait, if it does not wait already. */
  wait(taker: TurnTaker): void {
    if (taker.workShare.isWaiting) return;
    this.#put(taker);
    this.#schedule(0);
  }

  /** It is gone, or waits for something else. */
  leave(taker: TurnTaker): void {
    taker.workShare.isWaiting = false;
    this.#waiting.delete(taker);
    this.counters.waiting = this.#waiting.size;
  }

  #put(taker: TurnTaker): void {
    const share = taker.workShare;
    const isResting = share.isOverdrawn;
    const isOfAddress = isResting && share.leftMs >= 0;
    if (isResting && !share.isResting) this.onShareSpent(isOfAddress);
    share.isResting = isResting;
    share.isWaiting = true;
    this.counters.cut[isOfAddress ? "address" : isResting ? "share" : "slice"] += 1;
    this.#waiting.add(taker);
    this.counters.waiting = this.#waiting.size;
  }

  /** A slice for each that need not rest, as far as there is time. */
  #turn(): void {
    this.#isImmediate = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const nowMs = this.#clock.nowMs();
    const isAlone = this.#isAlone(nowMs);
    let restMs = Number.POSITIVE_INFINITY;
    let looks = Math.min(looksMax, this.#waiting.size);
    for (const taker of this.#waiting) {
      if (looks === 0) break;
      looks -= 1;
      const ownRestMs = isAlone ? 0 : this.#restMs(taker.workShare, nowMs);
      this.#waiting.delete(taker);
      if (ownRestMs > 0) this.#waiting.add(taker);
      else this.#serve(taker, isAlone);
      restMs = Math.min(restMs, ownRestMs);
      if (ownRestMs <= 0 && this.#clock.nowMs() - nowMs >= turnMsMax) break;
    }
    this.counters.waiting = this.#waiting.size;
    if (this.#waiting.size > 0) this.#schedule(restMs);
  }

  #serve(taker: TurnTaker, isAlone: boolean): void {
    const share = taker.workShare;
    share.isWaiting = false;
    this.begin(taker);
    share.turnMs = 0;
    const hasMore = taker.takeTurn();
    this.end();
    if (share.isWaiting) return;
    if (hasMore || (share.isOverdrawn && !isAlone)) this.#put(taker);
    else {
      share.isResting = false;
      taker.endWait();
    }
  }

  /** Whether a new connection of this address would have to rest: it has nothing left, and others are active. */
  mustRest(ofAddress: AddressWork): boolean {
    const nowMs = this.#clock.nowMs();
    return ofAddress.restMs(nowMs) > 0 && !this.#isAlone(nowMs);
  }

  /** Nobody but one connection was heard of or written to for a while. */
  #isAlone(nowMs: number): boolean {
    if (this.#switches !== this.#switchesSeen) {
      this.#switchesSeen = this.#switches;
      this.#othersSeenMs = nowMs;
    }
    return nowMs - this.#othersSeenMs >= aloneMs;
  }

  #restMs(share: WorkShare, nowMs: number): number {
    this.#refill(share, nowMs);
    const ownMs = share.leftMs >= 0 ? 0 : -share.leftMs / this.#refillPerMs;
    return share.ofAddress === null ? ownMs : Math.max(ownMs, share.ofAddress.restMs(nowMs));
  }

  #refill(share: WorkShare, nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - share.refilledMs);
    share.refilledMs = nowMs;
    if (this.burstMs === Number.POSITIVE_INFINITY) return;
    share.leftMs = Math.min(this.burstMs, share.leftMs + elapsedMs * this.#refillPerMs);
  }

  #schedule(delayMs: number): void {
    if (this.#isImmediate) return;
    if (delayMs <= 0) {
      this.#isImmediate = true;
      setImmediate(this.#run);
      return;
    }
    // Not longer than it takes to find out that nobody else is there.
    this.#timer ??= setTimeout(this.#run, Math.min(aloneMs, Math.ceil(delayMs)));
  }
}
