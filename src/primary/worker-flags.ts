/** What the workers' V8 is told beyond what the primary was started with. */

/**
 * V8 11 (Node 20) optimizes a function after it has run through this many bytes of bytecode, and has no compiler
 * between its first and its last but for a baseline; by default it waits for 132 KiB. At a quarter of that a worker that
 * has just begun is fast sooner (docs/benchmarks, "Where a connection's cost goes"). Later ones have a compiler in
 * between and other defaults.
 */
const interruptBudgetBytes = 33_792;

/**
 * Half of the young objects' room at most, as it is in V8 11 and 12. In 13 (Node 24) it grows to twice as much, and a
 * worker's young objects, which die at once or are kept for good, gain nothing by that. Workers on Node 24 and 26 spend
 * less with it, measured (docs/benchmarks, "Newer Nodes").
 */
const semiSpaceMegabytes = 16;
const semiSpaceFlag = "--max-semi-space-size";

/**
 * @param v8 a version as in `process.versions.v8`.
 * @param given flags and NODE_OPTIONS of the primary: what an operator says of the young objects' room counts.
 */
export function workerFlags(v8: string, given: readonly string[]): string[] {
  const major = Number.parseInt(v8, 10);
  if (major === 11) return [`--interrupt-budget=${interruptBudgetBytes}`];
  const isGiven = given.some((words) => words.replaceAll("_", "-").includes(semiSpaceFlag));
  return major >= 13 && !isGiven ? [`${semiSpaceFlag}=${semiSpaceMegabytes}`] : [];
}
