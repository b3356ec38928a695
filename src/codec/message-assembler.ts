/**
 * RFC 6455 §5.4 and §8.1: data frames in, whole messages out. Holds the order of fragments, our limits on a message
 * (§10.4), and UTF-8 as the bytes come in; of a compressed message (RFC 7692) both once it is inflated. Control frames
 * never come here: they may stand between fragments.
 */
import { isUtf8 } from "node:buffer";
import { ByteStore, joinPiece } from "./byte-store.ts";
import { deflateCounters } from "./deflate-counters.ts";
import { InflateJob } from "./inflate-job.ts";
import { beginInflating, inflateMessage } from "./inflate.ts";
import { opcode } from "./opcode.ts";
import { Utf8Validator } from "./utf8-validator.ts";
import { type Violation, violation } from "./violation.ts";

/** What a peer may send in one message. */
export interface MessageLimits {
  /** Of a compressed message: what comes out of it. */
  readonly messageBytesMax: number;
  /** Frames of one message, the first included; empty ones count. */
  readonly fragmentsPerMessageMax: number;
  /** More frames than that are taken while the message has so many bytes for each; infinite where never. */
  readonly fragmentBytesMin: number;
  /** False: text only. */
  readonly allowBinary: boolean;
}

/** One per connection. Feed it a frame's header, then its payload's pieces, then the next frame's. */
export class MessageAssembler {
  readonly #messageBytesMax: number;
  readonly #fragmentsPerMessageMax: number;
  readonly #fragmentBytesMin: number;
  readonly #allowBinary: boolean;
  readonly #store = new ByteStore();
  readonly #validator = new Utf8Validator();
  #isInMessage = false;
  #isText = false;
  #isCompressed = false;
  #isLastFrame = false;
  #fragmentCount = 0;
  /** Sum of the lengths that the headers of this message promised. */
  #promisedBytes = 0;
  #message: Uint8Array | null = null;
  #compressedBytes: number | null = null;
  readonly #inflatesInSteps: boolean;
  #job: InflateJob | null = null;

  /** @param inflatesInSteps of a large compressed message: `isInflating`, and `inflateOn` until it is not. */
  constructor(limits: MessageLimits, inflatesInSteps = false) {
    this.#inflatesInSteps = inflatesInSteps;
    this.#messageBytesMax = limits.messageBytesMax;
    this.#fragmentsPerMessageMax = limits.fragmentsPerMessageMax;
    this.#fragmentBytesMin = limits.fragmentBytesMin;
    this.#allowBinary = limits.allowBinary;
  }

  /** True from the first header of a message to its last byte. */
  get isInMessage(): boolean {
    return this.#isInMessage;
  }

  /** Memory held. */
  get bufferedBytes(): number {
    return this.#store.capacityBytes + (this.#job?.heldBytes ?? 0);
  }

  /** All of the message has come, and it must be inflated yet. Nothing else may be fed meanwhile. */
  get isInflating(): boolean {
    return this.#job !== null;
  }

  get isText(): boolean {
    return this.#isText;
  }

  /** After the last piece of the last frame: the whole message, borrowed like the pieces; null before. */
  get message(): Uint8Array | null {
    return this.#message;
  }

  /** With `message`: how many bytes it was inflated from; null when it came plain. */
  get compressedBytes(): number | null {
    return this.#compressedBytes;
  }

  /**
   * Judges a data frame from its header alone, before a byte of payload is kept. Null when it may go on.
   * @param isCompressed RSV1, of a message's first frame.
   */
  beginFrame(
    frameOpcode: number,
    isFinal: boolean,
    isCompressed: boolean,
    payloadBytes: number,
  ): Violation | null {
    const refusal =
      frameOpcode === opcode.continuation
        ? this.#continueMessage()
        : this.#beginMessage(frameOpcode, isCompressed);
    if (refusal !== null) return refusal;
    this.#fragmentCount += 1;
    this.#promisedBytes += payloadBytes;
    if (this.#fragmentCount > this.#fragmentsPerMessageMax && this.#hasSmallFragments()) {
      return violation.tooManyFragments;
    }
    if (this.#promisedBytes > this.#wireBytesMax()) return violation.messageTooBig;
    this.#isLastFrame = isFinal;
    if (isFinal) this.#store.expect(this.#promisedBytes);
    return null;
  }

  /**
   * Takes the next piece of the frame's payload; `message` holds the message if it ends here.
   * Cost: no copy for a message that lies whole in `bytes`; otherwise one, plus that of growing.
   */
  addPayload(bytes: Uint8Array, start: number, end: number, frameEnds: boolean): Violation | null {
    const messageEnds = frameEnds && this.#isLastFrame;
    const isWhole = messageEnds && this.#store.usedBytes === 0;
    // RFC 6455 §8.1: "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not,
    // in fact, a valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_."
    const isChecked = !this.#isText || isWhole || this.#isCompressed;
    if (!isChecked && !this.#validator.push(bytes, start, end)) return violation.textNotUtf8;
    const joined = joinPiece(this.#store, bytes, start, end, messageEnds);
    if (joined === null) return null;

    const message = this.#isCompressed ? this.#inflate(joined) : joined;
    if (message instanceof InflateJob) {
      this.#job = message;
      return null;
    }
    if ("closeCode" in message) return message;
    if (this.#isText && (isWhole || this.#isCompressed) && !isUtf8(message)) return violation.textNotUtf8;
    if (!this.#validator.isBetweenCodePoints) return violation.textNotUtf8;
    this.#deliver(message, this.#isCompressed ? joined.length : null);
    return null;
  }

  /** Inflates a part of what `isInflating`; `message` holds the message if that was the last. Cost: see inflate-job.ts. */
  inflateOn(): Violation | null {
    const job = this.#job;
    const message = job?.step() ?? null;
    if (job === null || message === null) return null;
    this.#job = null;
    if ("closeCode" in message) return message;
    this.#deliver(message, job.compressedBytes);
    return null;
  }

  /** Lets go of the message delivered, or of what has come of it so far. */
  clear(): void {
    this.#store.clear();
    this.#message = null;
    this.#job?.drop();
    this.#job = null;
  }

  #inflate(payload: Uint8Array): Uint8Array | Violation | InflateJob {
    return this.#inflatesInSteps
      ? beginInflating(payload, this.#messageBytesMax, this.#isText)
      : inflateMessage(payload, this.#messageBytesMax);
  }

  #deliver(message: Uint8Array, compressedBytes: number | null): void {
    this.#compressedBytes = compressedBytes;
    if (compressedBytes !== null) countInflated(compressedBytes, message.length);
    this.#isInMessage = false;
    this.#message = message;
  }

  /**
   * What cannot be compressed grows by it: RFC 1951 §3.2.4 adds 5 bytes to each stored block, and zlib with the least
   * memory makes blocks of 128 bytes.
   */
  #wireBytesMax(): number {
    const bytesMax = this.#messageBytesMax;
    return this.#isCompressed ? bytesMax + bytesMax / 16 + 64 : bytesMax;
  }

  /** The last frame may be smaller than the others, down to nothing. */
  #hasSmallFragments(): boolean {
    return (this.#fragmentCount - 1) * this.#fragmentBytesMin > this.#promisedBytes;
  }

  #continueMessage(): Violation | null {
    // RFC 6455 §5.4: a fragmented message is a first frame "with the FIN bit clear and an opcode other than 0",
    // then continuations; one without a beginning belongs to nothing.
    return this.#isInMessage ? null : violation.continuationOutside;
  }

  #beginMessage(frameOpcode: number, isCompressed: boolean): Violation | null {
    // RFC 6455 §5.4: "The fragments of one message MUST NOT be interleaved between the fragments of another message
    // unless an extension has been negotiated that can interpret the interleaving."
    if (this.#isInMessage) return violation.messageInside;
    this.#isText = frameOpcode === opcode.text;
    // RFC 6455 §7.4.1, 1003: "an endpoint that understands only text data MAY send this if it receives a binary
    // message"
    if (!this.#isText && !this.#allowBinary) return violation.binaryRefused;
    this.#isInMessage = true;
    this.#isCompressed = isCompressed;
    this.#fragmentCount = 0;
    this.#promisedBytes = 0;
    return null;
  }
}

function countInflated(bytesIn: number, bytesOut: number): void {
  deflateCounters.inflated += 1;
  deflateCounters.inflateBytesIn += bytesIn;
  deflateCounters.inflateBytesOut += bytesOut;
}
