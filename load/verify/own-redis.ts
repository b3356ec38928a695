/**
 * A Redis of the run's own, which faults hurt: killed and started again with what it had (append-only file), stopped in
 * its tracks, made to cut connections, emptied. It stands alone, or is a node of own-cluster.ts or own-sentinels.ts.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";

import { CliError, exitCode } from "../../src/cli/exit-code.ts";
import { freePort } from "../peers/processes.ts";
import { type ControlTarget, DoubtfulTimes, numbersIn, type Store } from "./store.ts";

const startTimeoutMs = 20_000;

/** See the file head. */
export class OwnRedis implements Store {
  readonly port: number;
  readonly doubt = new DoubtfulTimes();
  readonly #folder: string;
  readonly #arguments: readonly string[];
  #child: ChildProcess | null = null;
  readonly #killAtExit = (): void => void this.#child?.kill("SIGKILL");

  private constructor(port: number, folder: string, arguments_: readonly string[]) {
    this.port = port;
    this.#folder = folder;
    this.#arguments = arguments_;
    process.once("exit", this.#killAtExit);
  }

  /** @param more arguments of redis-server. @throws CliError without a redis-server on the PATH. */
  static async start(more: readonly string[] = []): Promise<OwnRedis> {
    const redis = new OwnRedis(await freePort(), mkdtempSync(join(tmpdir(), "tapecast-verify-")), more);
    await redis.up();
    return redis;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get serverSettings(): readonly string[] {
    return ["broker.kind=redis", `broker.redis.url=${this.url}`];
  }

  get controlTarget(): ControlTarget {
    return { port: this.port };
  }

  numbersOf(topic: string): Promise<ReadonlySet<number>> {
    return this.ask((redis) => numbersIn(redis, `tape:log:${topic}`));
  }

  /** Starts it with what it had. Resolves when it answers. */
  async up(): Promise<void> {
    // What was answered is in the file before the answer. With `everysec` a write may be put off for two seconds while
    // an fsync is under way, and a killed process loses what it has answered meanwhile.
    const keeping = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];
    const child = spawn(
      "redis-server",
      [
        "--port",
        String(this.port),
        "--bind",
        "127.0.0.1",
        "--dir",
        this.#folder,
        ...keeping,
        ...this.#arguments,
      ],
      { stdio: ["ignore", "ignore", "ignore"] },
    );
    let problem = "";
    child.once("error", (error) => (problem = error.message));
    this.#child = child;
    const deadlineMs = performance.now() + startTimeoutMs;
    while (!(await this.#answers(child))) {
      if (problem === "" && child.exitCode === null && performance.now() < deadlineMs) continue;
      const why = problem === "" ? `exit code ${child.exitCode}` : problem;
      throw new CliError(
        exitCode.unavailable,
        `redis-server 7 or newer on the PATH and port ${this.port} are needed (${why})`,
      );
    }
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  /** Its connections live on and nobody answers. */
  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
  }

  /** Runs commands on a connection of its own, which `CLIENT KILL` spares. */
  async ask<Result>(commands: (redis: Redis) => Promise<Result>): Promise<Result> {
    const redis = new Redis(this.url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: 2000 });
    redis.on("error", () => undefined);
    try {
      await redis.connect();
      return await commands(redis);
    } finally {
      redis.disconnect();
    }
  }

  async stop(): Promise<void> {
    this.thaw();
    await this.kill();
    process.off("exit", this.#killAtExit);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** While it was away its port was free: whoever answers there now may be another one, with data of its own. */
  async #answers(child: ChildProcess): Promise<boolean> {
    try {
      const info = await this.ask((redis) => redis.info("server"));
      const pid = Number(/^process_id:(\d+)/mu.exec(info)?.[1]);
      if (pid === child.pid) return true;
    } catch {
      // Not yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 30));
    return false;
  }
}
