/** What the workers' V8 is told beyond what the primary was started with. */

/**
 * V8 11 (Node 20) optimizes a function after it has run through this many bytes of bytecode, and has no compiler
 * between its first and its last but for a baseline; by default it waits for 132 KiB. At a quarter of that a worker that
 * has just begun is fast sooner (docs/benchmarks, "Where a connection's cost goes"). Later ones have a compiler in
 * between and other defaults: they are left alone.
 */
const interruptBudgetBytes = 33_792;

/** @param v8 a version as in `process.versions.v8`. */
export function workerFlags(v8: string): string[] {
  return v8.startsWith("11.") ? [`--interrupt-budget=${interruptBudgetBytes}`] : [];
}
