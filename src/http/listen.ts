/**
 * Opens and names the listeners: TCP (IPv4, IPv6), TLS, unix sockets. Under node:cluster `listen` shares the primary's
 * handle by itself. What goes wrong here is the operator's to mend, so it is a ConfigError with the key at fault.
 */

import cluster from "node:cluster";
import { lstat, unlink } from "node:fs/promises";
import { connect, isIPv6, type ListenOptions, type Server } from "node:net";
import { dirname } from "node:path";

import { ConfigError } from "../base/errors.ts";
import { listenProblem } from "../base/system-problem.ts";

/** Where to listen. */
export interface ListenOptionsOfDoor {
  readonly host: string;
  /** 0 for any free port; null for no TCP listener. */
  readonly port: number | null;
  readonly unixSocket: string | null;
  readonly reusePort: boolean;
  /** In a worker of a cluster: by itself, not by way of the primary. */
  readonly exclusive?: boolean;
}

/** Opens the TCP listener. @returns its address as people write it, such as `https://[::1]:8443`. */
export async function listenTcp(
  server: Server,
  options: ListenOptionsOfDoor,
  isTls: boolean,
): Promise<string> {
  const { host, reusePort } = options;
  if (reusePort && !supportsReusePort(process.versions.node)) {
    throw problem("listen.reusePort", `needs Node.js 22.12 or newer, this is ${process.versions.node}`);
  }
  const where: ListenOptions & { reusePort?: boolean } = {
    host,
    port: options.port ?? 0,
    backlog: 4096,
    exclusive: options.exclusive ?? false,
  };
  if (reusePort) where.reusePort = true;
  await open(server, where, "listen.port", `${host}:${options.port}`);
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  return `${isTls ? "https" : "http"}://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

/** Opens the unix listener, in place of a socket file that a dead process left. Its file goes when it closes. */
export async function listenUnix(server: Server, path: string): Promise<string> {
  // In a cluster the primary binds: two workers that both clean up could take each other's fresh socket away, so
  // whoever starts the primary calls `removeStaleSocket` before.
  if (!cluster.isWorker) await removeStaleSocket(path);
  await open(server, { path, backlog: 4096 }, "listen.unixSocket", path);
  return `unix:${path}`;
}

/**
 * Removes the file of a unix socket on which nobody listens any more.
 * @throws ConfigError when somebody does, when the file is no socket, or when there is no such folder.
 */
export async function removeStaleSocket(path: string): Promise<void> {
  const stat = await lstat(path).catch(() => null);
  if (stat === null) {
    // The system's own word for it, by way of node:cluster, is EACCES.
    if (await isMissing(dirname(path))) throw problem("listen.unixSocket", `${dirname(path)} does not exist`);
    return;
  }
  if (!stat.isSocket()) throw problem("listen.unixSocket", `${path} exists and is not a socket`);
  if (await isListening(path)) throw problem("listen.unixSocket", `another process listens on ${path}`);
  await unlink(path);
}

/** `reusePort` came with Node.js 22.12.0 and 23.1.0. */
export function supportsReusePort(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
}

function open(server: Server, where: ListenOptions, key: string, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      reject(problem(key, `${what} ${listenProblem(error, key)}`));
    };
    server.once("error", onError);
    server.listen(where, () => {
      server.off("error", onError);
      resolve();
    });
  });
}

async function isMissing(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null)) === null;
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => resolve(true));
    // ECONNREFUSED: a file without a listener. EAGAIN: a listener whose backlog is full.
    probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code !== "ECONNREFUSED"));
    probe.once("connect", () => probe.destroy());
  });
}

function problem(path: string, message: string): ConfigError {
  return new ConfigError([{ path, message }]);
}
