/** How much a peer may send: the three inbound rates of a connection. */

import { TokenBucket } from "../base/token-bucket.ts";
import type { ConnectionOptions } from "./connection-options.ts";

/** One per connection that ever sent anything. Every method says false when the peer is over its limit. */
export class InboundBudget {
  readonly #bytes: TokenBucket | null;
  readonly #messages: TokenBucket | null;
  readonly #controlFrames: TokenBucket | null;

  constructor(options: ConnectionOptions, nowMs: number) {
    this.#bytes = bucket(options.inboundBytesPerSecMax, nowMs);
    this.#messages = bucket(options.inboundMessagesPerSecMax, nowMs);
    this.#controlFrames = bucket(options.controlFramesPerSecMax, nowMs);
  }

  takeBytes(count: number, nowMs: number): boolean {
    return this.#bytes === null || this.#bytes.take(count, nowMs);
  }

  takeMessage(nowMs: number): boolean {
    return this.#messages === null || this.#messages.take(1, nowMs);
  }

  takeControlFrame(nowMs: number): boolean {
    return this.#controlFrames === null || this.#controlFrames.take(1, nowMs);
  }
}

function bucket(ratePerSec: number | null, nowMs: number): TokenBucket | null {
  return ratePerSec === null ? null : new TokenBucket(ratePerSec, nowMs);
}
