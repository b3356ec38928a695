/** The harness of the micro benchmarks: how long one operation of a case takes, cases taken in turn round after round. */
import { summarize, type Summary } from "./statistics.ts";

/** Something that is timed. */
export interface BenchCase {
  /** As `group/what`. */
  readonly name: string;
  /** What one operation is, for the table: "message", "delivery". */
  readonly per: string;
  /** Operations in one call of `run`. */
  readonly operations: number;
  /** Bytes of one operation, for a rate; 0 for none. */
  readonly bytes: number;
  /** Returns something that depends on all it did, so that nothing is optimised away. */
  run(): number;
}

export interface BenchTiming {
  readonly rounds: number;
  /** How long a case runs in each round. */
  readonly sampleMs: number;
}

export interface BenchResult {
  readonly name: string;
  readonly per: string;
  readonly bytes: number;
  /** Nanoseconds for one operation, by round. */
  readonly nanoseconds: readonly number[];
}

/** Keeps results alive; never read. */
let keep = 0;

/** Times all cases. The first sample of each compiles it and is not counted. @param onSample called after each sample. */
export function runCases(
  cases: readonly BenchCase[],
  timing: BenchTiming,
  onSample: () => void,
): BenchResult[] {
  const calls = cases.map((each) => callsFor(each, timing.sampleMs));
  const samples = cases.map((): number[] => []);
  for (let round = 0; round < timing.rounds; round += 1) {
    for (const [index, each] of cases.entries()) {
      samples[index]?.push(sample(each, calls[index] ?? 1));
      onSample();
    }
  }
  return cases.map(({ name, per, bytes }, index) => ({
    name,
    per,
    bytes,
    nanoseconds: samples[index] ?? [],
  }));
}

/** Median and range. */
export function summaryOfCase(result: BenchResult): Summary | null {
  return summarize(result.nanoseconds);
}

/** Repeats until the sample is long enough, so that the clock and the loop do not count. */
function callsFor(each: BenchCase, sampleMs: number): number {
  let calls = 1;
  for (;;) {
    const tookMs = (sample(each, calls) * calls * each.operations) / 1e6;
    if (tookMs >= sampleMs / 2) return Math.max(1, Math.round((calls * sampleMs) / tookMs));
    calls *= 2;
  }
}

function sample(each: BenchCase, calls: number): number {
  const begun = process.hrtime.bigint();
  for (let call = 0; call < calls; call += 1) keep = (keep + each.run()) | 0;
  return Number(process.hrtime.bigint() - begun) / (calls * each.operations);
}
