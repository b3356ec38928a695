/** Runs `tapecast` as a real process: what was built when that is up to date, else the sources through tsx. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const program = isBuilt() ? ["dist/cli/main.js"] : ["--import", "tsx", "src/cli/main.ts"];

function isBuilt(): boolean {
  const info = statSync("dist/server.tsbuildinfo", { throwIfNoEntry: false });
  if (info === undefined) return false;
  const sources = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".ts"),
  );
  return sources.every((name) => statSync(join("src", name)).mtimeMs < info.mtimeMs);
}

/** A running command with what it has printed so far. */
export class CliRun {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<number | null>;
  stdout = "";
  stderr = "";
  #wakers: (() => void)[] = [];

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.child = spawn(process.execPath, [...program, ...args], {
      // Nothing of the machine's own TAPECAST_… variables.
      env: { PATH: process.env["PATH"] ?? "", ...env },
    });
    this.child.stdout.on("data", (chunk: Buffer) => {
      this.stdout += chunk.toString("utf8");
      this.#wake();
    });
    this.child.stderr.on("data", (chunk: Buffer) => {
      this.stderr += chunk.toString("utf8");
      this.#wake();
    });
    // A command that ends before it has read its input breaks the pipe.
    this.child.stdin.on("error", () => undefined);
    this.ended = new Promise((resolve) => {
      this.child.on("close", (code) => {
        resolve(code);
        this.#wake();
      });
    });
  }

  get lines(): string[] {
    return this.stdout.split("\n").slice(0, -1);
  }

  /** Resolves when `condition` holds after some output; rejects when the command ends before. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        if (condition()) return;
        throw new Error(`ended with ${this.child.exitCode}: ${this.stdout}${this.stderr}`);
      }
      await new Promise<void>((resolve) => {
        this.#wakers.push(resolve);
      });
    }
  }

  #wake(): void {
    for (const wake of this.#wakers.splice(0)) wake();
  }
}

/** Runs a command to its end. */
export async function runCli(
  args: readonly string[],
  options: { readonly input?: string | Uint8Array; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const run = new CliRun(args, options.env);
  run.child.stdin.end(options.input ?? "");
  const code = await run.ended;
  return { code, stdout: run.stdout, stderr: run.stderr };
}
