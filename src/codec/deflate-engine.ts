/**
 * One deflater of zlib for all messages of the process. To make a new one for each, as `deflateRawSync` does, costs 10 of
 * the 30 µs that a batch of nine quotes takes (Node 20.20).
 */
import { constants } from "node:zlib";
import { insideOf, type ZlibInside } from "./zlib-handle.ts";

/** One per process: no call leaves anything behind. */
export class DeflateEngine {
  readonly #inside: ZlibInside;
  /** Keeps the handle open. */
  readonly stream: unknown;

  /**
   * @param stream of node's zlib, raw, with the parameters to compress with; nobody else's.
   * @param probe bytes, and `probePacked` what they must become.
   * @returns null: this Node has another inside, or it does not do what it should.
   */
  static create(stream: unknown, probe: Uint8Array, probePacked: Uint8Array): DeflateEngine | null {
    const inside = insideOf(stream, () => undefined);
    if (inside === null) return null;
    const engine = new DeflateEngine(stream, inside);
    const output = Buffer.alloc(probePacked.length + 1);
    // Twice: the second must know nothing of the first.
    for (let time = 0; time < 2; time += 1) {
      if (engine.deflate(probe, output) !== probePacked.length) return null;
      if (!output.subarray(0, -1).equals(probePacked)) return null;
      output.fill(0);
    }
    return engine.deflate(probe, output.subarray(0, probePacked.length)) === -1 ? engine : null;
  }

  private constructor(stream: unknown, inside: ZlibInside) {
    this.stream = stream;
    this.#inside = inside;
  }

  /**
   * Deflates all of `input`, ending with a sync flush.
   * @returns how many bytes of `output` it took. -1: it does not fit with a byte to spare.
   */
  deflate(input: Uint8Array, output: Uint8Array): number {
    const { handle, writeState } = this.#inside;
    handle.reset();
    handle.writeSync(constants.Z_SYNC_FLUSH, input, 0, input.length, output, 0, output.length);
    const [outputLeft = 0] = writeState;
    return outputLeft === 0 ? -1 : output.length - outputLeft;
  }
}
