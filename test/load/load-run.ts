/** `npm run load` as a child process, as somebody would start it. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import type { LoadResult } from "../../load/run/load-result.ts";
import { ownFolder } from "./own-folder.ts";

const entry = fileURLToPath(new URL("../../load/main.ts", import.meta.url));

export class LoadRun {
  readonly child: ChildProcess;
  /** Where its report goes. */
  readonly folder = ownFolder();
  output = "";
  readonly exited: Promise<number | null>;

  /** @param isScenario false for commands without a report. */
  constructor(args: readonly string[], isScenario = true) {
    const all = isScenario ? [...args, "--out", this.folder] : args;
    this.child = spawn(process.execPath, ["--import", "tsx", entry, ...all], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.stdout?.on("data", (bytes: Buffer) => (this.output += bytes.toString()));
    this.child.stderr?.on("data", (bytes: Buffer) => (this.output += bytes.toString()));
    this.exited = once(this.child, "close").then(() => this.child.exitCode);
  }

  /** The content of its report with this ending. */
  report(ending: ".json" | ".html"): string {
    const name = readdirSync(this.folder).find((file) => file.endsWith(ending));
    if (name === undefined) throw new Error(`no ${ending} in the folder; it said: ${this.output}`);
    return readFileSync(join(this.folder, name), "utf8");
  }

  get result(): LoadResult {
    return JSON.parse(this.report(".json")) as LoadResult;
  }
}
