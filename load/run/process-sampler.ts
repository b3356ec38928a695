/** CPU time and memory of a process and all that it has started, from /proc. Of a server elsewhere nothing is known. */
import { parseStat, processTree, read, residentKb } from "../bench/proc.ts";

/** Clock ticks of /proc are 10 ms on every Linux of today. */
const secondsPerTick = 0.01;

export class ProcessSampler {
  readonly #root: number;
  /** The last reading of each process: what one that ended had used stays counted. */
  readonly #ticks = new Map<number, number>();

  constructor(root: number) {
    this.#root = root;
  }

  /** Seconds of CPU that the tree has used so far, the kernel's work for it included. */
  cpuSec(): number {
    for (const pid of processTree(this.#root)) {
      const stat = parseStat(read(`/proc/${pid}/stat`) ?? "");
      if (stat !== null) this.#ticks.set(pid, stat.userTicks + stat.systemTicks);
    }
    let sum = 0;
    for (const ticks of this.#ticks.values()) sum += ticks;
    return sum * secondsPerTick;
  }

  /** Resident memory, MiB. */
  residentMib(): number {
    return Math.round((residentKb(processTree(this.#root)) / 1024) * 10) / 10;
  }
}
