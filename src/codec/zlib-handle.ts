/**
 * Node's inside of a zlib stream: its handle and where that says how far it came, the same from Node 20 to 26. This file
 * alone knows it. Whoever uses it tries it out first, and has node's public function to fall back on.
 */

/** zlib as node wraps it. */
export interface ZlibHandle {
  reset(): void;
  /** Reads from `input`, fills `output`; both rests are in the write state afterwards. */
  writeSync(
    flush: number,
    input: Uint8Array,
    inputOffset: number,
    inputBytes: number,
    output: Uint8Array,
    outputOffset: number,
    outputBytes: number,
  ): void;
}

export interface ZlibInside {
  readonly handle: ZlibHandle;
  /** What is left of the output, and of the input. */
  readonly writeState: Uint32Array;
}

/** @param onError called from within `writeSync`. @returns null: this Node has another inside. */
export function insideOf(stream: unknown, onError: () => void): ZlibInside | null {
  if (typeof stream !== "object" || stream === null) return null;
  const handle: unknown = Reflect.get(stream, "_handle");
  const writeState: unknown = Reflect.get(stream, "_writeState");
  if (typeof handle !== "object" || handle === null || !(writeState instanceof Uint32Array)) return null;
  const methods = ["reset", "writeSync"];
  if (methods.some((name) => typeof Reflect.get(handle, name) !== "function")) return null;
  // Not a DOM event: the one function that zlib calls.
  Reflect.set(handle, "onerror", onError);
  // Its methods were just looked at.
  return { handle: handle as ZlibHandle, writeState };
}
