/**
 * A private redis-server on loopback, without persistence, for the whole run (redis.ts) and for tests that hurt it:
 * stop it kindly, kill it, start it again on the same port with nothing in it.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";

const startTimeoutMs = 10_000;

/** A running redis-server of our own. */
export interface RedisServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** SIGTERM, waits for the end, removes its folder. Calling it again does nothing. */
  stop(): Promise<void>;
  /** SIGKILL: connections are cut, the port refuses. Waits for the end. */
  kill(): Promise<void>;
  /** SIGSTOP: the connections live on and nobody answers. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
}

/**
 * Starts redis-server and waits until it answers.
 * @param options `port` to take (a free one by default), further command line arguments, such as `["--requirepass", "x"]`;
 *   `isTls`: TLS alone on that port.
 * @throws Error with the server's own words when it does not start.
 */
export async function startRedisServer(
  options: { readonly port?: number; readonly args?: readonly string[]; readonly isTls?: boolean } = {},
): Promise<RedisServer> {
  const args = options.args ?? [];
  const launch = options.isTls === true ? launchTls : launchPlain;
  if (options.port !== undefined) return await launch(options.port, args);
  // Somebody may take the port between our look and the server's bind.
  for (let attempt = 1; ; attempt++) {
    try {
      return await launch(await freePort(), args);
    } catch (error) {
      if (attempt === 3) throw error;
    }
  }
}

/** Starts a sentinel that watches the primary on `primaryPort` under `name`, alone (quorum 1). */
export async function startSentinel(primaryPort: number, name: string): Promise<RedisServer> {
  const port = await freePort();
  const config = [
    `port ${port}`,
    "bind 127.0.0.1",
    `sentinel monitor ${name} 127.0.0.1 ${primaryPort} 1`,
    `sentinel down-after-milliseconds ${name} 1000`,
    `sentinel failover-timeout ${name} 5000`,
  ];
  return await launch(port, ["--sentinel"], config.join("\n"));
}

/** A TCP port on 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** Asks a server for its version. @throws Error when it cannot be reached or refuses us. */
export async function redisVersion(url: string): Promise<string> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: 5_000 });
  let reason: Error | null = null;
  redis.on("error", (error: Error) => {
    reason ??= error;
  });
  try {
    await redis.connect();
    const info = await redis.info("server");
    return /redis_version:(\S+)/.exec(info)?.[1] ?? "0";
  } catch (error) {
    throw reason ?? error;
  } finally {
    redis.disconnect();
  }
}

function launchPlain(port: number, args: readonly string[]): Promise<RedisServer> {
  return launch(port, args);
}

async function launchTls(port: number, args: readonly string[]): Promise<RedisServer> {
  const server = await launch(port, ["--port", "0", "--tls-port", String(port), ...args]);
  return { ...server, url: `rediss://127.0.0.1:${port}` };
}

/** @param sentinelConfig a sentinel rewrites its configuration, so that is a file of its own; null for a server. */
async function launch(
  port: number,
  args: readonly string[],
  sentinelConfig: string | null = null,
): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), "tapecast-redis-"));
  const server = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  const configFile = join(folder, "sentinel.conf");
  if (sentinelConfig !== null) writeFileSync(configFile, sentinelConfig);
  const first = sentinelConfig === null ? server : [configFile];
  const child = spawn("redis-server", [...first, "--dir", folder, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  // A killed test run must not leave the server behind.
  const killAtExit = (): void => {
    child.kill("SIGKILL");
  };
  process.once("exit", killAtExit);
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGCONT");
      child.kill(signal);
      await ended;
    }
    process.removeListener("exit", killAtExit);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await ready(child);
  } catch (error) {
    await end("SIGKILL");
    throw error;
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    pid: child.pid ?? 0,
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    freeze: () => {
      child.kill("SIGSTOP");
    },
    thaw: () => {
      child.kill("SIGCONT");
    },
  };
}

/** Waits for the line that redis-server prints once it listens. */
async function ready(child: ChildProcess): Promise<void> {
  let output = "";
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`redis-server did not start in ${startTimeoutMs} ms: ${output}`));
    }, startTimeoutMs);
    const read = (chunk: Buffer): void => {
      output += chunk.toString();
      if (!/Ready to accept connections|Sentinel ID is/.test(output)) return;
      clearTimeout(timer);
      resolve();
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once("exit", () => {
      clearTimeout(timer);
      reject(new Error(`redis-server ended: ${output.trim().split("\n").at(-1) ?? ""}`));
    });
  });
}
