/** Child processes of a test: a command that ends by itself, and one that goes on until the test ends it. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { until, within } from "./until.ts";

/** The repository. */
export const root = fileURLToPath(new URL("../..", import.meta.url));
/** The built command line. */
export const cli = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** How a process ended. */
export interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface SpawnOptions {
  /** Besides the test's own environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** A process in a group of its own, with everything that it wrote. */
export class Running {
  readonly child: ChildProcess;
  readonly exited: Promise<End>;
  stdout = "";
  stderr = "";
  readonly #kill = (): void => this.signalGroup("SIGKILL");

  constructor(command: string, args: readonly string[], options: SpawnOptions = {}) {
    this.child = spawn(command, [...args], {
      cwd: options.cwd ?? root,
      env: { ...process.env, ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
    });
    this.child.stdout?.on("data", (bytes: Buffer) => (this.stdout += bytes.toString()));
    this.child.stderr?.on("data", (bytes: Buffer) => (this.stderr += bytes.toString()));
    // `close` and not `exit`: then both outputs are whole.
    this.exited = once(this.child, "close").then(([code, signal]) => ({ code, signal }));
    // The input of a command that has ended already is nobody's.
    this.child.stdin?.on("error", () => undefined);
    process.once("exit", this.#kill);
    void this.exited.then(() => process.removeListener("exit", this.#kill));
  }

  get pid(): number {
    const { pid } = this.child;
    if (pid === undefined) throw new Error(`it did not start: ${this.child.spawnfile}`);
    return pid;
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** To the process alone. */
  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** To the whole group, as a terminal's Ctrl-C. */
  signalGroup(name: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, name);
    } catch {
      // Nobody is left in it.
    }
  }

  /** Living processes of its group, itself included. */
  group(): number[] {
    return processesOfGroup(this.pid);
  }

  /** Waits for the end by itself. */
  async end(withinMs = 20_000): Promise<End> {
    return within(
      `the end of ${this.child.spawnargs.join(" ")}\n${this.stdout}${this.stderr}`,
      withinMs,
      this.exited,
    );
  }

  /** Ends the whole group whatever its state, and waits until nobody is left. */
  async kill(): Promise<void> {
    this.signalGroup("SIGKILL");
    if (!this.hasEnded) await this.exited;
    await until(`the group of ${this.pid} to be gone`, () => this.group().length === 0);
  }
}

/** What a command that ended by itself said. */
export interface Finished extends End {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end. @param input its standard input. */
export async function run(
  command: string,
  args: readonly string[],
  options: SpawnOptions & { readonly input?: string; readonly withinMs?: number } = {},
): Promise<Finished> {
  const running = new Running(command, args, options);
  running.child.stdin?.end(options.input ?? "");
  try {
    const end = await running.end(options.withinMs);
    return { ...end, stdout: running.stdout, stderr: running.stderr };
  } finally {
    if (!running.hasEnded) await running.kill();
  }
}

/** Runs `tapecast`. */
export function tapecast(
  args: readonly string[],
  options: SpawnOptions & { readonly input?: string; readonly withinMs?: number } = {},
): Promise<Finished> {
  return run(process.execPath, [cli, ...args], options);
}

/** Runs redis-cli, which comes with redis-server, and gives what it printed. @throws Error when it failed. */
export async function redisCli(url: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run("redis-cli", ["-u", url, ...args]);
  if (code !== 0 || stderr !== "") throw new Error(`redis-cli ${args.join(" ")}: ${code} ${stderr}`);
  return stdout.trimEnd();
}

/** Processes of a group that are no zombies. proc(5), stat: pid (comm) state ppid pgrp … */
function processesOfGroup(group: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/u.test(name))
    .map(Number)
    .filter((pid) => {
      const [state, , pgrp] = statOf(pid);
      return state !== undefined && state !== "Z" && Number(pgrp) === group;
    });
}

/** The fields of /proc/PID/stat behind the name, which may hold anything; none when the process is gone. */
function statOf(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}

/** True while the process exists and is no zombie. */
export function isAlive(pid: number): boolean {
  const [state] = statOf(pid);
  return state !== undefined && state !== "Z";
}
