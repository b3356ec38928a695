/** What a target of the fuzzer is. */
import type { Random } from "./random.ts";

/** An input that can be written down and tried again. */
export interface FuzzInput {
  readonly bytes: Buffer;
  /** Where `bytes` is cut, ascending. */
  readonly cuts: readonly number[];
  /** Which of the target's settings it is for. */
  readonly variant: number;
}

/** One part of the product beside its slow twin. */
export interface FuzzTarget {
  readonly name: string;
  /** A valid input, changed or not. */
  make(random: Random): FuzzInput;
  /** @throws Error when the part throws, or answers otherwise than its twin. */
  check(input: FuzzInput): void | Promise<void>;
}

/** @throws Error that shows both when they differ. */
export function expectSame(what: string, actual: unknown, expected: unknown): void {
  const one = JSON.stringify(actual);
  const other = JSON.stringify(expected);
  if (one !== other) throw new Error(`${what}: ${one}; its twin: ${other}`);
}
