/**
 * The programs in C and C++ that measure, and the packages of the peers. All are built or unpacked on demand under
 * load/peers/node_modules, which git ignores and `npm ci` never sees; nothing is installed on the machine.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { CliError, exitCode } from "../../src/cli/exit-code.ts";

/** Folder of the sources. */
export const peersFolder = fileURLToPath(new URL("./", import.meta.url));
/** Folder of what is built and unpacked. */
export const buildFolder = join(peersFolder, "node_modules", ".bench");

/** What a command printed, or why it cannot be had. */
export type Outcome =
  | { readonly ok: true; readonly output: string }
  | { readonly ok: false; readonly reason: string };

/** Runs a command to its end. Never throws. */
export function run(
  command: readonly string[],
  timeoutMs: number,
  options: { directory?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Outcome> {
  const [file = "", ...rest] = command;
  return new Promise((resolve) => {
    let output = "";
    const child = spawn(file, rest, {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: timeoutMs,
      killSignal: "SIGKILL",
      ...(options.directory === undefined ? {} : { cwd: options.directory }),
      ...(options.env === undefined ? {} : { env: options.env }),
    });
    const end = (): void => void child.kill("SIGKILL");
    process.once("exit", end);
    const take = (bytes: Buffer): void => {
      output = (output + bytes.toString()).slice(-100_000);
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.once("error", (error) => resolve({ ok: false, reason: error.message }));
    child.once("close", (code, signal) => {
      process.off("exit", end);
      if (code === 0) resolve({ ok: true, output });
      else
        resolve({
          ok: false,
          reason: signal === null ? lastLine(output) : `no end after ${timeoutMs / 1000} s`,
        });
    });
  });
}

/** The programs of ours. */
export interface Tools {
  readonly swarm: string;
  readonly publisher: string;
  readonly floor: string;
  /** False: the swarm cannot inflate, there was no zlib.h. */
  readonly hasZlib: boolean;
}

/** Compiles what is not newer than its source. @throws CliError without a compiler. */
export async function buildTools(note: (line: string) => void): Promise<Tools> {
  mkdirSync(buildFolder, { recursive: true });
  const hasZlib = (await compile("swarm.cpp", "swarm", ["g++", "-DWITH_ZLIB"], ["-lz"], note)) === null;
  if (!hasZlib) await compiled("swarm.cpp", "swarm-plain", ["g++"], note);
  await compiled("publisher.cpp", "publisher", ["g++", "-pthread"], note);
  await compiled("floor.c", "floor", ["gcc"], note);
  const path = (name: string): string => join(buildFolder, name);
  return {
    swarm: path(hasZlib ? "swarm" : "swarm-plain"),
    publisher: path("publisher"),
    floor: path("floor"),
    hasZlib,
  };
}

async function compiled(
  source: string,
  name: string,
  command: readonly string[],
  note: (line: string) => void,
): Promise<void> {
  const problem = await compile(source, name, command, [], note);
  if (problem !== null)
    throw new CliError(
      exitCode.unavailable,
      `${source} cannot be compiled (on Debian: apt install g++): ${problem}`,
    );
}

/** Null when the program is there. */
async function compile(
  source: string,
  name: string,
  command: readonly string[],
  libraries: readonly string[],
  note: (line: string) => void,
): Promise<string | null> {
  const from = join(peersFolder, source);
  const to = join(buildFolder, name);
  if (existsSync(to) && statSync(to).mtimeMs > statSync(from).mtimeMs) return null;
  note(`compiling ${source}`);
  const outcome = await run([...command, "-O2", from, "-o", to, ...libraries], 120_000);
  return outcome.ok ? null : outcome.reason;
}

/** Installs the npm packages of load/peers/package.json. Null when they are there, else the reason. */
export async function installPackages(note: (line: string) => void): Promise<string | null> {
  const manifest = join(peersFolder, "package.json");
  const installed = join(peersFolder, "node_modules", ".package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs > statSync(manifest).mtimeMs) return null;
  note("installing ws and bun into load/peers/node_modules (about 100 MB, once)");
  const command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"];
  const outcome = await run(command, 300_000, { directory: peersFolder });
  return outcome.ok ? null : outcome.reason;
}

/**
 * Unpacks Debian packages without installing them, so no service starts and root is not needed.
 * @returns the folder that stands for `/`, or the reason why they cannot be had.
 */
export async function unpackDebian(
  name: string,
  packages: readonly string[],
  note: (line: string) => void,
): Promise<Outcome> {
  const folder = join(buildFolder, name);
  const root = join(folder, "root");
  if (existsSync(root)) return { ok: true, output: root };
  mkdirSync(folder, { recursive: true });
  note(`fetching ${packages.join(", ")} from Debian`);
  const fetched = await run(["apt-get", "-q", "download", ...packages], 120_000, { directory: folder });
  if (!fetched.ok) return { ok: false, reason: `apt-get download: ${fetched.reason}` };
  for (const file of readdirSync(folder).filter((each) => each.endsWith(".deb"))) {
    const unpacked = await run(["dpkg", "-x", join(folder, file), root], 60_000);
    if (!unpacked.ok) return { ok: false, reason: `dpkg -x: ${unpacked.reason}` };
  }
  return { ok: true, output: root };
}

/** The line that says what went wrong, without the addresses of whoever was asked. */
function lastLine(text: string): string {
  const line = text.trim().split("\n").at(-1)?.trim() ?? "";
  return line.replaceAll(/\bhttps?:\/\/\S+/gu, "…");
}
