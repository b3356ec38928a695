/**
 * How much one turn of the hub may do. By the clock of whoever gives the turn, which is looked at every few writes: a
 * write of a quote takes 5 µs, one of 60 KB ten times as long, and while a thousand readers' buffers fill up fifty times.
 * And by the number of writes, for the short ones.
 */
import type { HubCounters } from "./hub-counters.ts";

/** Writes that fit in a millisecond of a turn's budget: one costs 5 to 10 µs. */
const writesPerMs = 100;
/** The clock is looked at after so many writes, or bytes. */
const lookWrites = 16;
const lookBytes = 65_536;

export class TurnBudget {
  readonly #counters: HubCounters;
  #elapsedMs: () => number = () => 0;
  #budgetMs = 0;
  #writesBegan = 0;
  #writesMax = 0;
  #isOver = false;
  #lookAtWrites = 0;
  #lookAtBytes = 0;

  constructor(counters: HubCounters) {
    this.#counters = counters;
  }

  /** A turn begins. @param elapsedMs how long it lasts already. */
  begin(budgetMs: number, elapsedMs: () => number): void {
    const { writes } = this.#counters;
    this.#elapsedMs = elapsedMs;
    this.#budgetMs = budgetMs;
    this.#isOver = false;
    this.#writesBegan = writes;
    this.#writesMax = writes + budgetMs * writesPerMs;
    this.#lookLater();
  }

  /** How much of it is gone. Without a clock it goes by the writes. Cost: a clock read. */
  get spentMs(): number {
    return Math.max(this.#elapsedMs(), (this.#counters.writes - this.#writesBegan) / writesPerMs / 2);
  }

  /** Nothing more should be written in this turn. Cost: three comparisons, and sometimes a clock read. */
  get isSpent(): boolean {
    const { writes, bytesOut } = this.#counters;
    if (this.#isOver || writes >= this.#writesMax) return true;
    if (writes < this.#lookAtWrites && bytesOut < this.#lookAtBytes) return false;
    this.#lookLater();
    this.#isOver = this.#elapsedMs() >= this.#budgetMs;
    return this.#isOver;
  }

  #lookLater(): void {
    this.#lookAtWrites = this.#counters.writes + lookWrites;
    this.#lookAtBytes = this.#counters.bytesOut + lookBytes;
  }
}
