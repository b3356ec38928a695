/**
 * The receiving half of RFC 6455 §5–§8 and RFC 7692, sans I/O: bytes in, messages, pings, pongs, the close and at most
 * one violation out. Joins frame-decoder.ts, message-assembler.ts and the rules of control frames (§5.5).
 * It answers nothing: pong, close frame and closing the socket are the connection's.
 */
import { isUtf8 } from "node:buffer";
import { byteAt } from "./byte-at.ts";
import { ByteStore, joinPiece } from "./byte-store.ts";
import { closeCode, isReceivableCloseCode } from "./close-code.ts";
import { FrameDecoder, frameEvent } from "./frame-decoder.ts";
import { MessageAssembler } from "./message-assembler.ts";
import { opcode } from "./opcode.ts";
import { type Violation, violation } from "./violation.ts";
import { WireRecord } from "./wire-record.ts";

/**
 * What comes out, in wire order. Each payload is borrowed until the call returns: it lies in the read chunk, unless it
 * is larger than that chunk and 64 KiB: then it is the receiver's.
 * A callback may call stop() or suspend() on the reader, not push().
 */
export interface MessageSink {
  onMessage(isText: boolean, payload: Uint8Array): void;
  onPing(payload: Uint8Array): void;
  onPong(payload: Uint8Array): void;
  /** The peer's close frame; 1005 when it carried no code. Afterwards every byte is ignored. */
  onClose(code: number, reason: Uint8Array): void;
  /** The peer broke the protocol; once, `reason` out of `violationReasons`. Afterwards every byte is ignored. */
  onViolation(closeCode: number, reason: string): void;
}

/** Who we are and what the peer may send. One object may serve all connections of an endpoint. */
export interface MessageReaderOptions {
  /** Ours: a server takes masked frames only, a client unmasked ones only (RFC 6455 §5.1). */
  readonly role: "server" | "client";
  /** Of a compressed message: what comes out of it. */
  readonly messageBytesMax: number;
  /** Frames of one message, the first included. */
  readonly fragmentsPerMessageMax: number;
  /** More frames than that are taken while the message has so many bytes for each. Default: never. */
  readonly fragmentBytesMin?: number;
  /** Keep the wire bytes of the message being received, for `recordedFrames`. Default false. */
  readonly recordFrames?: boolean;
  /** False: a binary frame is refused with 1003 from its header. Default true. */
  readonly allowBinary?: boolean;
  /** True: permessage-deflate was agreed on (RFC 7692), without context takeover by the peer. Default false. */
  readonly allowCompressed?: boolean;
}

/** For one connection at a time; between two messages it may change to another (message-readers.ts). */
export class MessageReader {
  /** Who is called. */
  sink: MessageSink;
  readonly #decoder: FrameDecoder;
  readonly #assembler: MessageAssembler;
  readonly #control = new ByteStore();
  readonly #record: WireRecord | null;
  #isStopped = false;
  #isSuspended = false;

  /** @param inflatesInSteps a large compressed message suspends `push`, and is inflated by `inflateOn`. */
  constructor(options: MessageReaderOptions, sink: MessageSink, inflatesInSteps = false) {
    const { messageBytesMax, fragmentsPerMessageMax, recordFrames = false, allowBinary = true } = options;
    this.sink = sink;
    this.#record = recordFrames ? new WireRecord(fragmentsPerMessageMax) : null;
    this.#decoder = new FrameDecoder({
      isMasked: options.role === "server",
      isRsv1Allowed: options.allowCompressed ?? false,
      recorder: this.#record,
    });
    const fragmentBytesMin = options.fragmentBytesMin ?? Number.POSITIVE_INFINITY;
    this.#assembler = new MessageAssembler(
      { messageBytesMax, fragmentsPerMessageMax, fragmentBytesMin, allowBinary },
      inflatesInSteps,
    );
  }

  /** Memory held for a frame or message that is not whole yet: at most twice the bytes received of it. */
  get bufferedBytes(): number {
    return this.#assembler.bufferedBytes + this.#control.capacityBytes + (this.#record?.capacityBytes ?? 0);
  }

  /** Between two messages, and good for more: what comes next depends on nothing that came before. */
  get isIdle(): boolean {
    return !this.#isStopped && !this.isMidMessage;
  }

  /** True when a frame or a message has begun and not ended, be it by one byte: a read deadline applies. */
  get isMidMessage(): boolean {
    return !this.#isStopped && (this.#decoder.isInFrame || this.#assembler.isInMessage);
  }

  /**
   * Inside onMessage: the wire bytes, still masked, of the frames of that message, without control frames between
   * them; cut after 128 KiB and the headers. Borrowed until return. Null without `recordFrames`.
   */
  get recordedFrames(): Uint8Array | null {
    return this.#record === null ? null : this.#record.view();
  }

  /** Inside onMessage: how many bytes that message was inflated from; null when it came plain. */
  get compressedBytes(): number | null {
    return this.#assembler.compressedBytes;
  }

  /**
   * Feeds bytes from the socket, however cut, and calls the sink for everything that they complete.
   * @param chunk borrowed until return and changed: payload is unmasked in place.
   * Never throws by itself: a violation goes to `sink.onViolation`.
   * @returns how much of it is done with. Less than all only after `suspend`, or when `isInflating`: the rest comes
   * again, as the beginning of the next chunk.
   * Cost: one view per message or control frame that lies whole in `chunk`; nothing is copied of it.
   */
  push(chunk: Uint8Array): number {
    this.#isSuspended = false;
    while (!this.#isStopped) {
      switch (this.#decoder.next(chunk)) {
        case frameEvent.starved:
          return chunk.length;
        case frameEvent.header:
          this.#fail(this.#judgeHeader());
          break;
        case frameEvent.payload:
          if (this.#decoder.isControl) this.#takeControlPayload(chunk);
          else this.#takeDataPayload(chunk);
          break;
        case frameEvent.violation:
          this.#fail(this.#decoder.violation);
      }
      if (this.#isSuspended) return this.#handBack();
    }
    return chunk.length;
  }

  /** From within a callback: `push` returns after it. */
  suspend(): void {
    this.#isSuspended = true;
  }

  /** A large message has come and must be inflated, by `inflateOn`, before anything else is pushed. */
  get isInflating(): boolean {
    return this.#assembler.isInflating;
  }

  /** Inflates a part of it; `sink.onMessage` is called at its end. */
  inflateOn(): void {
    const refusal = this.#assembler.inflateOn();
    if (refusal !== null) this.#fail(refusal);
    else this.#deliver();
  }

  /** Discards everything to come, also the rest of a chunk being pushed, and lets go of what was buffered. */
  stop(): void {
    this.#isStopped = true;
    this.#assembler.clear();
    this.#control.clear();
    this.#record?.clear();
  }

  #handBack(): number {
    const { offset } = this.#decoder;
    this.#decoder.handBack();
    return offset;
  }

  /** RFC 6455 §7.1.7: "An endpoint MUST NOT continue to attempt to process data … from the remote endpoint". */
  #fail(what: Violation | null): void {
    if (what === null) return;
    this.stop();
    this.sink.onViolation(what.closeCode, what.reason);
  }

  #judgeHeader(): Violation | null {
    const { opcode: frameOpcode, isFinal, isRsv1, payloadBytes } = this.#decoder;
    if (!this.#decoder.isControl) {
      return this.#assembler.beginFrame(frameOpcode, isFinal, isRsv1, payloadBytes);
    }
    this.#control.expect(payloadBytes);
    // RFC 6455 §5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer".
    return frameOpcode === opcode.close && payloadBytes === 1 ? violation.closeCodeCut : null;
  }

  #takeDataPayload(chunk: Uint8Array): void {
    const { pieceStart, pieceEnd, frameEnds } = this.#decoder;
    const refusal = this.#assembler.addPayload(chunk, pieceStart, pieceEnd, frameEnds);
    if (refusal !== null) this.#fail(refusal);
    else if (this.#assembler.isInflating) this.#isSuspended = true;
    else this.#deliver();
  }

  #deliver(): void {
    const { message, isText } = this.#assembler;
    if (message === null) return;
    this.#assembler.clear();
    this.sink.onMessage(isText, message);
    this.#record?.clear();
  }

  /** RFC 6455 §5.4: "Control frames MAY be injected in the middle of a fragmented message." */
  #takeControlPayload(chunk: Uint8Array): void {
    const { opcode: frameOpcode, pieceStart, pieceEnd, frameEnds } = this.#decoder;
    const payload = joinPiece(this.#control, chunk, pieceStart, pieceEnd, frameEnds);
    if (payload === null) return;
    if (frameOpcode === opcode.ping) this.sink.onPing(payload);
    else if (frameOpcode === opcode.pong) this.sink.onPong(payload);
    else this.#takeClose(payload);
  }

  #takeClose(payload: Uint8Array): void {
    if (payload.length === 0) return this.#close(closeCode.noStatus, payload);
    // A payload of one byte was refused from its header.
    const code = (byteAt(payload, 0) << 8) | byteAt(payload, 1);
    if (!isReceivableCloseCode(code)) return this.#fail(violation.closeCodeUnsendable);
    const reason = payload.subarray(2);
    // RFC 6455 §5.5.1: "the body MAY contain UTF-8-encoded data with value /reason/"
    if (!isUtf8(reason)) return this.#fail(violation.closeReasonNotUtf8);
    this.#close(code, reason);
  }

  /** RFC 6455 §1.4: "After receiving a control frame indicating the connection should be closed, a peer discards
   * any further data received." */
  #close(code: number, reason: Uint8Array): void {
    this.stop();
    this.sink.onClose(code, reason);
  }
}
