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
 * After a full collection the old objects' room may grow to four times what is left, the most that V8 allows by itself.
 * By its own reckoning a worker whose heap is small may allocate 8 MB more until the next one, and buffers outside the
 * heap count: a client who reads history made it collect twice a second, 5 to 11 ms each, which all others wait for
 * (docs/RELIABILITY.md, "One bad client"). Near the heap's limit V8 takes smaller steps whatever stands here.
 */
const heapGrowingPercent = 300;
const heapGrowingFlag = "--heap-growing-percent";

/**
 * @param v8 a version as in `process.versions.v8`.
 * @param given flags and NODE_OPTIONS of the primary: what an operator says of the memory's room counts.
 */
export function workerFlags(v8: string, given: readonly string[]): string[] {
  const major = Number.parseInt(v8, 10);
  const flags: string[] = [];
  const add = (flag: string, value: number): void => {
    if (!given.some((words) => words.replaceAll("_", "-").includes(flag))) flags.push(`${flag}=${value}`);
  };
  if (major === 11) add("--interrupt-budget", interruptBudgetBytes);
  if (major >= 11) add(heapGrowingFlag, heapGrowingPercent);
  if (major >= 13) add(semiSpaceFlag, semiSpaceMegabytes);
  return flags;
}
