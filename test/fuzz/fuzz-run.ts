/** Runs targets for a number of iterations or seconds, and makes failing inputs small. */
import type { FuzzInput, FuzzTarget } from "./fuzz-target.ts";
import { Random } from "./random.ts";

/** When to stop: whichever comes first. Null is no limit. */
export interface FuzzBudget {
  readonly seed: number;
  readonly seconds: number | null;
  /** For each target. */
  readonly iterations: number | null;
}

/** An input on which a part threw or differed from its twin. */
export interface FuzzFailure {
  readonly target: string;
  readonly seed: number;
  readonly iteration: number;
  readonly input: FuzzInput;
  readonly message: string;
}

/** What came of a target. */
export interface FuzzResult {
  readonly target: string;
  readonly iterations: number;
  readonly seconds: number;
  readonly inputBytes: number;
  /** Null: no input failed. */
  readonly failure: FuzzFailure | null;
}

const iterationsPerLook = 64;
/** FR22: no input may hold the event loop up for longer, its twin's time included. */
const stallMsMax = 50;
/** A check that was slow once may have waited for the processor; one that is slow each time is slow. */
const stallTries = 3;

/** Until the first failure, or until the budget is used up. Seconds count for this target alone. */
export async function fuzz(target: FuzzTarget, budget: FuzzBudget): Promise<FuzzResult> {
  const startMs = performance.now();
  const secondsSoFar = (): number => (performance.now() - startMs) / 1000;
  let inputBytes = 0;
  let iteration = 0;
  for (; iteration < (budget.iterations ?? Number.POSITIVE_INFINITY); iteration += 1) {
    const isTimeUp =
      iteration % iterationsPerLook === 0 && secondsSoFar() >= (budget.seconds ?? Number.POSITIVE_INFINITY);
    if (isTimeUp) break;
    const input = target.make(new Random(budget.seed, iteration));
    inputBytes += input.bytes.length;
    const checkStartMs = performance.now();
    const thrown = await problemOf(target, input);
    const isSlow = performance.now() - checkStartMs > stallMsMax;
    const message = thrown ?? (isSlow ? await stallOf(target, input) : null);
    if (message === null) continue;
    const smaller = thrown === null ? input : await shrink(target, input);
    const failure = { target: target.name, seed: budget.seed, iteration, input: smaller, message };
    return { target: target.name, iterations: iteration + 1, seconds: secondsSoFar(), inputBytes, failure };
  }
  return { target: target.name, iterations: iteration, seconds: secondsSoFar(), inputBytes, failure: null };
}

/** Null when the input passes soon enough at one of several tries. */
async function stallOf(target: FuzzTarget, input: FuzzInput): Promise<string | null> {
  let leastMs = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < stallTries && leastMs > stallMsMax; tries += 1) {
    const startMs = performance.now();
    await problemOf(target, input);
    leastMs = Math.min(leastMs, performance.now() - startMs);
  }
  return leastMs > stallMsMax ? `it took ${leastMs.toFixed(0)} ms` : null;
}

/** Null when the input passes. */
export async function problemOf(target: FuzzTarget, input: FuzzInput): Promise<string | null> {
  try {
    const checked = target.check(input);
    // Most targets answer at once: a promise for each would cost more than the check.
    if (checked !== undefined) await checked;
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Takes out ever smaller ranges as long as the rest still fails. */
async function shrink(target: FuzzTarget, input: FuzzInput): Promise<FuzzInput> {
  let best = input;
  for (let size = Math.ceil(input.bytes.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < best.bytes.length;) {
      const bytes = Buffer.concat([best.bytes.subarray(0, at), best.bytes.subarray(at + size)]);
      const candidate = { ...best, bytes, cuts: best.cuts.filter((cut) => cut <= bytes.length) };
      if ((await problemOf(target, candidate)) === null) at += size;
      else best = candidate;
    }
  }
  const whole = { ...best, cuts: [] };
  return (await problemOf(target, whole)) === null ? best : whole;
}
