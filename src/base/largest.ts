/** Keeps the items with the largest scores of many, in bounded memory. */

interface Scored<Item> {
  readonly score: number;
  readonly item: Item;
}

export class Largest<Item> {
  readonly #countMax: number;
  #kept: Scored<Item>[] = [];
  /** Scores below this have no chance any more. */
  #scoreMin = Number.NEGATIVE_INFINITY;

  /** @param countMax how many are kept, at least 1. */
  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** Cost: a comparison for most; a sort of twice `countMax` once in `countMax` kept ones. */
  offer(score: number, item: Item): void {
    if (score <= this.#scoreMin) return;
    this.#kept.push({ score, item });
    if (this.#kept.length >= 2 * this.#countMax) this.#cut();
  }

  /** The items, largest score first; of equal ones those that came first. */
  take(): Item[] {
    this.#cut();
    return this.#kept.map(({ item }) => item);
  }

  #cut(): void {
    this.#kept.sort((left, right) => right.score - left.score);
    this.#kept.length = Math.min(this.#kept.length, this.#countMax);
    if (this.#kept.length === this.#countMax)
      this.#scoreMin = this.#kept.at(-1)?.score ?? Number.NEGATIVE_INFINITY;
  }
}
