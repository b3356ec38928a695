/**
 * How many sockets this process may have before the system gives it no more files. Node says nothing when that
 * happens: the kernel's queue is emptied, each peer is cut off, and no event tells of it (measured on Node 20, with
 * `ulimit -n 40`). So the front door stops a little earlier, says so and counts it.
 */
import { readdirSync, readFileSync } from "node:fs";

/** For what is no client: a page's file, connections to Redis that are opened again, JWKS. */
const reservedFiles = 64;

/** Reads of `/proc`; tests pass their own. */
export interface ProcessFiles {
  /** `/proc/self/limits`. */
  limits(): string;
  openCount(): number;
}

const own: ProcessFiles = {
  limits: () => readFileSync("/proc/self/limits", "utf8"),
  openCount: () => readdirSync("/proc/self/fd").length,
};

/**
 * What is left for sockets when everything else of the process is open; null when it cannot be known (not Linux) or
 * is unlimited.
 */
export function socketsMax(files: ProcessFiles = own): number | null {
  try {
    const soft = Number(/^Max open files +(\d+)/mu.exec(files.limits())?.[1]);
    return Number.isFinite(soft) ? Math.max(1, soft - files.openCount() - reservedFiles) : null;
  } catch {
    // No /proc: without the figure there is no limit to hold.
    return null;
  }
}
