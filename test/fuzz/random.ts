/** A source of random numbers that gives the same ones for the same seed, on every machine (sfc32 by Chris Doty-Humphrey). */

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param seed of a run. @param iteration of it: each has numbers of its own, so that one can be run alone. */
  constructor(seed: number, iteration: number) {
    this.#a = seed | 0;
    this.#b = iteration | 0;
    this.#c = Math.floor(iteration / 2 ** 32) | 0;
    for (let round = 0; round < 12; round += 1) this.#next();
  }

  /** 0 to `below` - 1. */
  int(below: number): number {
    return Math.floor((this.#next() / 2 ** 32) * below);
  }

  /** True in `percent` of 100 cases. */
  chance(percent: number): boolean {
    return this.int(100) < percent;
  }

  pick<Value>(values: readonly Value[]): Value {
    // An index below the length: within the array, which is never empty here.
    return values[this.int(values.length)] as Value;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let index = 0; index < length; index += 1) bytes[index] = this.#next();
    return bytes;
  }

  /** 0 to 2^32 - 1. */
  #next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }
}
