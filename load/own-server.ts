/**
 * A server of the scenario's own, on free ports of the loopback address, as a user would start it. It ends with the
 * scenario, however that ends.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

import { CliError, exitCode } from "../src/cli/exit-code.ts";

/** What `npm run build` makes. */
const entry = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const startTimeoutMs = 30_000;
/** With a Redis that is there it takes a moment. */
const readyTimeoutMs = 10_000;
const stopTimeoutMs = 15_000;

/** A running server. */
export class OwnServer {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** The admin port, for `/metrics`. */
  readonly adminUrl: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #kill: () => void;

  private constructor(url: string, adminUrl: string, child: ChildProcess, kill: () => void) {
    this.url = url;
    this.adminUrl = adminUrl;
    this.#child = child;
    this.#kill = kill;
    this.#exited = new Promise((resolve) => {
      child.once("exit", () => resolve());
    });
  }

  /**
   * Starts it with the memory broker and the default configuration.
   * @param settings more `--set` arguments.
   * @param environment more of its environment.
   * @throws CliError when it does not start; what it said is in the message.
   */
  static async start(
    settings: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<OwnServer> {
    const all = [
      "listen.host=127.0.0.1",
      "listen.port=0",
      "admin.port=0",
      "broker.kind=memory",
      "log.level=warn",
      ...settings,
    ];
    const child = spawn(process.execPath, [entry, "serve", ...all.flatMap((setting) => ["--set", setting])], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment },
    });
    // Whatever ends this process, even an exception: the workers end with their primary.
    const kill = (): void => void child.kill("SIGKILL");
    process.once("exit", kill);
    const { url, adminUrl } = await addressesOf(child);
    return new OwnServer(url, adminUrl, child, kill);
  }

  /** Resolves when its broker is there. @throws CliError that names the Redis when it is not. */
  async ready(redisUrl: string): Promise<void> {
    const deadlineMs = performance.now() + readyTimeoutMs;
    while (performance.now() < deadlineMs) {
      if ((await fetch(`${this.url}/readyz`)).ok) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const { host } = new URL(redisUrl);
    throw new CliError(
      exitCode.unavailable,
      `the server is not ready within ${readyTimeoutMs / 1000} s: is a Redis 7 or newer at ${host}, and may one log in?`,
    );
  }

  /** The primary's process id. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Ends it in order, by force when that takes too long. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    const force = setTimeout(this.#kill, stopTimeoutMs);
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.#exited;
    clearTimeout(force);
    process.off("exit", this.#kill);
  }
}

function addressesOf(child: ChildProcess): Promise<{ url: string; adminUrl: string }> {
  return new Promise((resolve, reject) => {
    let output = "";
    const fail = (why: string): void => {
      clearTimeout(timer);
      child.kill("SIGKILL");
      reject(new CliError(exitCode.unavailable, `the server did not start: ${why}\n${output.trim()}`));
    };
    const timer = setTimeout(() => fail(`no address within ${startTimeoutMs / 1000} s`), startTimeoutMs);
    child.once("exit", (code) => fail(`exit code ${code}`));
    const take = (bytes: Buffer): void => {
      // Kept only until the addresses are there; later output is warnings, which the user sees.
      output += bytes.toString();
      const url = /^listening (http:\/\/\S+)$/mu.exec(output)?.[1];
      const adminUrl = /^admin (http:\/\/\S+)$/mu.exec(output)?.[1];
      if (url === undefined || adminUrl === undefined) return;
      clearTimeout(timer);
      child.removeAllListeners("exit");
      child.stdout?.off("data", take).resume();
      child.stderr?.off("data", take).pipe(process.stderr);
      resolve({ url, adminUrl });
    };
    child.stdout?.on("data", take);
    child.stderr?.on("data", take);
  });
}
