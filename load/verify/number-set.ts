/** A set of numbers from 0 that grows, one bit each: a client's books hold what arrived for hours in little memory. */

export class NumberSet {
  #bytes = new Uint8Array(64);

  has(number: number): boolean {
    return ((this.#bytes[number >> 3] ?? 0) & (1 << (number & 7))) !== 0;
  }

  add(number: number): void {
    const index = number >> 3;
    if (index >= this.#bytes.length) {
      const larger = new Uint8Array(Math.max(index + 1, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes[index] = (this.#bytes[index] ?? 0) | (1 << (number & 7));
  }
}
