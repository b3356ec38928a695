/**
 * Inflates one large message in steps, for an event loop that others want too. As inflate.ts it counts what comes out
 * before it takes memory for it, then inflates once more into memory of exactly that size, and checks text on the way.
 * A message up to 64 KiB is not worth a job.
 */
import { finalBlocksMax } from "./inflate-by-node.ts";
import { InflateEngine } from "./inflate-engine.ts";
import { Utf8Validator } from "./utf8-validator.ts";
import { type Violation, violation } from "./violation.ts";

/** What comes out in one step: 10 to 200 µs of zlib. */
const stepBytes = 65_536;
/** All jobs count into it. */
const scratch = Buffer.allocUnsafeSlow(stepBytes);
const nothing = Buffer.alloc(0);
/** Engines that nobody uses now: one costs 32 KiB and 50 µs. */
const spareEngines: InflateEngine[] = [];
const spareEnginesMax = 4;

/** One message. Call `step` until it returns something, or `drop`. */
export class InflateJob {
  readonly compressedBytes: number;
  readonly #engine: InflateEngine;
  /** With its tail. */
  readonly #input: Uint8Array;
  readonly #bytesMax: number;
  readonly #validator: Utf8Validator | null;
  #isCounting = true;
  #finalBlocks = 0;
  #bytes = 0;
  #output: Uint8Array = nothing;
  #isOver = false;

  /** @param input the message with its tail; kept. @param engine null: this Node has another inside, and there is no job. */
  static create(
    this: void,
    input: Uint8Array,
    compressedBytes: number,
    bytesMax: number,
    isText: boolean,
    engine: InflateEngine | null = spareEngines.pop() ?? InflateEngine.create(),
  ): InflateJob | null {
    return engine === null ? null : new InflateJob(engine, input, compressedBytes, bytesMax, isText);
  }

  private constructor(
    engine: InflateEngine,
    input: Uint8Array,
    compressedBytes: number,
    bytesMax: number,
    isText: boolean,
  ) {
    this.#engine = engine;
    this.#input = input;
    this.compressedBytes = compressedBytes;
    this.#bytesMax = bytesMax;
    this.#validator = isText ? new Utf8Validator() : null;
    engine.begin(input, 0);
  }

  /** Memory held. */
  get heldBytes(): number {
    return this.#input.length + this.#output.length;
  }

  /** Goes on by at most 64 KiB of what comes out. Null: call it again. Else the payload, which is the caller's, or what is wrong. */
  step(): Uint8Array | Violation | null {
    const result = this.#isCounting ? this.#count() : this.#inflate();
    if (result !== null) this.drop();
    return result;
  }

  /** Nobody wants the message any more. */
  drop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (spareEngines.length < spareEnginesMax) spareEngines.push(this.#engine);
  }

  #count(): Violation | null {
    const room = Math.min(stepBytes, this.#bytesMax + 1 - this.#bytes);
    const stop = this.#engine.fill(scratch, 0, room);
    if (stop === -1) return violation.deflateCorrupt;
    this.#bytes += stop;
    if (this.#bytes > this.#bytesMax) return violation.messageTooBig;
    if (stop === room) return null;
    const next = this.#nextStream();
    if (next !== true) return next;
    // Counted: once more from the start.
    this.#isCounting = false;
    this.#output = Buffer.allocUnsafeSlow(this.#bytes + 1);
    this.#bytes = 0;
    this.#finalBlocks = 0;
    this.#engine.begin(this.#input, 0);
    return null;
  }

  #inflate(): Uint8Array | Violation | null {
    const start = this.#bytes;
    const end = Math.min(this.#output.length, start + stepBytes);
    const stop = this.#engine.fill(this.#output, start, end);
    if (stop === -1) return violation.deflateCorrupt;
    if (this.#validator?.push(this.#output, start, stop) === false) return violation.textNotUtf8;
    this.#bytes = stop;
    if (stop === end) return null;
    const next = this.#nextStream();
    if (next !== true) return next;
    if (this.#validator?.isBetweenCodePoints === false) return violation.textNotUtf8;
    return this.#output.subarray(0, stop);
  }

  /** A stream is at its end. True: so is the message. Null: another one follows (inflate.ts says why). */
  #nextStream(): Violation | true | null {
    const offset = this.#engine.inputOffset;
    if (offset === this.#input.length) return true;
    if (this.#finalBlocks === finalBlocksMax) return violation.tooManyFinalBlocks;
    this.#finalBlocks += 1;
    this.#engine.begin(this.#input, offset);
    return null;
  }
}
