/**
 * One upgraded socket's life: frames in, bytes out, back pressure, heartbeat, and the closing handshake of RFC 6455 §7.
 * It knows no protocol above messages. It has one deadline at a time, in the wheel that all connections share, and its
 * fields are the whole of its state: no timer, closure or promise per connection until something is slow or closes.
 */

import type { Clock } from "../base/clock.ts";
import { canonicalAddress } from "../base/ip-address.ts";
import { limitCounters, type LimitName } from "../base/limit-counters.ts";
import { WheelEntry, type TimerWheel } from "../base/timer-wheel.ts";
import { closeCode } from "../codec/close-code.ts";
import { deflateFrame } from "../codec/deflate.ts";
import { encodeCloseFrame, encodeFrame, encodeTextFrame } from "../codec/frame-encoder.ts";
import { MessageReader, type MessageSink } from "../codec/message-reader.ts";
import { opcode } from "../codec/opcode.ts";
import { violation } from "../codec/violation.ts";
import { closeReasonOf, ownCloseCode } from "./close-reason.ts";
import type { ByteTotal } from "./byte-total.ts";
import type { ConnectionCounters } from "./connection-counters.ts";
import type { ConnectionHandler, ConnectionOptions } from "./connection-options.ts";
import { InboundBudget } from "./inbound-budget.ts";
import type { Transport, TransportOwner } from "./transport.ts";

/** What the connections of a worker share. */
export interface ConnectionsShared {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly counters: ConnectionCounters;
  readonly pending: ByteTotal<Connection>;
  /** Of messages that are not whole. */
  readonly arriving: ByteTotal<Connection>;
  /** The socket of `connection` is gone. */
  forget(connection: Connection): void;
}

/** How long we wait for the peer's close frame after ours. */
const closeTimeoutMs = 5000;
/** How long a socket may take to end after both close frames, or after one that ends all reading. */
const lingerMs = 2000;
/** How long a reader that was too slow gets to read its close frame. */
const slowLingerMs = 1000;
/** How often a connection with bytes pending is looked at within `pendingAgeMsMax`. */
const looksPerAge = 32;
/** A deadline may be noticed 100 ms late (timer-wheel.ts): of the age of 10 s that is the rest. */
const ageShare = 0.99;

const open = 0;
/** We sent a close frame and read on until the peer's comes. */
const closing = 1;
/** Both directions are done; what still comes in is thrown away until the socket ends. */
const lingering = 2;
const closed = 3;

const nothing = Buffer.alloc(0);
const pingFrame = encodeFrame(opcode.ping, nothing);

/** One per upgraded socket, made by `Connections.adopt`. */
export class Connection extends WheelEntry implements MessageSink, TransportOwner {
  /** 22 characters of base64url, 128 random bits. */
  readonly id: string;
  /** The client's address by the word of a trusted proxy, in canonical spelling; null: the peer is the client. */
  addressTold: string | null = null;
  /** Called once when the socket is gone. */
  onGone: (() => void) | null = null;
  readonly #shared: ConnectionsShared;
  readonly #transport: Transport;
  readonly #options: ConnectionOptions;
  readonly #reader: MessageReader;
  #handler: ConnectionHandler | null = null;
  #state = open;
  #isReported = false;
  #isPaused = false;
  #isPending = false;
  #pong: Uint8Array | null = null;
  /** Until `start`: the 101 and what the session says at once, to go out in one write. */
  #held: Uint8Array[] | null = [];
  #budget: InboundBudget | null = null;
  #heardMs: number;
  /** -1 while no ping waits for an answer. */
  #pingedMs = -1;
  /** When the message that is arriving began; -1 between messages. */
  #messageMs = -1;
  #progressMs = 0;
  #progress = 0;

  /** @param transport upgraded: everything from here on is frames, in both directions. */
  constructor(id: string, transport: Transport, options: ConnectionOptions, shared: ConnectionsShared) {
    super();
    this.id = id;
    this.#shared = shared;
    this.#options = options;
    this.#reader = new MessageReader(options, this);
    this.#heardMs = Math.trunc(shared.clock.nowMs());
    this.#transport = transport;
    transport.owner = this;
  }

  /**
   * Begins to deliver, and writes what was held back until now: all that was written since, beginning with the 101, in
   * one system call.
   * @param firstBytes what came behind the handshake in the same packet; may be changed.
   */
  start(handler: ConnectionHandler, firstBytes: Uint8Array): void {
    this.#handler = handler;
    this.#release();
    if (this.#state === open) this.#watch();
    if (firstBytes.length > 0) this.onSocketData(firstBytes);
  }

  /**
   * The client's address in canonical spelling, behind trusted proxies too; empty for a unix socket, `goneAddress` when
   * the peer has left. Cost: a system call.
   */
  get remoteAddress(): string {
    if (this.addressTold !== null) return this.addressTold;
    const { remoteAddress } = this.#transport;
    return canonicalAddress(remoteAddress) ?? remoteAddress;
  }

  /** Nothing pending, and open. After false while open, `onDrained` follows. */
  get isWritable(): boolean {
    return this.#state === open && !this.#isPending;
  }

  /** Bytes given to the socket that the kernel has not taken. */
  get pendingBytes(): number {
    return this.#transport.pendingBytes;
  }

  /**
   * How long the kernel has taken nothing of what is pending; 0 when nothing is, and while it takes some. Looks when
   * asked, and knows of progress what the last look at the deadline knew.
   */
  pendingAgeMs(nowMs: number): number {
    if (!this.#isPending || this.#transport.progress !== this.#progress) return 0;
    return Math.max(0, nowMs - this.#progressMs);
  }

  /** Since the peer said anything. */
  silentMs(nowMs: number): number {
    return nowMs - this.#heardMs;
  }

  /** Bytes of the socket's whole life, as the system counts them. */
  get sentBytes(): number {
    return this.#transport.sentBytes;
  }

  get receivedBytes(): number {
    return this.#transport.receivedBytes;
  }

  /** Inside `onText` and `onBinary`: the wire bytes of the message's frames, if `recordFrames`. Borrowed. */
  get recordedFrames(): Uint8Array | null {
    return this.#reader.recordedFrames;
  }

  /**
   * Writes encoded frames.
   * @param bytes kept: do not change them until they are taken.
   * @returns true: taken. False: pending, and `onDrained` follows; or not open any more, and `onClosed` follows.
   * Cost: one write to the socket, no callback, no allocation of ours while the peer keeps up.
   */
  write(bytes: Uint8Array): boolean {
    return this.#state === open && this.#give(bytes);
  }

  /** Encodes and writes a text message. See `write`. */
  sendText(text: string): boolean {
    return this.write(encodeTextFrame(text));
  }

  /** Whether the peer takes frames that `deflateFrame` made. */
  get maySendCompressed(): boolean {
    return this.#options.maySendCompressed === true;
  }

  /**
   * Encodes and writes a message, compressed where that was agreed on and pays. `payload` is not kept. See `write`.
   * Never for a message that holds a secret beside text of another peer: its length would tell of the secret.
   */
  sendCompressed(isText: boolean, payload: Uint8Array): boolean {
    const frame = this.maySendCompressed ? deflateFrame(isText ? opcode.text : opcode.binary, payload) : null;
    return frame === null ? this.send(isText, payload) : this.write(frame);
  }

  /** Encodes and writes a message. `payload` is copied. See `write`. */
  send(isText: boolean, payload: Uint8Array): boolean {
    return this.write(encodeFrame(isText ? opcode.text : opcode.binary, payload));
  }

  /**
   * Begins the closing handshake (RFC 6455 §7.1.2). The first reason wins: later calls do nothing.
   * @param reason a constant of ours, at most 123 bytes of UTF-8.
   */
  close(code: number, reason: string): void {
    if (this.#state !== open) return;
    this.#report(code, true);
    this.#state = closing;
    this.#giveLast(encodeCloseFrame(code, reason));
    this.#shared.wheel.schedule(this, closeTimeoutMs);
  }

  /** Ends the socket without a word. */
  terminate(): void {
    if (this.#state === closed) return;
    this.#report(closeCode.abnormal, true);
    this.#state = lingering;
    this.#transport.destroy();
  }

  /** For `pending`: ends at once, with all that is pending. The peer, who reads nothing, sees a reset. */
  shed(): void {
    if (this.#state === closed) return;
    this.#report(ownCloseCode.slowConsumer, true);
    this.#reader.stop();
    this.#state = lingering;
    this.#transport.destroy();
  }

  /** Memory that is held for a message or frame that is not whole. */
  get arrivingBytes(): number {
    return this.#reader.bufferedBytes;
  }

  /** For `arriving`: ends with 4004, and frees what came of the message. */
  refuseMessage(): void {
    this.#fail(ownCloseCode.overloaded, "overloaded", lingerMs);
  }

  /** Stops reading, so that the peer feels our pace. What was already read (at most two chunks) still comes. */
  pauseReading(): void {
    if (this.#state !== open || this.#isPaused) return;
    this.#isPaused = true;
    this.#transport.pause();
  }

  /** Reads on. */
  resumeReading(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#heardMs = Math.trunc(this.#shared.clock.nowMs());
    // Only the time in which we read is the peer's.
    if (this.#messageMs >= 0) this.#messageMs = this.#heardMs;
    this.#transport.resume();
    if (this.#state === open) this.#watch();
  }

  /** For the transport. */
  onSocketData(chunk: Uint8Array): void {
    if (this.#state >= lingering) return;
    const { clock, counters } = this.#shared;
    const nowMs = Math.trunc(clock.nowMs());
    counters.reads += 1;
    counters.bytesIn += chunk.length;
    this.#heardMs = nowMs;
    this.#pingedMs = -1;
    this.#budget ??= new InboundBudget(this.#options, nowMs);
    if (!this.#budget.takeBytes(chunk.length, nowMs) && this.#state === open)
      this.#failFlood("inboundBytesPerSecMax");
    this.#reader.push(chunk);
    this.#watchMessage(nowMs);
  }

  /** For the transport. RFC 6455 §7.1.5: without a close frame "_The WebSocket Connection Close Code_ is considered to be 1006". */
  onSocketEnd(): void {
    if (this.#state >= lingering) return;
    this.#report(closeCode.abnormal, false);
    this.#state = lingering;
    this.#transport.destroy();
  }

  /** For the transport. */
  onSocketClose(): void {
    this.#report(closeCode.abnormal, false);
    this.#state = closed;
    this.#reader.stop();
    this.#pong = null;
    this.#shared.wheel.cancel(this);
    this.#shared.pending.forget(this);
    this.#shared.arriving.forget(this);
    this.#shared.forget(this);
    this.onGone?.();
    this.onGone = null;
  }

  /** For the transport. */
  onSocketTaken(): void {
    if (this.#state !== open || !this.#isPending) return;
    this.#isPending = false;
    this.#shared.pending.forget(this);
    const pong = this.#pong;
    this.#pong = null;
    if (pong !== null && !this.#give(pong)) return;
    this.#handler?.onDrained();
  }

  /** For the codec. */
  onMessage(isText: boolean, payload: Uint8Array): void {
    this.#messageMs = -1;
    if (this.#state !== open) return;
    this.#shared.counters.messagesIn += 1;
    if (!this.#takeInflated(payload.length)) this.#failFlood("inboundBytesPerSecMax");
    else if (this.#budget?.takeMessage(this.#heardMs) === false) this.#failFlood("inboundMessagesPerSecMax");
    else if (isText) this.#handler?.onText(payload);
    else this.#handler?.onBinary(payload);
  }

  /** For the codec. RFC 6455 §5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response". */
  onPing(payload: Uint8Array): void {
    this.#shared.counters.pingsIn += 1;
    if (this.#state !== open || !this.#takeControlFrame()) return;
    const pong = encodeFrame(opcode.pong, payload);
    // §5.5.3: an endpoint "MAY elect to send a Pong frame for only the most recently processed Ping frame".
    if (this.#isPending) this.#pong = pong;
    else this.#give(pong);
  }

  /** For the codec. Whatever its payload, a pong is a sign of life like any other byte, and nothing else. */
  onPong(): void {
    this.#shared.counters.pongsIn += 1;
    if (this.#state === open) this.#takeControlFrame();
  }

  /**
   * For the codec. RFC 6455 §5.5.1: "If an endpoint receives a Close frame and did not previously send a Close frame,
   * the endpoint MUST send a Close frame in response", and typically "echoes the status code it received".
   */
  onClose(code: number, reason: Uint8Array): void {
    if (this.#state === open) {
      this.#report(code, false);
      const text = this.#options.echoesCloseReason ? Buffer.from(reason).toString("utf8") : "";
      this.#giveLast(encodeCloseFrame(code, text));
    }
    this.#end(lingerMs);
  }

  /** For the codec. RFC 6455 §7.1.7: a violation fails the connection; nothing more is read from it. */
  onViolation(code: number, reason: string): void {
    if (reason === violation.messageTooBig.reason) {
      limitCounters.hit(this.#options.messageLimitName ?? "messageBytesMax");
    } else if (reason === violation.tooManyFragments.reason) limitCounters.hit("fragmentsPerMessageMax");
    this.#fail(code, reason, lingerMs);
  }

  /** For the wheel: looks at everything that depends on time. */
  override onDeadline(nowMs: number): void {
    if (this.#state !== open) {
      this.#state = lingering;
      this.#transport.destroy();
      return;
    }
    if (this.#isStale(nowMs)) {
      limitCounters.hit("pendingAgeMsMax");
      this.#fail(ownCloseCode.slowConsumer, "slow_consumer", slowLingerMs);
      return;
    }
    const { heartbeatIntervalMs, heartbeatTimeoutMs, messageTimeoutMs } = this.#options;
    if (messageTimeoutMs !== null && this.#messageMs >= 0 && !this.#isPaused) {
      if (nowMs - this.#messageMs >= messageTimeoutMs) {
        limitCounters.hit("messageTimeoutMs");
        this.#fail(closeCode.policyViolation, "message_timeout", lingerMs);
        return;
      }
    }
    if (heartbeatIntervalMs !== null && !this.#isPaused) {
      if (this.#pingedMs >= 0 && nowMs - this.#pingedMs >= heartbeatTimeoutMs) {
        // A peer that says nothing will not answer a close frame either.
        this.#fail(ownCloseCode.heartbeatTimeout, "heartbeat_timeout", lingerMs);
        this.#transport.destroy();
        return;
      }
      if (this.#pingedMs < 0 && nowMs - this.#heardMs >= heartbeatIntervalMs) {
        this.#shared.counters.pingsOut += 1;
        this.#pingedMs = Math.trunc(nowMs);
        this.#give(pingFrame);
      }
    }
    if (this.#state === open) this.#watch();
  }

  /** Schedules the next look at the clock. Reads move no deadline: a look that comes too early just looks again. */
  #watch(): void {
    const { heartbeatIntervalMs, heartbeatTimeoutMs, messageTimeoutMs, pendingAgeMsMax } = this.#options;
    const nowMs = this.#shared.clock.nowMs();
    let dueMs = Number.POSITIVE_INFINITY;
    if (heartbeatIntervalMs !== null && !this.#isPaused) {
      const nextPingMs = Math.max(this.#heardMs, this.#pingedMs) + heartbeatIntervalMs;
      const isDueFirst = this.#pingedMs < 0 || nextPingMs > nowMs;
      // An answered ping is seen at the next ping's time, which may be before the timeout.
      dueMs = isDueFirst ? nextPingMs : Number.POSITIVE_INFINITY;
      if (this.#pingedMs >= 0) dueMs = Math.min(dueMs, this.#pingedMs + heartbeatTimeoutMs);
    }
    if (messageTimeoutMs !== null && this.#messageMs >= 0 && !this.#isPaused) {
      dueMs = Math.min(dueMs, this.#messageMs + messageTimeoutMs);
    }
    if (this.#isPending && pendingAgeMsMax !== null) {
      const endMs = this.#progressMs + pendingAgeMsMax * ageShare;
      dueMs = Math.min(dueMs, nowMs + pendingAgeMsMax / looksPerAge, Math.max(nowMs, endMs));
    }
    if (dueMs === Number.POSITIVE_INFINITY) this.#shared.wheel.cancel(this);
    else this.#shared.wheel.schedule(this, dueMs - nowMs);
  }

  /** A message that is not whole when a read ends has a deadline, however steadily it dribbles in. */
  #watchMessage(nowMs: number): void {
    const { arriving } = this.#shared;
    if (!this.#reader.isMidMessage) {
      arriving.forget(this);
      this.#messageMs = -1;
      return;
    }
    const isNew = this.#messageMs < 0;
    if (isNew) this.#messageMs = nowMs;
    arriving.count(this, this.#reader.bufferedBytes);
    if (isNew && this.#options.messageTimeoutMs !== null && this.#state === open) this.#watch();
  }

  /** Whether the kernel has taken nothing for too long. */
  #isStale(nowMs: number): boolean {
    const { pendingAgeMsMax } = this.#options;
    if (!this.#isPending || pendingAgeMsMax === null) return false;
    const { progress } = this.#transport;
    if (progress === this.#progress) return nowMs - this.#progressMs >= pendingAgeMsMax * ageShare;
    this.#progress = progress;
    // Some time since the last look: the earliest counts, so that the age is never exceeded.
    this.#progressMs = Math.trunc(nowMs - pendingAgeMsMax / looksPerAge);
    return false;
  }

  /** Writes what was held back. */
  #release(): void {
    const held = this.#held;
    this.#held = null;
    if (held === null) return;
    const bytes = held.length === 1 ? (held[0] ?? nothing) : Buffer.concat(held);
    if (bytes.length > 0) this.#give(bytes);
  }

  /** Writes while open. */
  #give(bytes: Uint8Array): boolean {
    if (this.#held !== null) {
      this.#held.push(bytes);
      return true;
    }
    const { counters } = this.#shared;
    counters.writes += 1;
    counters.bytesOut += bytes.length;
    if (this.#transport.write(bytes)) return true;
    const { pendingBytes } = this.#transport;
    const { pendingBytesMax } = this.#options;
    if (pendingBytesMax !== null && pendingBytes > pendingBytesMax) {
      limitCounters.hit("pendingBytesMax");
      this.#fail(ownCloseCode.slowConsumer, "slow_consumer", slowLingerMs);
    } else if (!this.#isPending) this.#pend();
    this.#shared.pending.count(this, pendingBytes);
    return false;
  }

  /** Writes the close frame. If the peer reads nothing it stays pending, and the deadline ends the socket. */
  #giveLast(frame: Uint8Array): void {
    this.#release();
    this.#transport.write(frame);
    this.#shared.counters.writes += 1;
    this.#shared.counters.bytesOut += frame.length;
    this.#pong = null;
    // The peer's close frame lies behind what we did not read.
    if (this.#isPaused) this.resumeReading();
  }

  /** The kernel did not take everything: `onSocketTaken` will follow. */
  #pend(): void {
    this.#isPending = true;
    this.#shared.counters.pended += 1;
    this.#progressMs = Math.trunc(this.#shared.clock.nowMs());
    this.#progress = this.#transport.progress;
    this.#watch();
  }

  /** What a message was inflated to counts against the rate of bytes, since it costs us that much. */
  #takeInflated(payloadBytes: number): boolean {
    const { compressedBytes } = this.#reader;
    if (this.#budget === null || compressedBytes === null) return true;
    return this.#budget.takeBytes(Math.max(0, payloadBytes - compressedBytes), this.#heardMs);
  }

  #takeControlFrame(): boolean {
    if (this.#budget?.takeControlFrame(this.#heardMs) !== false) return true;
    this.#failFlood("controlFramesPerSecMax");
    return false;
  }

  #failFlood(limit: LimitName): void {
    limitCounters.hit(limit);
    this.#fail(ownCloseCode.flood, "flood", lingerMs);
  }

  /** RFC 6455 §7.1.7 _Fail the WebSocket Connection_: a close frame if none was sent, no more reading, the end. */
  #fail(code: number, reason: string, waitMs: number): void {
    if (this.#state >= lingering) return;
    this.#reader.stop();
    this.#shared.arriving.forget(this);
    if (this.#state === open) {
      this.#report(code, true);
      this.#giveLast(encodeCloseFrame(code, reason));
    }
    this.#end(waitMs);
  }

  /** RFC 6455 §5.5.1: "The server MUST close the underlying TCP connection immediately"; it sends FIN first, and TIME_WAIT is its. */
  #end(waitMs: number): void {
    this.#state = lingering;
    this.#transport.end();
    this.#shared.wheel.schedule(this, waitMs);
  }

  /** Tells the handler once, when whatever is running now has returned: the hub may be in the middle of a flush. */
  #report(code: number, isOurs: boolean): void {
    if (this.#isReported) return;
    this.#isReported = true;
    const reason = closeReasonOf(code, isOurs);
    const { counters } = this.#shared;
    counters.closed.set(reason, (counters.closed.get(reason) ?? 0) + 1);
    queueMicrotask(() => this.#handler?.onClosed(code, reason));
  }
}
