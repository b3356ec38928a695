/**
 * What was sealed last for a lagging reader whose socket did not take it. Readers who stopped together miss the same: a
 * thousand frozen ones, each with 60 KB of its own at each publication, filled 150 MB a second that the collector had to
 * clear away while the others waited (docs/RELIABILITY.md, "A thousand frozen readers").
 */
import type { Entry, Variant } from "./entry.ts";

/** One per worker; holds one buffer at most. */
export class CatchUpBytes {
  #variant: Variant = "native";
  /** An order is one publication's alone, also where an entry is used for the next. */
  #orders: readonly number[] = [];
  #bytes: Buffer | null = null;

  /** @returns the bytes of `entries` for `variant` if they are the last that were kept; others read them too. */
  find(entries: readonly Entry[], variant: Variant): Buffer | null {
    if (variant !== this.#variant || entries.length !== this.#orders.length) return null;
    return entries.every(({ order }, index) => order === this.#orders[index]) ? this.#bytes : null;
  }

  /** @param bytes of nothing but `entries`; nobody changes them any more. */
  keep(entries: readonly Entry[], variant: Variant, bytes: Buffer): void {
    this.#variant = variant;
    this.#orders = entries.map(({ order }) => order);
    this.#bytes = bytes;
  }
}
