/** Names of connections: unguessable (128 random bits), so that knowing one's own says nothing about others'. */

import { randomFillSync } from "node:crypto";

const idBytes = 16;

/** Draws randomness for many ids at once: a call for 16 bytes costs about as much as one for 4 KiB. */
export class ConnectionIds {
  readonly #block = Buffer.allocUnsafeSlow(idBytes * 256);
  #offset = this.#block.length;

  /** 22 characters of base64url. */
  next(): string {
    if (this.#offset === this.#block.length) {
      randomFillSync(this.#block);
      this.#offset = 0;
    }
    this.#offset += idBytes;
    return this.#block.toString("base64url", this.#offset - idBytes, this.#offset);
  }
}
