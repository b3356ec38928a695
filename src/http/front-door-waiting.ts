/**
 * The two short lives of a socket that is not upgraded: until its request head is whole, and while its refusal is on
 * its way out. Both have a deadline in the wheel and hold at most one request head.
 */

import { WheelEntry, type TimerWheel } from "../base/timer-wheel.ts";
import type { Transport, TransportOwner } from "../connection/transport.ts";
import { refusalResponse, type Refusal } from "../handshake/refusal.ts";
import { readRequestHead, type RequestHead } from "../handshake/request-head.ts";
import { commonFieldLines } from "./common-fields.ts";

/** How long a refused peer may take to read its refusal. */
const farewellMs = 2000;

const headTimeout: Refusal = {
  status: 408,
  reason: "head_timeout",
  message: "the request head did not come in time",
};
const headTooLarge: Refusal = {
  status: 431,
  reason: "head_too_large",
  message: "the request head is larger than this server takes",
};

/** Where a head goes; the front door. */
export interface HeadReceiver {
  readonly wheel: TimerWheel;
  readonly headBytesMax: number;
  readonly headTimeoutMs: number;
  /**
   * A well-formed head of a GET request. `bytes` is everything from its beginning, `rest` what follows the head; both
   * are borrowed until return.
   */
  onHead(transport: Transport, head: RequestHead, bytes: Buffer, rest: Buffer): void;
  /** Anything else. `bytes` is borrowed until return. */
  onOther(transport: Transport, bytes: Buffer): void;
  /** The request is refused: `say` goes out and the socket ends. */
  refuse(transport: Transport, say: Refusal): void;
  /** The peer said nothing at all in time. */
  onSilence(): void;
  /** This socket waits no more. */
  settle(waiting: Waiting): void;
}

/** A socket that the front door still has to end if it stops. */
export interface Waiting {
  readonly transport: Transport;
}

/** Reads the first request head of a connection. */
export class HeadReader extends WheelEntry implements TransportOwner, Waiting {
  readonly transport: Transport;
  readonly #door: HeadReceiver;
  /** What came of a head that is not whole; null before. */
  #bytes: Buffer | null = null;
  #length = 0;

  constructor(transport: Transport, door: HeadReceiver) {
    super();
    this.transport = transport;
    this.#door = door;
    transport.owner = this;
    door.wheel.schedule(this, door.headTimeoutMs);
  }

  onSocketData(chunk: Buffer): void {
    const seenBytes = this.#length;
    // Usually the head is one chunk, and nothing is copied.
    const bytes = seenBytes === 0 ? chunk : this.#append(chunk);
    const verdict = readRequestHead(bytes, seenBytes);
    const { headBytesMax } = this.#door;
    if (verdict === "incomplete") {
      if (bytes.length <= headBytesMax) {
        if (seenBytes === 0) this.#append(chunk);
        return;
      }
      this.#settle();
      this.#door.refuse(this.transport, headTooLarge);
      return;
    }
    this.#settle();
    if (verdict === "other") this.#door.onOther(this.transport, bytes);
    else if (verdict.headBytes > headBytesMax) this.#door.refuse(this.transport, headTooLarge);
    else this.#door.onHead(this.transport, verdict.head, bytes, bytes.subarray(verdict.headBytes));
  }

  onSocketEnd(): void {
    // A head cut off by FIN will never be whole. Probes of load balancers end so, every few seconds.
    this.#settle();
    this.transport.destroy();
  }

  onSocketClose(): void {
    this.#settle();
  }

  onSocketTaken(): void {
    // Nothing is written yet.
  }

  override onDeadline(): void {
    this.#settle();
    if (this.#length > 0) return this.#door.refuse(this.transport, headTimeout);
    // A browser's spare connection: it asked nothing, so it gets no answer.
    this.#door.onSilence();
    this.transport.destroy();
  }

  #settle(): void {
    this.#door.wheel.cancel(this);
    this.#door.settle(this);
  }

  /** Copies, and gives all bytes so far. */
  #append(chunk: Buffer): Buffer {
    const length = this.#length + chunk.length;
    if (this.#bytes === null || this.#bytes.length < length) {
      const larger = Buffer.allocUnsafeSlow(length * 2);
      this.#bytes?.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    chunk.copy(this.#bytes, this.#length);
    this.#length = length;
    return this.#bytes.subarray(0, length);
  }
}

/**
 * Writes a refusal and ends the socket. What the peer still sends is read and thrown away: left unread, it would make
 * the kernel reset the connection, and the peer might never see the answer. And a request that was pipelined behind
 * a refused upgrade must not be processed.
 */
export class Farewell extends WheelEntry implements TransportOwner, Waiting {
  readonly transport: Transport;
  readonly #door: Pick<HeadReceiver, "wheel" | "settle">;

  constructor(transport: Transport, refusal: Refusal, door: Pick<HeadReceiver, "wheel" | "settle">) {
    super();
    this.transport = transport;
    this.#door = door;
    transport.owner = this;
    door.wheel.schedule(this, farewellMs);
    transport.write(refusalResponse(refusal, commonFieldLines()));
    transport.end();
  }

  onSocketData(): void {
    // Thrown away.
  }

  onSocketEnd(): void {
    // Our side ends by itself once the refusal is out.
  }

  onSocketTaken(): void {
    // Nothing more is written.
  }

  onSocketClose(): void {
    this.#door.wheel.cancel(this);
    this.#door.settle(this);
  }

  override onDeadline(): void {
    this.transport.destroy();
  }
}
