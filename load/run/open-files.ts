/** Whether a process may have as many connections as a scenario asks for, before it fails in the middle. */
import { CliError, exitCode } from "../../src/cli/exit-code.ts";
import { read } from "../bench/proc.ts";

/** What a process needs beside its connections: pipes, epoll, modules, the listening socket. */
const spareFiles = 100;

/**
 * Every client is a file of its swarm process and one of a worker, and the kernel may give one worker all of them.
 * @param filesMax of this process, which its children inherit; null when nobody knows.
 * @throws CliError that says what to set.
 */
export function checkOpenFiles(clients: number, filesMax = openFilesMax()): void {
  const needed = clients + spareFiles;
  if (filesMax === null || needed <= filesMax) return;
  throw new CliError(
    exitCode.unavailable,
    `${clients} connections need ${needed} open files in a process, and at most ${filesMax} are allowed: ` +
      `set ulimit -Hn ${needed} first (as root or in limits.conf), or ask for fewer connections`,
  );
}

/** The limit of this process. Node has raised it as far as it may when it starts. */
function openFilesMax(): number | null {
  const found = /^Max open files\s+(\d+)/mu.exec(read("/proc/self/limits") ?? "")?.[1];
  return found === undefined ? null : Number(found);
}
