/** A primary with fake workers in a process of its own, and what a test asks of it. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("fixtures/run-primary.ts", import.meta.url));

export interface Answer {
  readonly status: number;
  readonly text: string;
}

export class PrimaryProcess {
  readonly child: ChildProcess;
  stdout = "";
  stderr = "";
  readonly exited: Promise<{ code: number | null; signal: string | null }>;

  constructor(config: object, environment: Record<string, string> = {}) {
    const whole = {
      listen: { host: "127.0.0.1", port: 0 },
      admin: { host: "127.0.0.1", port: 0 },
      workers: 2,
      shutdown: { drainTimeoutMs: 1000 },
      ...config,
    };
    this.child = spawn(process.execPath, ["--import", "tsx", script, JSON.stringify(whole)], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment },
    });
    this.child.stdout?.on("data", (bytes: Buffer) => (this.stdout += bytes.toString()));
    this.child.stderr?.on("data", (bytes: Buffer) => (this.stderr += bytes.toString()));
    this.exited = once(this.child, "exit").then(([code, signal]) => ({ code, signal }));
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Resolves when both addresses were printed. */
  async listening(): Promise<void> {
    await until("the addresses", () => /^admin /mu.test(this.stdout));
  }

  address(kind: "listening" | "admin"): string {
    return new RegExp(`^${kind} (http://\\S+)$`, "mu").exec(this.stdout)?.[1] ?? "not printed";
  }

  /** Asks some worker. */
  ask(path: string): Promise<Answer> {
    return get(this.address("listening") + path);
  }

  admin(path: string): Promise<Answer> {
    return get(this.address("admin") + path);
  }

  /** Ends it whatever its state. */
  async end(): Promise<void> {
    const children = this.childPids();
    this.child.kill("SIGKILL");
    if (this.child.exitCode === null && this.child.signalCode === null) await this.exited;
    await until("the workers to end", () => children.every((pid) => !isAlive(pid)));
  }

  /** Pids of the living worker processes. */
  childPids(): number[] {
    const path = `/proc/${this.pid}/task/${this.pid}/children`;
    try {
      const pids = readFileSync(path, "utf8").trim().split(" ").filter(Boolean).map(Number);
      return pids.filter((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("fake-worker"));
    } catch {
      return [];
    }
  }
}

/** True while the process exists and is no zombie. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/mu.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** One request on a connection of its own, so that it is balanced like a new client. */
export function get(url: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(url, { agent: false, timeout: 5000 }, (response) => {
      let text = "";
      response.on("data", (bytes: Buffer) => (text += bytes.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    call.on("timeout", () => call.destroy(new Error("timeout")));
    call.on("error", reject);
    call.end();
  });
}

/** Waits until `condition` holds; after 20 s the test fails with what was awaited. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (performance.now() < deadline) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`waited 20 s for ${what}`);
}
