/**
 * One upgraded socket's life: frames in, bytes out, back pressure, heartbeat, and the closing handshake of RFC 6455 §7.
 * It knows no protocol above messages. It has one deadline at a time, in the wheel that all connections share, and its
 * fields are the whole of its state: no timer, closure or promise per connection until something is slow or closes.
 */

import type { Clock } from "../base/clock.ts";
import { canonicalAddress } from "../base/ip-address.ts";
import { limitCounters, type LimitName } from "../base/limit-counters.ts";
import { WheelEntry, type TimerWheel } from "../base/timer-wheel.ts";
import type { TurnQueue, TurnTaker, WorkShare } from "../base/turn-queue.ts";
import { closeCode } from "../codec/close-code.ts";
import { deflateFrame } from "../codec/deflate.ts";
import {
  encodeCloseFrame,
  encodeFrame,
  encodeTextFrame,
  frameHeaderBytes,
  writeFrameHeader,
} from "../codec/frame-encoder.ts";
import { MessageReader, type MessageSink } from "../codec/message-reader.ts";
import { opcode } from "../codec/opcode.ts";
import { violation } from "../codec/violation.ts";
import { closeReasonOf, ownCloseCode } from "./close-reason.ts";
import type { ByteTotal } from "./byte-total.ts";
import type { ConnectionCounters } from "./connection-counters.ts";
import type { ConnectionHandler, ConnectionOptions } from "./connection-options.ts";
import { InboundBudget } from "./inbound-budget.ts";
import type { Transport, TransportOwner } from "./transport.ts";
import { WaitingWork } from "./waiting-work.ts";

/** What the connections of a worker share. */
export interface ConnectionsShared {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly counters: ConnectionCounters;
  readonly pending: ByteTotal<Connection>;
  /** Of messages that are not whole. */
  readonly arriving: ByteTotal<Connection>;
  /** Where work waits that does not fit into a turn. */
  readonly turns: TurnQueue;
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

/** What goes out in one write while more waits: 30 to 60 µs on loopback. Larger messages wait for turns in between. */
const pieceBytes = 65_536;
/** Replies of one turn go out together, at the latest when they are so many bytes. */
const corkBytesMax = 65_536;
/** Compressing takes up to 30 µs per KiB and cannot be cut: larger messages to a single peer go plain. */
const compressBytesMax = 32_768;

/** Why nothing is read: the user asked for it, work waits for a turn, or both. */
const pausedByUser = 1;
const pausedByTurn = 2;

const open = 0;
/** We sent a close frame and read on until the peer's comes. */
const closing = 1;
/** Both directions are done; what still comes in is thrown away until the socket ends. */
const lingering = 2;
const closed = 3;

const nothing = Buffer.alloc(0);
const pingFrame = encodeFrame(opcode.ping, nothing);

/** One per upgraded socket, made by `Connections.adopt`. */
export class Connection extends WheelEntry implements MessageSink, TransportOwner, TurnTaker {
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
  /** Bits of `pausedBy…`; 0 while reading. */
  #pauses = 0;
  #isPending = false;
  #pong: Uint8Array | null = null;
  /**
   * What goes out in one write: until `start` the 101 and what the session says at once, later what is answered to one
   * read. Null when nothing is held back.
   */
  #held: Uint8Array[] | null = [];
  #heldBytes = 0;
  #work: WaitingWork | null = null;
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
    this.#reader = new MessageReader(options, this, true);
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
    return this.#state === open && !this.#isPending && !this.#isSending;
  }

  /** Bytes written that the kernel has not taken. */
  get pendingBytes(): number {
    return this.#transport.pendingBytes + (this.#work?.outgoingBytes ?? 0);
  }

  /** For the queue of turns. */
  get workShare(): WorkShare {
    return this.#budgetNow(this.#heardMs).share;
  }

  /** Whoever works for this connection now should stop where it can, and go on in `inTurn`. */
  get isSpent(): boolean {
    return this.#shared.turns.isSpent;
  }

  /**
   * Does something for the peer: at once if nothing of this connection waits, else when it is its turn, in the order of
   * the calls. Reading stops until it is done. Never, once the connection is closing.
   */
  inTurn(run: () => void): void {
    if (this.#state !== open) return;
    const { turns } = this.#shared;
    if (this.#work?.isEmpty === false || this.#isPending || turns.mustWait(this)) {
      this.#waiting().addTask(run);
      if (this.#isPending) this.#pause(pausedByTurn);
      else this.#waitForTurn();
      return;
    }
    const isBegun = turns.begin(this);
    run();
    if (isBegun && turns.end()) this.#waitForTurn();
  }

  /** Others work for this connection for about so long: it counts as its own work. */
  charge(workMs: number): void {
    this.#shared.turns.charge(this, workMs);
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
    if (this.#state !== open) return false;
    // Whoever calls this may use the bytes again once they are taken: they are not held back.
    if (this.#held !== null && this.#handler !== null) this.#release();
    return this.#give(bytes);
  }

  /** Encodes and writes a text message. True may also mean: goes out with the other answers of this turn. See `write`. */
  sendText(text: string): boolean {
    return this.#state === open && this.#give(encodeTextFrame(text));
  }

  /** Whether the peer takes frames that `deflateFrame` made. */
  get maySendCompressed(): boolean {
    return this.#options.maySendCompressed === true;
  }

  /**
   * As `send`, compressed where that was agreed on and pays.
   * Never for a message that holds a secret beside text of another peer: its length would tell of the secret.
   */
  sendCompressed(isText: boolean, payload: Uint8Array): boolean {
    const mayCompress = this.maySendCompressed && payload.length <= compressBytesMax;
    const frame = mayCompress ? deflateFrame(isText ? opcode.text : opcode.binary, payload) : null;
    return frame === null ? this.send(isText, payload) : this.#state === open && this.#give(frame);
  }

  /** Encodes and sends a message. @param payload kept if it is larger than 64 KiB. See `sendText`. */
  send(isText: boolean, payload: Uint8Array): boolean {
    if (this.#state !== open) return false;
    const frameOpcode = isText ? opcode.text : opcode.binary;
    if (payload.length <= pieceBytes) return this.#give(encodeFrame(frameOpcode, payload));
    const header = Buffer.allocUnsafe(frameHeaderBytes(payload.length));
    writeFrameHeader(header, 0, frameOpcode, payload.length);
    if (this.#handler !== null) this.#release();
    if (this.#held !== null) return this.#give(Buffer.concat([header, payload]));
    return this.#giveInPieces(header, payload);
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
    this.#dropWaiting();
    this.#state = lingering;
    this.#transport.destroy();
  }

  /** Memory that is held for what came and is not delivered. */
  get arrivingBytes(): number {
    return this.#reader.bufferedBytes + (this.#work?.unreadBytes ?? 0);
  }

  /** For `arriving`: ends with 4004, and frees what came of the message. */
  refuseMessage(): void {
    this.#fail(ownCloseCode.overloaded, "overloaded", lingerMs);
  }

  /** Stops reading, so that the peer feels our pace. No message comes any more until `resumeReading`. */
  pauseReading(): void {
    if (this.#state === open) this.#pause(pausedByUser);
  }

  /** Reads on. */
  resumeReading(): void {
    if ((this.#pauses & pausedByUser) === 0) return;
    this.#pauses &= ~pausedByUser;
    if (this.#hasUndelivered) this.#waitForTurn();
    else if (this.#pauses === 0) this.#readOn();
  }

  /** For the transport. */
  onSocketData(chunk: Uint8Array): void {
    if (this.#state >= lingering) return;
    const { clock, counters, turns } = this.#shared;
    const nowMs = Math.trunc(clock.nowMs());
    counters.reads += 1;
    counters.bytesIn += chunk.length;
    this.#heardMs = nowMs;
    this.#pingedMs = -1;
    turns.touch(this);
    if (!this.#budgetNow(nowMs).takeBytes(chunk.length, nowMs) && this.#state === open)
      this.#failFlood("inboundBytesPerSecMax");
    // Reading has stopped, but a stream may still have had something.
    if (this.#pauses !== 0) this.#keepUnread(chunk);
    else {
      const isBegun = turns.begin(this);
      this.#cork();
      const doneBytes = this.#reader.push(chunk);
      this.#release();
      const isSpent = isBegun && turns.end();
      if (doneBytes < chunk.length) this.#keepUnread(chunk.subarray(doneBytes));
      if (isSpent || this.#hasUndelivered) this.#waitForTurn();
    }
    this.#watchMessage(nowMs);
  }

  /** For the queue of turns: goes on with what waits. */
  takeTurn(): boolean {
    if (this.#state >= lingering) return false;
    const wasSending = this.#isSending;
    this.#cork();
    this.#sendOn();
    if (wasSending && this.isWritable) this.#drained();
    // Something is done in each turn, however late it began.
    if (!wasSending || !this.isSpent) this.#goOn();
    this.#release();
    this.#watchMessage(Math.trunc(this.#shared.clock.nowMs()));
    if (this.#state >= lingering) return false;
    // What waits for the peer, or for the user, needs no turn.
    if (this.#isSending || this.#hasTasks) return !this.#isPending;
    return this.#hasUndelivered && (this.#pauses & pausedByUser) === 0;
  }

  /** For the queue of turns: there is nothing to go on with. */
  endWait(): void {
    if (this.#state >= lingering || this.#hasUndelivered || this.#isSending || this.#hasTasks) return;
    this.#work = null;
    if ((this.#pauses & pausedByTurn) === 0) return;
    this.#pauses &= ~pausedByTurn;
    if (this.#pauses === 0) this.#readOn();
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
    this.#dropWaiting();
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
    // More goes out when it is our turn, and only then is there room for others.
    if (this.#isSending || this.#hasTasks || this.#hasUndelivered) this.#waitForTurn();
    if (!this.#isSending) this.#drained();
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
    this.#mayStop();
  }

  /** For the codec. RFC 6455 §5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response". */
  onPing(payload: Uint8Array): void {
    this.#shared.counters.pingsIn += 1;
    if (this.#state !== open || !this.#takeControlFrame()) return;
    const pong = encodeFrame(opcode.pong, payload);
    // §5.5.3: an endpoint "MAY elect to send a Pong frame for only the most recently processed Ping frame".
    if (this.#isPending || this.#isSending) this.#pong = pong;
    else this.#give(pong);
    this.#mayStop();
  }

  /** For the codec. Whatever its payload, a pong is a sign of life like any other byte, and nothing else. */
  onPong(): void {
    this.#shared.counters.pongsIn += 1;
    if (this.#state === open) this.#takeControlFrame();
    this.#mayStop();
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
    if (messageTimeoutMs !== null && this.#messageMs >= 0 && this.#pauses === 0) {
      if (nowMs - this.#messageMs >= messageTimeoutMs) {
        limitCounters.hit("messageTimeoutMs");
        this.#fail(closeCode.policyViolation, "message_timeout", lingerMs);
        return;
      }
    }
    if (heartbeatIntervalMs !== null && this.#pauses === 0) {
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
    if (heartbeatIntervalMs !== null && this.#pauses === 0) {
      const nextPingMs = Math.max(this.#heardMs, this.#pingedMs) + heartbeatIntervalMs;
      const isDueFirst = this.#pingedMs < 0 || nextPingMs > nowMs;
      // An answered ping is seen at the next ping's time, which may be before the timeout.
      dueMs = isDueFirst ? nextPingMs : Number.POSITIVE_INFINITY;
      if (this.#pingedMs >= 0) dueMs = Math.min(dueMs, this.#pingedMs + heartbeatTimeoutMs);
    }
    if (messageTimeoutMs !== null && this.#messageMs >= 0 && this.#pauses === 0) {
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
    const { arrivingBytes } = this;
    if (arrivingBytes === 0 || this.#state >= lingering) arriving.forget(this);
    else arriving.count(this, arrivingBytes);
    if (!this.#reader.isMidMessage) {
      this.#messageMs = -1;
      return;
    }
    const isNew = this.#messageMs < 0;
    if (isNew) this.#messageMs = nowMs;
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

  // ---- turns ----

  #budgetNow(nowMs: number): InboundBudget {
    this.#budget ??= new InboundBudget(this.#options, this.#shared.turns.newShare(nowMs), nowMs);
    return this.#budget;
  }

  #waiting(): WaitingWork {
    this.#work ??= new WaitingWork(this.#shared.turns.counters);
    return this.#work;
  }

  /** Stops reading and joins the queue of turns. */
  #waitForTurn(): void {
    if (this.#state >= lingering) return;
    this.#pause(pausedByTurn);
    this.#shared.turns.wait(this);
  }

  /** Inside a callback of the codec: it goes on with the next frame only if there is time. */
  #mayStop(): void {
    if (this.#pauses !== 0 || this.#shared.turns.isSpent) this.#reader.suspend();
  }

  /** Something came, and its messages have not been delivered. */
  get #hasUndelivered(): boolean {
    return this.#reader.isInflating || (this.#work !== null && this.#work.unreadBytes > 0);
  }

  #keepUnread(bytes: Uint8Array): void {
    if (this.#state < lingering) this.#waiting().keepUnread(bytes);
  }

  get #hasTasks(): boolean {
    return this.#state === open && this.#work?.hasTasks === true;
  }

  #goOn(): void {
    const hadTasks = this.#hasTasks;
    this.#runTasks();
    if (!hadTasks || !this.isSpent) this.#readWaiting();
  }

  #runTasks(): void {
    const work = this.#work;
    if (work === null) return;
    while (this.isWritable) {
      const run = work.takeTask();
      if (run === undefined) return;
      run();
      if (this.isSpent) return;
    }
  }

  /** Delivers what came and waits, as far as there is time. */
  #readWaiting(): void {
    while (this.#reader.isInflating && this.#mayDeliver) {
      this.#reader.inflateOn();
      if (this.isSpent) return;
    }
    const work = this.#work;
    if (work === null || work.unreadBytes === 0 || !this.#mayDeliver) return;
    // What is paused now is paused for this very reading; only what pauses it anew ends it.
    const pauses = this.#pauses;
    this.#pauses = 0;
    const doneBytes = this.#reader.push(work.unread);
    if (this.#state < lingering) this.#pauses |= pauses;
    work.dropUnread(doneBytes);
  }

  get #mayDeliver(): boolean {
    if (this.#state >= lingering || (this.#pauses & pausedByUser) !== 0) return false;
    return !this.#hasTasks && !this.#isSending;
  }

  #dropWaiting(): void {
    this.#reader.stop();
    this.#work?.clear();
    if (this.#budget !== null) this.#shared.turns.leave(this);
  }

  #pause(reason: number): void {
    if (this.#pauses === 0) this.#transport.pause();
    this.#pauses |= reason;
  }

  #readOn(): void {
    this.#heardMs = Math.trunc(this.#shared.clock.nowMs());
    // Only the time in which we read is the peer's.
    if (this.#messageMs >= 0) this.#messageMs = this.#heardMs;
    this.#transport.resume();
    if (this.#state === open) this.#watch();
  }

  // ---- out ----

  /** A large message is on its way, in pieces. */
  get #isSending(): boolean {
    return this.#work !== null && this.#work.outgoingBytes > 0;
  }

  /** From now on answers are held back, to go out together. */
  #cork(): void {
    this.#held ??= [];
  }

  /** Writes what was held back. */
  #release(): void {
    const held = this.#held;
    this.#held = null;
    this.#heldBytes = 0;
    if (held === null || held.length === 0 || this.#state >= lingering) return;
    const bytes = held.length === 1 ? (held[0] ?? nothing) : Buffer.concat(held);
    if (bytes.length > 0) this.#give(bytes);
  }

  /** Writes while open. */
  #give(bytes: Uint8Array): boolean {
    if (this.#held !== null) {
      this.#held.push(bytes);
      this.#heldBytes += bytes.length;
      if (this.#heldBytes <= corkBytesMax || this.#handler === null) return true;
      this.#release();
      return this.isWritable;
    }
    if (bytes.length > pieceBytes || this.#isSending) return this.#giveInPieces(bytes);
    return this.#giveNow(bytes);
  }

  #giveNow(bytes: Uint8Array): boolean {
    const { counters, turns } = this.#shared;
    counters.writes += 1;
    counters.bytesOut += bytes.length;
    turns.touch(this);
    if (this.#transport.write(bytes)) return true;
    const { pendingBytes } = this.#transport;
    const { pendingBytesMax } = this.#options;
    if (pendingBytesMax !== null && pendingBytes > pendingBytesMax) {
      limitCounters.hit("pendingBytesMax");
      this.#fail(ownCloseCode.slowConsumer, "slow_consumer", slowLingerMs);
    } else if (!this.#isPending) this.#pend();
    this.#shared.pending.count(this, this.pendingBytes);
    return false;
  }

  /** Writes behind what is on its way, piece by piece as there is time and room. */
  #giveInPieces(...all: readonly Uint8Array[]): boolean {
    const work = this.#waiting();
    const wasSending = this.#isSending;
    for (const bytes of all) work.queue(bytes);
    if (!wasSending && !this.#isPending) {
      const { turns } = this.#shared;
      const isBegun = turns.begin(this);
      this.#sendOn();
      if (isBegun) turns.end();
    }
    if (work.isEmpty) this.#work = null;
    if (this.#state !== open) return false;
    const { pendingBytesMax } = this.#options;
    if (pendingBytesMax !== null && work.queuedBytes > pendingBytesMax) {
      limitCounters.hit("pendingBytesMax");
      this.#fail(ownCloseCode.slowConsumer, "slow_consumer", slowLingerMs);
      return false;
    }
    if (!this.#isSending) return !this.#isPending;
    this.#shared.pending.count(this, this.pendingBytes);
    if (!this.#isPending) this.#waitForTurn();
    return false;
  }

  /** Sends what is on its way, as far as there is time and room. */
  #sendOn(): void {
    const work = this.#work;
    if (work === null || this.#isPending || !this.#isSending) return;
    while (this.#state === open) {
      const piece = work.takePiece(pieceBytes);
      if (piece === null || !this.#giveNow(piece) || this.isSpent) break;
    }
    if (this.isWritable) this.#shared.pending.forget(this);
  }

  /** There is room again. */
  #drained(): void {
    const pong = this.#pong;
    this.#pong = null;
    if (pong !== null && !this.#give(pong)) return;
    this.#handler?.onDrained();
  }

  /** Writes the close frame. If the peer reads nothing it stays pending, and the deadline ends the socket. */
  #giveLast(frame: Uint8Array): void {
    this.#release();
    // Not into the middle of a message.
    const work = this.#work;
    for (
      let piece = work?.takePiece(Infinity) ?? null;
      piece !== null;
      piece = work?.takePiece(Infinity) ?? null
    )
      this.#writeLast(piece);
    this.#writeLast(frame);
    this.#pong = null;
    // The peer's close frame lies behind what we did not read.
    this.resumeReading();
  }

  #writeLast(bytes: Uint8Array): void {
    this.#transport.write(bytes);
    this.#shared.counters.writes += 1;
    this.#shared.counters.bytesOut += bytes.length;
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
    this.#dropWaiting();
    // What still comes is thrown away, and with it comes the end.
    if (this.#pauses !== 0) this.#transport.resume();
    this.#pauses = 0;
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
