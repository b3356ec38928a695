/**
 * A whole server as its users start it: `dist/cli/main.js serve` in a process group of its own, on ports that the
 * system chooses, with everything it logged.
 */
import { Metrics } from "./metrics.ts";
import { get } from "./http.ts";
import { cli, Running, type End, type SpawnOptions } from "./run.ts";
import { until } from "./until.ts";

export interface ServerOptions extends SpawnOptions {
  /** A configuration file; the defaults without it. */
  readonly config?: string;
  /** By key path. What is not text is given as JSON, which is YAML. */
  readonly sets?: Readonly<Record<string, unknown>>;
}

/** Two workers on loopback, unless a test says otherwise. */
const setsDefault = {
  "listen.host": "127.0.0.1",
  "listen.port": 0,
  // A third of a second of a core for each worker, and nothing that a test could see.
  "listen.warmUpConnections": 0,
  "admin.port": 0,
  workers: 2,
  "shutdown.drainTimeoutMs": 3000,
};

export class Server {
  readonly process: Running;

  private constructor(process: Running) {
    this.process = process;
  }

  /** Starts one and waits until it has said where it listens. @throws Error with its own words when it ends instead. */
  static async start(options: ServerOptions = {}): Promise<Server> {
    return Server.attach(new Running(process.execPath, [cli, ...serveArguments(options)], options));
  }

  /** For a server that was started in another way. */
  static async attach(process: Running): Promise<Server> {
    const server = new Server(process);
    await until(
      "the server's addresses",
      () => process.hasEnded || /^admin \S+$/mu.test(process.stdout),
      60_000,
    );
    if (!process.hasEnded) return server;
    throw new Error(`the server ended: ${process.stdout}${process.stderr}`);
  }

  /** All that was announced: `http://127.0.0.1:8080`, `unix:/path`. */
  get addresses(): string[] {
    return Array.from(this.process.stdout.matchAll(/^listening (\S+)$/gmu), ([, address]) => address ?? "");
  }

  /** `http://127.0.0.1:PORT`, or https. */
  get http(): string {
    const address = this.addresses.find((each) => each.startsWith("http"));
    if (address === undefined) throw new Error("no address of TCP");
    return address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
  }

  /** `ws://127.0.0.1:PORT`, or wss. */
  get ws(): string {
    return this.http.replace(/^http/u, "ws");
  }

  get port(): number {
    return Number(new URL(this.http).port);
  }

  get admin(): string {
    return /^admin (\S+)$/mu.exec(this.process.stdout)?.[1] ?? "not announced";
  }

  /** The primary is the process itself; the rest of its group are the workers. */
  workerPids(): number[] {
    return this.process.group().filter((pid) => pid !== this.process.pid);
  }

  async metrics(): Promise<Metrics> {
    return new Metrics((await get(`${this.admin}/metrics`)).text);
  }

  /** SIGTERM; waits until no process is left. */
  async stop(): Promise<End> {
    if (!this.process.hasEnded) this.process.signal("SIGTERM");
    const end = await this.process.end();
    await this.expectNobodyLeft();
    return end;
  }

  /** Fails when a process of the group outlives the first by more than a moment. */
  async expectNobodyLeft(): Promise<void> {
    await until("no process to be left", () => this.process.group().length === 0, 2000);
  }

  /** For afterEach: ends it whatever happened. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.process.kill();
  }
}

/** The arguments of `tapecast` for a server with these options. */
export function serveArguments(options: ServerOptions): string[] {
  const sets = Object.entries({ ...setsDefault, ...options.sets });
  return [
    "serve",
    ...(options.config === undefined ? [] : ["--config", options.config]),
    ...sets.flatMap(([key, value]) => [
      "--set",
      `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`,
    ]),
  ];
}

/** The options that put a server on this Redis, apart from everybody else there. */
export function onRedis(url: string, prefix: string): Readonly<Record<string, unknown>> {
  return { "broker.kind": "redis", "broker.redis.url": url, "broker.redis.prefix": prefix };
}
