/** A real Prometheus with the repository's own configuration, but for targets and pace; it ends with this process. */
import { spawn, type ChildProcess } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse, stringify } from "yaml";

import { CliError, exitCode } from "../../src/cli/exit-code.ts";
import { freePort } from "../peers/processes.ts";
import { run } from "../peers/tools.ts";

const config = fileURLToPath(new URL("../../config/", import.meta.url));
/** Between two scrapes, seconds. */
export const scrapeSec = 1;
const startTimeoutMs = 20_000;

export class OwnPrometheus {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #exited: Promise<void>;
  readonly #kill: () => void;

  private constructor(url: string, child: ChildProcess, folder: string) {
    this.url = url;
    this.#child = child;
    this.#folder = folder;
    this.#exited = new Promise((resolve) => {
      child.once("exit", () => resolve());
    });
    this.#kill = () => void child.kill("SIGKILL");
    process.once("exit", this.#kill);
  }

  /** @param targets admin addresses, `host:port`. @throws CliError without Prometheus. */
  static async start(targets: readonly string[]): Promise<OwnPrometheus> {
    if (!(await run(["prometheus", "--version"], 10_000)).ok) {
      throw new CliError(
        exitCode.unavailable,
        "needs prometheus on the PATH: on Debian, apt install prometheus",
      );
    }
    const folder = mkdtempSync(join(tmpdir(), "tapecast-prometheus-"));
    writeConfig(folder, targets);
    const port = await freePort();
    const args = [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=error",
    ];
    const child = spawn("prometheus", args, { stdio: ["ignore", "ignore", "inherit"] });
    const own = new OwnPrometheus(`http://127.0.0.1:${port}`, child, folder);
    await own.#ready();
    return own;
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#exited;
    process.off("exit", this.#kill);
    rmSync(this.#folder, { recursive: true });
  }

  async #ready(): Promise<void> {
    const deadlineMs = performance.now() + startTimeoutMs;
    for (;;) {
      // Not listening yet is no answer.
      const isReady = await fetch(`${this.url}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      );
      if (isReady) return;
      if (this.#child.exitCode !== null || performance.now() > deadlineMs) {
        this.#kill();
        throw new CliError(exitCode.unavailable, "prometheus did not start");
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function writeConfig(folder: string, targets: readonly string[]): void {
  const whole = parse(readFileSync(`${config}prometheus.yml`, "utf8"));
  whole.global = { scrape_interval: `${scrapeSec}s`, evaluation_interval: "1s" };
  whole.scrape_configs[0].static_configs[0].targets = targets;
  writeFileSync(`${folder}/prometheus.yml`, stringify(whole));
  for (const file of whole.rule_files) copyFileSync(config + file, join(folder, file));
}
