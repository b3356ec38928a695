/** What Linux says of processes in /proc: memory, CPU time, descendants. */
import { readFileSync } from "node:fs";

/** Of /proc/PID/stat (proc_pid_stat(5)). */
export interface ProcessStat {
  readonly parent: number;
  /** Clock ticks, 100 a second on every Linux of today. */
  readonly userTicks: number;
  readonly systemTicks: number;
}

/** Takes one line apart. The name in parentheses may hold blanks and parentheses. Null when it is none. */
export function parseStat(text: string): ProcessStat | null {
  const end = text.lastIndexOf(")");
  if (end === -1) return null;
  const fields = text.slice(end + 2).split(" ");
  const [parent, userTicks, systemTicks] = [fields[1], fields[11], fields[12]].map(Number);
  if (parent === undefined || userTicks === undefined || systemTicks === undefined) return null;
  return Number.isNaN(parent + userTicks + systemTicks) ? null : { parent, userTicks, systemTicks };
}

/** A field of /proc/PID/status in KiB, such as `VmRSS`; null when it is not there. */
export function parseStatusKb(text: string, field: string): number | null {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, "mu").exec(text);
  return match === null ? null : Number(match[1]);
}

/** A process and all that it has started, as far as they still live. */
export function processTree(root: number): number[] {
  const found = [root];
  for (let at = 0; at < found.length; at += 1) {
    const pid = found[at] ?? 0;
    const children = read(`/proc/${pid}/task/${pid}/children`) ?? "";
    for (const child of children.split(" ")) if (child.trim() !== "") found.push(Number(child));
  }
  return found;
}

/** Resident memory in user space of all of them, in KiB. Sockets and their buffers are the kernel's, not in it. */
export function residentKb(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of pids) sum += parseStatusKb(read(`/proc/${pid}/status`) ?? "", "VmRSS") ?? 0;
  return sum;
}

/** A file's trimmed text, or null when it cannot be read. */
export function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    // A process that has ended, or a file that this kernel does not have: null says so.
    return null;
  }
}
