/**
 * The connection for commands: reads of logs (at most 64 at once), what the publisher needs of it, and the touching
 * of open topics' logs, which would expire otherwise when they are empty or idle.
 */
import type { Redis, RedisOptions } from "ioredis";
import { BrokerError } from "../base/errors.ts";
import { systemClock } from "../base/clock.ts";
import { type Log, RateLimitedLog } from "../base/log.ts";
import { Limiter } from "./limiter.ts";
import { commandTimeoutMs } from "./redis-address.ts";
import { RedisConnection } from "./redis-connection.ts";
import { callRead, emptyLogKeepMs, ensureLibrary, failureOf, sendAsking } from "./redis-functions.ts";
import type { CommandLink } from "./redis-publisher.ts";
import type { LogPart, LogRead } from "./log-read.ts";

const readsAtOnceMax = 64;
/** Four chances before an empty log expires. */
const touchIntervalMs = emptyLogKeepMs / 4;
const touchesAtOnce = 500;
/** Each publish on such a topic is refused, and each attempt to open it. */
const refusalLinesPerSecMax = 1;

/** See the file head. */
export class RedisCommands implements CommandLink {
  readonly #messageBytesMax: number;
  readonly #connection: RedisConnection;
  readonly #onChanged: (isUp: boolean) => void;
  readonly #refusalLog: Log;
  readonly #reads = new Limiter(readsAtOnceMax);
  /** Logs of open topics. */
  readonly #kept = new Set<string>();
  #touchTimer: NodeJS.Timeout | null = null;
  #downSinceMs = performance.now();
  #upWaiters = new Set<() => void>();

  /** @param onChanged the connection came up or went down. */
  constructor(
    clientOptions: RedisOptions,
    options: { readonly messageBytesMax: number; readonly isClusterNode?: boolean },
    log: Log,
    onChanged: (isUp: boolean) => void,
  ) {
    this.#messageBytesMax = options.messageBytesMax;
    this.#onChanged = onChanged;
    this.#refusalLog = new RateLimitedLog(log, systemClock, refusalLinesPerSecMax);
    const owner = {
      isClusterNode: options.isClusterNode ?? false,
      prepare: ensureLibrary,
      onUp: () => this.#up(),
      onDown: () => this.#down(),
    };
    this.#connection = new RedisConnection(clientOptions, "commands", owner, log);
  }

  get client(): Redis | null {
    return this.#connection.client;
  }

  get reason(): string | null {
    return this.#connection.reason;
  }

  /** Not up, and not soon. Who has been away for 2 s will not be back for this caller: an answer now is worth more. */
  get isHopeless(): boolean {
    if (this.#connection.client !== null) return false;
    return this.#connection.unusable || performance.now() - this.#downSinceMs > commandTimeoutMs;
  }

  async start(): Promise<void> {
    this.#touchTimer = setInterval(() => void this.touchLogs(), touchIntervalMs);
    await this.#connection.start();
  }

  stop(): void {
    if (this.#touchTimer !== null) clearInterval(this.#touchTimer);
    this.#connection.stop();
    this.#wake();
  }

  async whenUp(timeoutMs: number): Promise<Redis | null> {
    if (this.#connection.client !== null) return this.#connection.client;
    if (this.isHopeless || timeoutMs <= 0) return null;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#upWaiters.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.#upWaiters.add(done);
    });
    return this.#connection.client;
  }

  error(): BrokerError {
    const reason = this.#connection.reason ?? "no connection";
    return new BrokerError(`no connection to Redis: ${reason}`, !this.#connection.unusable);
  }

  /** See `RedisConnection.moveTo`. */
  moveTo(address: string): void {
    this.#connection.moveTo(address);
  }

  giveUp(client: Redis, reason: string): void {
    this.#connection.cut(client, reason);
  }

  refused(place: string, reason: string): void {
    this.#refusalLog.error({ place, reason }, "Redis refuses what it is asked for");
  }

  /**
   * Reads a part of the log at `key`.
   * @param isAsking the node was named by ASK: it has the key, but not yet the slot.
   * @throws BrokerError, its cause what Redis said.
   */
  read(key: string, part: LogPart, isAsking = false): Promise<LogRead> {
    return this.#reads.run(async () => {
      for (let attempt = 1; ; attempt++) {
        const client = await this.whenUp(commandTimeoutMs);
        if (client === null) throw this.error();
        try {
          if (isAsking) sendAsking(client);
          return await callRead(client, key, part, this.#messageBytesMax);
        } catch (error) {
          const failure = failureOf(error);
          if (failure === "timeout") this.giveUp(client, "Redis does not answer");
          if (failure === "replica") this.giveUp(client, "this Redis became a replica");
          if (attempt === 2 || (failure !== "library" && failure !== "connection")) {
            const message = error instanceof Error ? error.message : String(error);
            if (failure === "refused") this.refused(key, message);
            throw new BrokerError(`the log cannot be read: ${message}`, failure !== "refused", error);
          }
          if (failure === "library") await this.#reload(client);
        }
      }
    });
  }

  /** Keeps the log at `key` alive while its topic is open. */
  keepLog(key: string): void {
    this.#kept.add(key);
  }

  forgetLog(key: string): void {
    this.#kept.delete(key);
  }

  /** Puts off the expiry of the kept logs. Called every 30 s; by tests at will. */
  async touchLogs(): Promise<void> {
    const keys = [...this.#kept];
    for (let start = 0; start < keys.length; start += touchesAtOnce) {
      const pipeline = this.#connection.client?.pipeline();
      if (pipeline === undefined) return;
      for (const key of keys.slice(start, start + touchesAtOnce)) {
        // GT: a log with entries has a longer time of its own, which this does not shorten.
        pipeline.pexpire(key, emptyLogKeepMs, "GT");
      }
      try {
        await pipeline.exec();
      } catch {
        // The connection was cut: its own end is noticed elsewhere, and there are three more chances.
        return;
      }
    }
  }

  async #reload(client: Redis): Promise<void> {
    try {
      await ensureLibrary(client);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new BrokerError(`the functions cannot be loaded: ${message}`, true, error);
    }
  }

  #up(): void {
    this.#wake();
    this.#onChanged(true);
  }

  #down(): void {
    if (this.#downSinceMs === 0) this.#downSinceMs = performance.now();
    this.#onChanged(false);
  }

  #wake(): void {
    if (this.#connection.client !== null) this.#downSinceMs = 0;
    for (const wake of this.#upWaiters) wake();
  }
}
