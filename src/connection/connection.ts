/**
 * One upgraded socket's life: frames in, bytes out, turns and deadlines. What comes in goes through `Inbound`, what goes
 * out through `Outbound`; here they meet, and here it is decided that the connection ends. How it does is
 * `ConnectionEnd`'s. It knows no protocol above messages. It has one deadline at a time, in the wheel that all
 * connections share: no timer, closure or promise per connection until something is slow or closes.
 */

import type { AddressWork } from "../base/address-work.ts";
import { canonicalAddress } from "../base/ip-address.ts";
import { limitCounters } from "../base/limit-counters.ts";
import { closeCode } from "../codec/close-code.ts";
import { encodeCloseFrame, encodeFrame, encodeTextFrame } from "../codec/frame-encoder.ts";
import { opcode } from "../codec/opcode.ts";
import { ownCloseCode, type CloseReason } from "./close-reason.ts";
import { ConnectionEnd } from "./connection-end.ts";
import type { ConnectionHandler, ConnectionOptions } from "./connection-options.ts";
import { ConnectionTurns } from "./connection-turns.ts";
import type { ConnectionsShared } from "./connections-shared.ts";
import { Inbound, pausedByUser } from "./inbound.ts";
import { Outbound } from "./outbound.ts";
import type { Transport, TransportOwner } from "./transport.ts";

/** How long a reader that was too slow gets to read its close frame. */
const slowLingerMs = 1000;

const pingFrame = encodeFrame(opcode.ping, Buffer.alloc(0));

/** One per upgraded socket, made by `Connections.adopt`. */
export class Connection extends ConnectionEnd implements TransportOwner {
  /** 22 characters of base64url, 128 random bits. */
  readonly id: string;
  /** The client's address by the word of a trusted proxy, in canonical spelling; null: the peer is the client. */
  addressTold: string | null = null;
  /** What all connections of the client's address may work together; null for no limit. Set before `start`. */
  addressWork: AddressWork | null = null;
  readonly shared: ConnectionsShared;
  readonly options: ConnectionOptions;
  readonly #in: Inbound;
  readonly #out: Outbound;
  #handler: ConnectionHandler | null = null;
  #turns: ConnectionTurns | null = null;

  /** @param transport upgraded: everything from here on is frames, in both directions. */
  constructor(id: string, transport: Transport, options: ConnectionOptions, shared: ConnectionsShared) {
    super(transport, Math.trunc(shared.clock.nowMs()));
    this.id = id;
    this.shared = shared;
    this.options = options;
    this.#in = new Inbound(this, transport);
    this.#out = new Outbound(this, transport);
    transport.owner = this;
  }

  /**
   * Begins to deliver, and writes what was held back until now: all that was written since, beginning with the 101, in
   * one system call.
   * @param firstBytes what came behind the handshake in the same packet; may be changed.
   */
  start(handler: ConnectionHandler, firstBytes: Uint8Array): void {
    this.#handler = handler;
    this.#out.start();
    if (this.isOpen) this.watch();
    if (firstBytes.length > 0) this.onSocketData(firstBytes);
  }

  // ---- what is known of it ----

  /**
   * The client's address in canonical spelling, behind trusted proxies too; empty for a unix socket, `goneAddress` when
   * the peer has left. Cost: a system call.
   */
  get remoteAddress(): string {
    if (this.addressTold !== null) return this.addressTold;
    const { remoteAddress } = this.transport;
    return canonicalAddress(remoteAddress) ?? remoteAddress;
  }

  /** Nothing pending, and open. After false while open, `onDrained` follows. */
  get isWritable(): boolean {
    return this.isOpen && !this.#out.isPending && !this.#out.isSending;
  }

  /** Bytes written that the kernel has not taken. */
  get pendingBytes(): number {
    return this.#out.pendingBytes;
  }

  /**
   * How long the kernel has taken nothing of what is pending; 0 when nothing is, and while it takes some. Looks when
   * asked, and knows of progress what the last look at the deadline knew.
   */
  pendingAgeMs(nowMs: number): number {
    return this.#out.pendingAgeMs(nowMs);
  }

  /** Memory that is held for what came and is not delivered. */
  get arrivingBytes(): number {
    return this.#in.heldBytes;
  }

  /** Bytes of the socket's whole life, as the system counts them. */
  get sentBytes(): number {
    return this.transport.sentBytes;
  }

  get receivedBytes(): number {
    return this.transport.receivedBytes;
  }

  /** Inside `onText` and `onBinary`: the wire bytes of the message's frames, if `recordFrames`. Borrowed. */
  get recordedFrames(): Uint8Array | null {
    return this.#in.recordedFrames;
  }

  // ---- out ----

  /**
   * Writes encoded frames.
   * @param bytes kept: do not change them until they are taken.
   * @returns true: taken. False: pending, and `onDrained` follows; or not open any more, and `onClosed` follows.
   * Cost: one write to the socket, no callback, no allocation of ours while the peer keeps up.
   */
  write(bytes: Uint8Array): boolean {
    return this.isOpen && this.#out.write(bytes);
  }

  /** Encodes and writes a text message. True may also mean: goes out with the other answers of this turn. See `write`. */
  sendText(text: string): boolean {
    return this.isOpen && this.#out.give(encodeTextFrame(text));
  }

  /** Encodes and sends a message. @param payload kept if it is larger than 64 KiB. See `sendText`. */
  send(isText: boolean, payload: Uint8Array): boolean {
    return this.isOpen && this.#out.giveMessage(isText ? opcode.text : opcode.binary, payload);
  }

  /** Whether the peer takes frames that `deflateFrame` made. */
  get maySendCompressed(): boolean {
    return this.options.maySendCompressed === true;
  }

  /**
   * As `send`, compressed where that was agreed on and pays.
   * Never for a message that holds a secret beside text of another peer: its length would tell of the secret.
   */
  sendCompressed(isText: boolean, payload: Uint8Array): boolean {
    if (!this.maySendCompressed) return this.send(isText, payload);
    return this.isOpen && this.#out.giveCompressed(isText ? opcode.text : opcode.binary, payload);
  }

  // ---- in ----

  /** Stops reading, so that the peer feels our pace. No message comes any more until `resumeReading`. */
  pauseReading(): void {
    if (this.isOpen) this.#in.pause(pausedByUser);
  }

  /** Reads on. */
  resumeReading(): void {
    if (!this.#in.unpause(pausedByUser)) return;
    if (this.#in.hasUndelivered) this.turns.wait();
    else this.readOn();
  }

  /** For its turns: nothing waits any more. */
  readOn(): void {
    if (this.#in.isPaused) return;
    this.readFrom(Math.trunc(this.shared.clock.nowMs()));
    this.#in.readOn();
    if (this.isOpen) this.watch();
  }

  /** For the transport. */
  onSocketData(chunk: Uint8Array): void {
    if (this.isDone) return;
    const { clock, counters } = this.shared;
    const nowMs = Math.trunc(clock.nowMs());
    counters.reads += 1;
    counters.bytesIn += chunk.length;
    this.heard(nowMs);
    this.shared.turns.touch(this);
    this.#in.count(chunk.length, nowMs);
    if (this.isDone) return;
    // Reading has stopped, but a stream may still have had something.
    if (this.#in.isPaused) this.#in.keep(chunk);
    else this.turns.read(chunk);
    this.watchMessage(nowMs);
  }

  /** For `Inbound`. While open. */
  onMessage(isText: boolean, payload: Uint8Array): void {
    if (isText) this.#handler?.onText(payload);
    else this.#handler?.onBinary(payload);
  }

  /** For `Inbound`. RFC 6455 §5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response". */
  onPing(payload: Uint8Array): void {
    this.#out.pong(encodeFrame(opcode.pong, payload));
  }

  // ---- turns ----

  /**
   * Does something for the peer: at once if nothing of this connection waits, else when it is its turn, in the order of
   * the calls. Reading stops until it is done. Never, once the connection is closing.
   */
  inTurn(run: () => void): void {
    if (this.isOpen) this.turns.run(run);
  }

  /** Others work for this connection for about so long: it counts as its own work. */
  charge(workMs: number): void {
    this.shared.turns.charge(this.turns, workMs);
  }

  /** Whoever works for this connection now should stop where it can, and go on in `inTurn`. */
  get isSpent(): boolean {
    return this.shared.turns.isSpent;
  }

  /** For its two sides. */
  get turns(): ConnectionTurns {
    this.#turns ??= new ConnectionTurns(this, this.#in, this.#out);
    return this.#turns;
  }

  /** For `Inbound`: what came may be handed on; before it the session's tasks are done, and large messages sent. */
  get mayDeliver(): boolean {
    return !this.isDone && this.#turns?.hasTasks !== true && !this.#out.isSending;
  }

  /** For the transport. */
  onSocketTaken(): void {
    if (!this.isOpen || !this.#out.taken()) return;
    // More goes out when it is our turn, and only then is there room for others.
    if (this.#turns?.hasWaiting === true) this.#turns.wait();
    if (!this.#out.isSending) this.onRoom();
  }

  /** There is room again. */
  onRoom(): void {
    if (this.#out.givePong()) this.#handler?.onDrained();
  }

  // ---- deadlines ----

  /** Schedules the next look at the clock. Reads move no deadline: a look that comes too early just looks again. */
  watch(): void {
    const nowMs = this.shared.clock.nowMs();
    const peerMs = this.#in.isPaused ? Number.POSITIVE_INFINITY : this.dueMs(this.options, nowMs);
    const dueMs = Math.min(peerMs, this.#out.staleLookMs(nowMs));
    if (dueMs === Number.POSITIVE_INFINITY) this.shared.wheel.cancel(this);
    else this.shared.wheel.schedule(this, dueMs - nowMs);
  }

  /** A message that is not whole when a read ends has a deadline, however steadily it dribbles in. */
  watchMessage(nowMs: number): void {
    const { arriving } = this.shared;
    const { arrivingBytes } = this;
    if (arrivingBytes === 0 || this.isDone) arriving.forget(this);
    else arriving.count(this, arrivingBytes);
    if (!this.#in.isMidMessage) this.messageHasCome();
    else if (this.messageIsArriving(nowMs) && this.options.messageTimeoutMs !== null && this.isOpen)
      this.watch();
  }

  /** For the wheel: looks at everything that depends on time. */
  override onDeadline(nowMs: number): void {
    if (!this.isOpen) {
      this.endNow();
      return;
    }
    if (this.#out.isStale(nowMs)) {
      limitCounters.hit("pendingAgeMsMax");
      this.onTooSlow();
      return;
    }
    switch (this.#in.isPaused ? null : this.overdue(this.options, nowMs)) {
      case "message":
        limitCounters.hit("messageTimeoutMs");
        this.fail(closeCode.policyViolation, "message_timeout");
        return;
      case "heartbeat":
        // A peer that says nothing will not answer a close frame either.
        this.fail(ownCloseCode.heartbeatTimeout, "heartbeat_timeout");
        this.endNow();
        return;
      case "ping":
        this.shared.counters.pingsOut += 1;
        this.pinged(Math.trunc(nowMs));
        this.#out.give(pingFrame);
        break;
      case null:
    }
    if (this.isOpen) this.watch();
  }

  // ---- the end ----

  override fail(code: number, reason: string, waitMs?: number): void {
    if (!this.isDone) this.shared.arriving.forget(this);
    super.fail(code, reason, waitMs);
  }

  /** For `arriving`: ends with 4004, and frees what came of the message. */
  refuseMessage(): void {
    this.fail(ownCloseCode.overloaded, "overloaded");
  }

  /** For `Outbound`: the peer takes too little. */
  onTooSlow(): void {
    this.fail(ownCloseCode.slowConsumer, "slow_consumer", slowLingerMs);
  }

  /** If the peer reads nothing it stays pending, and the deadline ends the socket. */
  protected override giveLast(code: number, reason: string): void {
    this.#out.giveLast(encodeCloseFrame(code, reason));
    // The peer's close frame lies behind what we did not read.
    this.resumeReading();
  }

  protected override readToTheEnd(): void {
    this.#in.readToTheEnd();
  }

  protected override dropWaiting(): void {
    this.#in.drop();
    this.#out.drop();
    this.#turns?.drop();
  }

  protected override leave(): void {
    this.shared.wheel.cancel(this);
    this.shared.pending.forget(this);
    this.shared.arriving.forget(this);
    this.shared.forget(this);
  }

  protected override tellClosed(code: number, reason: CloseReason): void {
    this.#handler?.onClosed(code, reason);
  }
}
