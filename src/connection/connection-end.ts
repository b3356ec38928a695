/**
 * How a connection ends, once: the closing handshake of RFC 6455 §7, how long each step of it may take, and the reason
 * that is told and counted. Not here: what it ends for. A base class, as `PeerWatch` is, so that a connection needs no
 * object for it.
 */
import { closeCode } from "../codec/close-code.ts";
import { closeReasonOf, ownCloseCode, type CloseReason } from "./close-reason.ts";
import type { ConnectionOptions } from "./connection-options.ts";
import type { ConnectionsShared } from "./connections-shared.ts";
import { PeerWatch } from "./peer-watch.ts";
import type { Transport } from "./transport.ts";

/** How long we wait for the peer's close frame after ours. */
const closeTimeoutMs = 5000;
/** How long a socket may take to end after both close frames, or after one that ends all reading. */
const lingerMs = 2000;

const open = 0;
/** We sent a close frame and read on until the peer's comes. */
const closing = 1;
/** Both directions are done; what still comes in is thrown away until the socket ends. */
const lingering = 2;
const closed = 3;

/** See the file head. The deadline of each step is the connection's own, in the wheel: `endNow` is called at it. */
export abstract class ConnectionEnd extends PeerWatch {
  /** Called once when the socket is gone. */
  onGone: (() => void) | null = null;
  abstract readonly shared: ConnectionsShared;
  abstract readonly options: ConnectionOptions;
  protected readonly transport: Transport;
  #state = open;
  #isReported = false;

  constructor(transport: Transport, nowMs: number) {
    super(nowMs);
    this.transport = transport;
  }

  get isOpen(): boolean {
    return this.#state === open;
  }

  /** Nothing more goes in or out. */
  get isDone(): boolean {
    return this.#state >= lingering;
  }

  /**
   * Begins the closing handshake (RFC 6455 §7.1.2). The first reason wins: later calls do nothing.
   * @param reason a constant of ours, at most 123 bytes of UTF-8.
   */
  close(code: number, reason: string): void {
    if (this.#state !== open) return;
    this.#report(code, true);
    this.#state = closing;
    this.giveLast(code, reason);
    this.shared.wheel.schedule(this, closeTimeoutMs);
  }

  /** Ends the socket without a word. */
  terminate(): void {
    if (this.#state === closed) return;
    this.#report(closeCode.abnormal, true);
    this.endNow();
  }

  /** For `pending`: ends at once, with all that is pending. The peer, who reads nothing, sees a reset. */
  shed(): void {
    if (this.#state === closed) return;
    this.#report(ownCloseCode.slowConsumer, true);
    this.dropWaiting();
    this.endNow();
  }

  /** RFC 6455 §7.1.7 _Fail the WebSocket Connection_: a close frame if none was sent, no more reading, the end. */
  fail(code: number, reason: string, waitMs = lingerMs): void {
    if (this.#state >= lingering) return;
    if (this.#state === open) {
      this.#report(code, true);
      this.giveLast(code, reason);
    }
    this.#end(waitMs);
  }

  /**
   * For `Inbound`. RFC 6455 §5.5.1: "If an endpoint receives a Close frame and did not previously send a Close frame, the
   * endpoint MUST send a Close frame in response", and typically "echoes the status code it received".
   */
  onPeerClose(code: number, reason: Uint8Array): void {
    if (this.#state === open) {
      this.#report(code, false);
      this.giveLast(code, this.options.echoesCloseReason ? Buffer.from(reason).toString("utf8") : "");
    }
    this.#end(lingerMs);
  }

  /** For the transport. RFC 6455 §7.1.5: without a close frame "_The WebSocket Connection Close Code_ is considered to be 1006". */
  onSocketEnd(): void {
    if (this.#state >= lingering) return;
    this.#report(closeCode.abnormal, false);
    this.endNow();
  }

  /** For the transport. */
  onSocketClose(): void {
    this.#report(closeCode.abnormal, false);
    this.#state = closed;
    this.dropWaiting();
    this.leave();
    this.onGone?.();
    this.onGone = null;
  }

  /** The time is up: the socket ends, whatever is pending. */
  protected endNow(): void {
    this.#state = lingering;
    this.transport.destroy();
  }

  /** Writes the close frame, the last thing that goes out. */
  protected abstract giveLast(code: number, reason: string): void;

  /** What still comes in is thrown away. */
  protected abstract readToTheEnd(): void;

  /** Lets go of what waits, in both directions. */
  protected abstract dropWaiting(): void;

  /** The socket is gone: nobody is to know the connection any more. */
  protected abstract leave(): void;

  /** Tells whoever was given the messages. Called once. */
  protected abstract tellClosed(code: number, reason: CloseReason): void;

  /** RFC 6455 §5.5.1: "The server MUST close the underlying TCP connection immediately"; it sends FIN first, and TIME_WAIT is its. */
  #end(waitMs: number): void {
    this.#state = lingering;
    this.dropWaiting();
    this.readToTheEnd();
    this.transport.end();
    this.shared.wheel.schedule(this, waitMs);
  }

  /** Tells once, when whatever is running now has returned: the hub may be in the middle of a flush. */
  #report(code: number, isOurs: boolean): void {
    if (this.#isReported) return;
    this.#isReported = true;
    const reason = closeReasonOf(code, isOurs);
    const { counters } = this.shared;
    counters.closed.set(reason, (counters.closed.get(reason) ?? 0) + 1);
    queueMicrotask(() => this.tellClosed(code, reason));
  }
}
