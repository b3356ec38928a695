/**
 * One connection to Redis that comes back by itself. Each attempt is a client of its own without retries, so that a
 * cut connection rejects what was under way instead of sending it again (ioredis v5 and v6 send FCALL a second time).
 * Up means: connected, authenticated, a primary of version 7 or newer, and `prepare` has run.
 */
import { Redis, type RedisOptions } from "ioredis";
import type { Log } from "../base/log.ts";

/** Reconnects wait 50 ms, twice as long each time, at most 2 s, half of it random. */
const backoffFirstMs = 50;
const backoffMaxMs = 2000;

/** A connection that lasted this long counts as a good one: the backoff begins anew. */
const goodAfterMs = 5000;

const redisMajorMin = 7;

/** What is wrong when `mode: standalone` finds a node of a cluster. The command line looks for it. */
export const clusterReason = "this Redis is a node of a Redis Cluster: broker.redis.mode: cluster is needed";
/** What is wrong when `mode: cluster` finds something else. */
export const notClusterReason = "this Redis is no Redis Cluster: broker.redis.mode: standalone is needed";

/** What the owner of a connection does with it. */
export interface ConnectionOwner {
  /** true: only a node of a Redis Cluster will do. Otherwise only a server that is none. */
  readonly isClusterNode?: boolean;
  /** Runs on each new connection before it counts as up. Throwing ends the connection; the reason is shown. */
  prepare(client: Redis): Promise<void>;
  onUp(client: Redis): void;
  /** Not up any more, or (again) not reached. `reason` is for people. */
  onDown(reason: string): void;
}

/** A Redis that cannot serve us until somebody changes it: too old, wrong password, no right to load functions. */
export class UnusableRedisError extends Error {
  override readonly name = "UnusableRedisError";
}

/** Keeps one connection; see the file head. */
export class RedisConnection {
  readonly #options: RedisOptions;
  readonly #owner: ConnectionOwner;
  readonly #log: Log;
  readonly #name: string;
  /** Up, or null. */
  #client: Redis | null = null;
  /** Under way or up: what `stop` has to end. */
  #current: Redis | null = null;
  #timer: NodeJS.Timeout | null = null;
  #failureCount = 0;
  #hasFailed = false;
  #upSinceMs = 0;
  #stopped = false;
  #reason = "not connected yet";
  #unusable = false;

  constructor(options: RedisOptions, name: string, owner: ConnectionOwner, log: Log) {
    this.#options = options;
    this.#name = name;
    this.#owner = owner;
    this.#log = log;
  }

  /** The client while the connection is up. */
  get client(): Redis | null {
    return this.#client;
  }

  /** What is wrong, null while up. */
  get reason(): string | null {
    return this.#client === null ? this.#reason : null;
  }

  /** Down, and waiting does not help. */
  get unusable(): boolean {
    return this.#client === null && this.#unusable;
  }

  /** Resolves when the first attempt ended, well or not. */
  async start(): Promise<void> {
    await this.#attempt();
  }

  /** Ends a connection that does not do its work, and makes a new one. */
  cut(client: Redis, reason: string): void {
    if (client !== this.#client) return;
    this.#fail(reason);
    client.disconnect();
  }

  /** The server at `host:port` is to be used from now on: leaves any other, to look for it anew. */
  moveTo(address: string): void {
    const client = this.#client;
    if (client === null) return;
    const { remoteAddress, remotePort } = client.stream;
    if (`${remoteAddress}:${remotePort}` !== address) this.cut(client, `the primary is ${address} now`);
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#client = null;
    this.#reason = "stopped";
    this.#current?.disconnect();
    this.#current = null;
  }

  async #attempt(): Promise<void> {
    const client = new Redis(this.#options);
    this.#current = client;
    let lastError: Error | null = null;
    client.on("error", (error: Error) => {
      lastError = error;
    });
    const ended = new Promise<never>((_resolve, reject) => {
      client.once("end", () => reject(lastError ?? new Error("the connection was closed")));
    });
    // The race below may be over when the end comes.
    ended.catch(() => {});
    try {
      await Promise.race([this.#bringUp(client), ended]);
      if (client.status !== "ready") throw lastError ?? new Error("the connection was closed");
    } catch (error) {
      client.disconnect();
      // The client's own "Connection is closed." hides the cause.
      this.#fail(lastError !== null && !(error instanceof UnusableRedisError) ? lastError : error);
      return;
    }
    if (this.#stopped) {
      client.disconnect();
      return;
    }
    client.once("end", () => {
      if (this.#client === client) this.#fail(lastError ?? "the connection was closed");
    });
    this.#upSinceMs = performance.now();
    this.#unusable = false;
    this.#client = client;
    // That all is well from the start goes without saying: the server's first lines are its addresses.
    if (this.#hasFailed) this.#log.info({ connection: this.#name }, "connected to Redis");
    else this.#log.debug({ connection: this.#name }, "connected to Redis");
    this.#owner.onUp(client);
  }

  async #bringUp(client: Redis): Promise<void> {
    await client.connect();
    checkServer(await client.info(), this.#owner.isClusterNode ?? false);
    await this.#owner.prepare(client);
  }

  #fail(cause: unknown): void {
    if (this.#stopped) return;
    const wasUp = this.#client !== null;
    if (wasUp && performance.now() - this.#upSinceMs >= goodAfterMs) this.#failureCount = 0;
    this.#client = null;
    this.#reason = typeof cause === "string" ? cause : reasonOf(cause);
    this.#unusable = isUnusable(cause);
    this.#hasFailed = true;
    const delayMs = this.#nextDelayMs();
    // The first of a row is news, its repetitions are not.
    if (wasUp || this.#failureCount === 1) {
      this.#log.warn({ connection: this.#name, reason: this.#reason }, "no connection to Redis");
    } else {
      this.#log.debug({ connection: this.#name, reason: this.#reason }, "still no connection to Redis");
    }
    this.#timer = setTimeout(() => void this.#attempt(), delayMs);
    this.#owner.onDown(this.#reason);
  }

  #nextDelayMs(): number {
    const fullMs = Math.min(backoffMaxMs, backoffFirstMs * 2 ** Math.min(this.#failureCount, 10));
    this.#failureCount++;
    return fullMs / 2 + (Math.random() * fullMs) / 2;
  }
}

/** @throws UnusableRedisError when INFO describes a server that cannot serve us. */
function checkServer(info: string, isClusterNode: boolean): void {
  const version = /^redis_version:(\S+)/m.exec(info)?.[1] ?? "unknown";
  if (!(Number.parseInt(version, 10) >= redisMajorMin)) {
    throw new UnusableRedisError(`Redis ${version} is too old: ${redisMajorMin}.0 or newer is needed`);
  }
  // Either way round half of the topics, or all, would be where nobody looks.
  if (isClusterNode !== /^redis_mode:cluster/m.test(info)) {
    throw new UnusableRedisError(isClusterNode ? notClusterReason : clusterReason);
  }
  // Behind a failover the old address may still answer, as a replica that takes no writes.
  if (/^role:slave/m.test(info)) throw new Error("this Redis is a replica, the primary is needed");
  if (/^loading:1/m.test(info)) throw new Error("Redis is loading its data");
}

function isUnusable(cause: unknown): boolean {
  if (cause instanceof UnusableRedisError) return true;
  return cause instanceof Error && /^(WRONGPASS|NOAUTH|NOPERM)|invalid password/.test(cause.message);
}

/** What went wrong, for people. ioredis puts no password into its messages, and arguments only into `command`. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if (/^(WRONGPASS|NOAUTH)|invalid password/.test(cause.message)) return "Redis refused the user or password";
  if (cause.message === "Command timed out") return "Redis does not answer";
  return cause.message;
}
