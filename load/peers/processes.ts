/**
 * Everything that a comparison starts: pinned to cores, read line by line, ended by its process id, at the latest when
 * this process ends, however it does.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { connect, createServer } from "node:net";
import { availableParallelism } from "node:os";

import { CliError, exitCode } from "../../src/cli/exit-code.ts";

const startTimeoutMs = 20_000;
const stopTimeoutMs = 5000;
/** Of what a program says on standard error, for the message when it fails. */
const errorBytesMax = 4000;

const living = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of living) child.kill("SIGKILL");
});

/** On which cores servers and clients run, as taskset writes them; null: wherever they like. */
export interface Pinning {
  readonly server: string;
  readonly clients: string;
  /** For two workers: as many cores as there are. */
  readonly all: string;
}

/** One core for the server, the others for the clients. Null with one core, or without taskset. */
export function findPinning(): Pinning | null {
  const cores = availableParallelism();
  if (cores < 2 || spawnSync("taskset", ["-c", "0", "true"]).status !== 0) return null;
  const last = cores - 1;
  return { server: String(last), clients: last === 1 ? "0" : `0-${last - 1}`, all: `0-${last}` };
}

/** This process too leaves the server its core, with all of its threads and what it starts from now on. */
export function leaveServerCore({ clients }: Pinning): void {
  spawnSync("taskset", ["--all-tasks", "--cpu-list", "--pid", clients, String(process.pid)]);
}

/** A running program. */
export class Program {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #lines: string[] = [];
  readonly #exited: Promise<void>;
  #wake: () => void = () => undefined;
  #output = "";
  #errors = "";

  /**
   * @param cores as taskset takes them, or null.
   * @param directory where it runs; null: here.
   */
  constructor(
    name: string,
    command: readonly string[],
    cores: string | null,
    directory: string | null = null,
  ) {
    this.#name = name;
    const [file = "", ...rest] = cores === null ? command : ["taskset", "-c", cores, ...command];
    this.#child = spawn(file, rest, {
      stdio: ["pipe", "pipe", "pipe"],
      ...(directory === null ? {} : { cwd: directory }),
    });
    living.add(this.#child);
    this.#child.stdout?.on("data", (bytes: Buffer) => this.#take(bytes.toString()));
    this.#child.stderr?.on("data", (bytes: Buffer) => {
      this.#errors = (this.#errors + bytes.toString()).slice(-errorBytesMax);
    });
    // A program that is gone takes no more lines; its exit says so.
    this.#child.stdin?.on("error", () => undefined);
    this.#exited = new Promise((resolve) => {
      const done = (): void => {
        living.delete(this.#child);
        this.#wake();
        resolve();
      };
      // Not "exit": its last lines may still be on their way then.
      this.#child.once("close", done);
      this.#child.once("error", (error) => {
        this.#errors += error.message;
        done();
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get hasEnded(): boolean {
    return !living.has(this.#child);
  }

  say(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** The first match in a line from now on. @throws CliError when it ends or says nothing like it in time. */
  async line(pattern: RegExp, timeoutMs = startTimeoutMs): Promise<RegExpExecArray> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift()) {
        const match = pattern.exec(line);
        if (match !== null) return match;
      }
      const leftMs = deadlineMs - performance.now();
      if (this.hasEnded || leftMs <= 0)
        throw this.#failure(this.hasEnded ? "has ended" : "said nothing in time");
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Waits until something accepts connections at a port of the loopback address. */
  async listening(port: number): Promise<void> {
    const deadlineMs = performance.now() + startTimeoutMs;
    while (!(await accepts(port))) {
      if (this.hasEnded || performance.now() > deadlineMs) throw this.#failure("does not listen");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Ends it by SIGTERM, by force after a while. Servers under test are not asked to drain: `isForced`. */
  async stop(isForced = false): Promise<void> {
    if (this.hasEnded) return;
    this.#child.kill(isForced ? "SIGKILL" : "SIGTERM");
    const force = setTimeout(() => this.#child.kill("SIGKILL"), stopTimeoutMs);
    await this.#exited;
    clearTimeout(force);
  }

  #take(text: string): void {
    const lines = (this.#output + text).split("\n");
    this.#output = lines.pop() ?? "";
    this.#lines.push(...lines);
    this.#wake();
  }

  #failure(what: string): CliError {
    return new CliError(exitCode.unavailable, `${this.#name} ${what}\n${this.#errors.trim()}`.trim());
  }
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
