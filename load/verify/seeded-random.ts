/** Random numbers that a seed repeats, so that a schedule of faults can be run again (mulberry32 by Tommy Ettinger). */

export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `least` to `most`, both possible. */
  int(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /** `count` of the values, each at most once, in random order. */
  some<Value>(values: readonly Value[], count: number): Value[] {
    const rest = [...values];
    // A random one of those that are left comes to the front.
    for (let index = 0; index < Math.min(count, rest.length); index++) {
      const other = this.int(index, rest.length - 1);
      const [chosen] = rest.splice(other, 1);
      if (chosen !== undefined) rest.splice(index, 0, chosen);
    }
    return rest.slice(0, count);
  }
}
