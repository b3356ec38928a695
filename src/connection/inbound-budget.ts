/**
 * How much a peer may send, the three inbound rates of a connection, and how much of our time it may take. Made when the
 * peer first sends something, or something is done for it.
 */

import { TokenBucket } from "../base/token-bucket.ts";
import type { WorkShare } from "../base/turn-queue.ts";
import type { ConnectionOptions } from "./connection-options.ts";

/** One per connection that ever sent anything. Every method that takes says false when the peer is over its limit. */
export class InboundBudget {
  readonly share: WorkShare;
  readonly #bytes: TokenBucket | null;
  readonly #messages: TokenBucket | null;
  readonly #controlFrames: TokenBucket | null;

  constructor(options: ConnectionOptions, share: WorkShare, nowMs: number) {
    this.share = share;
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
