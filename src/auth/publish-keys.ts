/** The keys that may publish over HTTP. */
import { hash, timingSafeEqual } from "node:crypto";

/** A fixed set of keys, compared in constant time. */
export class PublishKeys {
  readonly #digests: readonly Buffer[];

  /** @param keys `auth.publishKeys`. */
  constructor(keys: readonly string[]) {
    this.#digests = keys.map((key) => digest(key));
  }

  /** False when there are none: then only this machine may publish (docs/PROTOCOL.md). */
  get configured(): boolean {
    return this.#digests.length > 0;
  }

  /**
   * True when `key` is one of ours. Digests have equal lengths and all are compared, so that the time tells neither
   * how much of a key was right nor which one it was. Cost: one SHA-256.
   */
  accepts(key: string): boolean {
    const given = digest(key);
    let accepted = false;
    for (const each of this.#digests) accepted = timingSafeEqual(each, given) || accepted;
    return accepted;
  }
}

function digest(key: string): Buffer {
  return hash("sha256", key, "buffer");
}
