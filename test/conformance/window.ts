/**
 * The client's half of permessage-deflate with and without context: messages compressed as was agreed on, and the
 * server's inflated in a window no larger than agreed on.
 */
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { inflateTwin } from "../codec/inflate-twin.ts";
import type { Agreement } from "./response-head.ts";

const tail = Buffer.from("0000ffff", "hex");
/** Up to this size the server's output is also walked bit by bit, to see how far back it reaches. */
const walkedBytesMax = 16_384;

/** One per connection. */
export class Window {
  readonly agreement: Agreement;
  #sent: Buffer = Buffer.alloc(0);
  #received: Buffer = Buffer.alloc(0);

  constructor(agreement: Agreement) {
    this.agreement = agreement;
  }

  /** RFC 7692 §7.2.1. The payload of one message. */
  deflate(plain: Uint8Array): Buffer {
    const { clientNoContext, clientBits } = this.agreement;
    const flushed = deflateRawSync(plain, {
      // zlib makes 9 of 8, which a server with a window of 8 could not read: there only what needs no window is sent.
      windowBits: Math.max(9, clientBits),
      level: clientBits === 8 ? 0 : 6,
      finishFlush: constants.Z_SYNC_FLUSH,
      ...(this.#sent.length === 0 ? {} : { dictionary: this.#sent }),
    });
    if (!clientNoContext) this.#sent = lastBytes(this.#sent, plain, 2 ** Math.max(9, clientBits));
    const ends = flushed.subarray(-4).equals(tail);
    const payload = ends ? flushed.subarray(0, -4) : flushed;
    // §7.2.3.6: an empty message is one byte.
    return payload.length === 0 ? Buffer.of(0) : payload;
  }

  /** RFC 7692 §7.2.2. @throws Error for what cannot be inflated within what was agreed on. */
  inflate(payload: Buffer): Buffer {
    const { serverNoContext, serverBits } = this.agreement;
    const plain = inflateRawSync(Buffer.concat([payload, tail]), {
      finishFlush: constants.Z_SYNC_FLUSH,
      ...(this.#received.length === 0 ? {} : { dictionary: this.#received }),
    });
    if (!serverNoContext) this.#received = lastBytes(this.#received, plain, 2 ** serverBits);
    else if (payload.length <= walkedBytesMax) {
      const { longestDistance } = inflateTwin(payload, Number.POSITIVE_INFINITY, 0);
      if (longestDistance > 2 ** serverBits)
        throw new Error(`it reaches ${longestDistance} bytes back in a window of ${serverBits} bits`);
    }
    return plain;
  }
}

function lastBytes(before: Buffer, more: Uint8Array, size: number): Buffer {
  return Buffer.concat([before, more]).subarray(-size);
}
