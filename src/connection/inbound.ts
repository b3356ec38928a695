/**
 * The way into one connection: what was read goes through the codec, what a peer may send is counted, and what does not
 * fit into a turn is kept, with reading stopped. What came is the connection's to answer.
 */
import { limitCounters, type LimitName } from "../base/limit-counters.ts";
import type { MessageReader, MessageSink } from "../codec/message-reader.ts";
import { violation } from "../codec/violation.ts";
import { ownCloseCode } from "./close-reason.ts";
import type { Connection } from "./connection.ts";
import { InboundBudget } from "./inbound-budget.ts";
import type { Transport } from "./transport.ts";

/** Why nothing is read: the user asked for it, work waits for a turn, or both. */
export const pausedByUser = 1;
export const pausedByTurn = 2;

const nothing = Buffer.alloc(0);

/** One per connection. The budget is made when something comes, and a codec is borrowed for it: many only listen. */
export class Inbound implements MessageSink {
  readonly #connection: Connection;
  readonly #transport: Transport;
  /** Between two messages null. */
  #reader: MessageReader | null = null;
  #budget: InboundBudget | null = null;
  /** Bits of `pausedBy…`; 0 while reading. */
  #pauses = 0;
  /** Read and not decoded. */
  #unread: Uint8Array = nothing;

  constructor(connection: Connection, transport: Transport) {
    this.#connection = connection;
    this.#transport = transport;
  }

  /** Memory that is held for what came and is not delivered. */
  get heldBytes(): number {
    return (this.#reader?.bufferedBytes ?? 0) + this.#unread.length;
  }

  /** Something came, and its messages have not been delivered. */
  get hasUndelivered(): boolean {
    return this.#unread.length > 0 || this.#reader?.isInflating === true;
  }

  /** A message has begun and is not whole. */
  get isMidMessage(): boolean {
    return this.#reader?.isMidMessage === true;
  }

  /** See `Connection.recordedFrames`. */
  get recordedFrames(): Uint8Array | null {
    return this.#reader?.recordedFrames ?? null;
  }

  // ---- bytes ----

  /** Counts what was read. The peer is closed if it was too much. */
  count(chunkBytes: number, nowMs: number): void {
    const { options, isOpen } = this.#connection;
    this.#budget ??= new InboundBudget(options, nowMs);
    if (!this.#budget.takeBytes(chunkBytes, nowMs) && isOpen) this.#failFlood("inboundBytesPerSecMax");
  }

  /** Delivers what lies in `chunk`, as far as there is time, and keeps the rest. @param chunk may be changed. */
  read(chunk: Uint8Array): void {
    const doneBytes = this.#push(chunk);
    if (doneBytes < chunk.length) this.keep(chunk.subarray(doneBytes));
  }

  /** Puts a copy of `bytes` behind what is unread. */
  keep(bytes: Uint8Array): void {
    if (this.#connection.isDone) return;
    // A read is at most 64 KiB, and reading stops with the first that is kept.
    this.#unread = Buffer.concat([this.#unread, bytes]);
    this.#connection.shared.turns.counters.waitingBytes += bytes.length;
  }

  /** Delivers what came and waits, as far as there is time. */
  goOn(): void {
    while (this.#reader?.isInflating === true && this.#mayDeliver) {
      this.#reader.inflateOn();
      if (this.#connection.isSpent) return;
    }
    this.#giveBack();
    if (this.#unread.length === 0 || !this.#mayDeliver) return;
    // What is paused now is paused for this very reading; only what pauses it anew ends it.
    const pauses = this.#pauses;
    this.#pauses = 0;
    const doneBytes = this.#push(this.#unread);
    if (!this.#connection.isDone) this.#pauses |= pauses;
    this.#setUnread(this.#unread.subarray(doneBytes));
  }

  /** @returns how many bytes are done with. */
  #push(chunk: Uint8Array): number {
    const { options, shared } = this.#connection;
    this.#reader ??= shared.readers.lend(options, this);
    const doneBytes = this.#reader.push(chunk);
    this.#giveBack();
    return doneBytes;
  }

  #giveBack(): void {
    const { options, shared } = this.#connection;
    if (this.#reader !== null && shared.readers.takeBack(options, this.#reader)) this.#reader = null;
  }

  get #mayDeliver(): boolean {
    return !this.isPausedByUser && this.#connection.mayDeliver;
  }

  /** Lets go of what came; whatever still comes is not looked at. */
  drop(): void {
    this.#reader?.stop();
    this.#setUnread(nothing);
  }

  #setUnread(rest: Uint8Array): void {
    this.#connection.shared.turns.counters.waitingBytes -= this.#unread.length - rest.length;
    this.#unread = rest.length === 0 ? nothing : rest;
  }

  // ---- pauses ----

  get isPaused(): boolean {
    return this.#pauses !== 0;
  }

  get isPausedByUser(): boolean {
    return (this.#pauses & pausedByUser) !== 0;
  }

  pause(reason: number): void {
    if (this.#pauses === 0) this.#transport.pause();
    this.#pauses |= reason;
  }

  /** One reason is gone; `readOn` must follow when no other is left. @returns false: it was none. */
  unpause(reason: number): boolean {
    if ((this.#pauses & reason) === 0) return false;
    this.#pauses &= ~reason;
    return true;
  }

  readOn(): void {
    this.#transport.resume();
  }

  /** What still comes is thrown away, and with it comes the end. */
  readToTheEnd(): void {
    if (this.#pauses !== 0) this.#transport.resume();
    this.#pauses = 0;
  }

  // ---- for the codec ----

  onMessage(isText: boolean, payload: Uint8Array): void {
    const connection = this.#connection;
    connection.messageHasCome();
    if (!connection.isOpen) return;
    connection.shared.counters.messagesIn += 1;
    if (!this.#takeInflated(payload.length)) this.#failFlood("inboundBytesPerSecMax");
    else if (this.#budget?.takeMessage(connection.heardMs) === false) {
      this.#failFlood("inboundMessagesPerSecMax");
    } else connection.onMessage(isText, payload);
    this.#mayStop();
  }

  onPing(payload: Uint8Array): void {
    const connection = this.#connection;
    connection.shared.counters.pingsIn += 1;
    if (!connection.isOpen || !this.#takeControlFrame()) return;
    connection.onPing(payload);
    this.#mayStop();
  }

  /** Whatever its payload, a pong is a sign of life like any other byte, and nothing else. */
  onPong(): void {
    this.#connection.shared.counters.pongsIn += 1;
    if (this.#connection.isOpen) this.#takeControlFrame();
    this.#mayStop();
  }

  onClose(code: number, reason: Uint8Array): void {
    this.#connection.onPeerClose(code, reason);
  }

  /** RFC 6455 §7.1.7: a violation fails the connection; nothing more is read from it. */
  onViolation(code: number, reason: string): void {
    if (reason === violation.messageTooBig.reason) {
      limitCounters.hit(this.#connection.options.messageLimitName ?? "messageBytesMax");
    } else if (reason === violation.tooManyFragments.reason) limitCounters.hit("fragmentsPerMessageMax");
    this.#connection.fail(code, reason);
  }

  /** It goes on with the next frame only if there is time. */
  #mayStop(): void {
    if (this.#pauses !== 0 || this.#connection.isSpent) this.#reader?.suspend();
  }

  /** What a message was inflated to counts against the rate of bytes, since it costs us that much. */
  #takeInflated(payloadBytes: number): boolean {
    const compressedBytes = this.#reader?.compressedBytes ?? null;
    if (this.#budget === null || compressedBytes === null) return true;
    return this.#budget.takeBytes(Math.max(0, payloadBytes - compressedBytes), this.#connection.heardMs);
  }

  #takeControlFrame(): boolean {
    if (this.#budget?.takeControlFrame(this.#connection.heardMs) !== false) return true;
    this.#failFlood("controlFramesPerSecMax");
    return false;
  }

  #failFlood(limit: LimitName): void {
    limitCounters.hit(limit);
    this.#connection.fail(ownCloseCode.flood, "flood");
  }
}
