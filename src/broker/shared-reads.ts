import { Limiter } from "./limiter.ts";

/**
 * Reads that run at once. What they bring is held until its answer is written, up to a topic's whole history each, and
 * peers choose how many different parts they ask for.
 */
const readsAtOnceMax = 16;

/**
 * Concurrent reads of the same part become one. A caller never gets a read that began before its call, since that
 * may miss what was stored in between: it shares the next one, so at most two run for one part, however many ask.
 */
export class SharedReads<Result> {
  readonly #limiter = new Limiter(readsAtOnceMax);
  readonly #running = new Map<string, { current: Promise<Result>; next: Promise<Result> | null }>();

  /** @param start makes the read; called at once, or when the running read of the same `key` has ended. */
  get(key: string, start: () => Promise<Result>): Promise<Result> {
    const running = this.#running.get(key);
    if (running === undefined) return this.#run(key, start);
    running.next ??= running.current.then(
      () => this.#run(key, start),
      () => this.#run(key, start),
    );
    return running.next;
  }

  #run(key: string, start: () => Promise<Result>): Promise<Result> {
    const entry = { current: this.#limiter.run(start), next: null };
    this.#running.set(key, entry);
    const done = (): void => {
      if (this.#running.get(key) === entry && entry.next === null) this.#running.delete(key);
    };
    entry.current.then(done, done);
    return entry.current;
  }
}
