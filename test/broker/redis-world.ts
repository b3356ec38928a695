/** Brokers on a Redis of the test's choice, with a prefix of their own. */
import { spawnSync } from "node:child_process";
import { Redis } from "ioredis";
import type { Log } from "../../src/base/log.ts";
import type { Broker } from "../../src/broker/broker.ts";
import type { RedisBrokerOptions } from "../../src/broker/redis-address.ts";
import { createRedisBroker } from "../../src/broker/redis-broker.ts";
import { uniquePrefix } from "../setup/redis-url.ts";
import { Recorder, type Worker } from "./recorder.ts";

/** A log that keeps its lines. */
class LogLines implements Log {
  readonly lines: string[] = [];
  debug(fields: object, message: string): void {
    this.#add("debug", fields, message);
  }
  info(fields: object, message: string): void {
    this.#add("info", fields, message);
  }
  warn(fields: object, message: string): void {
    this.#add("warn", fields, message);
  }
  error(fields: object, message: string): void {
    this.#add("error", fields, message);
  }
  #add(level: string, fields: object, message: string): void {
    this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  }
}

export class RedisWorld {
  readonly url: string;
  readonly prefix = uniquePrefix();
  readonly log = new LogLines();
  readonly #brokers: Broker[] = [];
  readonly #clients: Redis[] = [];

  constructor(url: string) {
    this.url = url;
  }

  makeBroker(options: Partial<RedisBrokerOptions> = {}): Broker {
    const broker = createRedisBroker(
      {
        url: this.url,
        urls: [],
        sentinelName: null,
        prefix: this.prefix,
        mode: "standalone",
        partitions: 256,
        messageBytesMax: 65_536,
        ...options,
      },
      this.log,
    );
    this.#brokers.push(broker);
    return broker;
  }

  async start(options: Partial<RedisBrokerOptions> = {}): Promise<Worker> {
    const broker = this.makeBroker(options);
    const recorder = new Recorder();
    await broker.start(recorder);
    return { broker, recorder };
  }

  /** A client of the test's own. */
  client(): Redis {
    const client = new Redis(this.url, { retryStrategy: () => 50 });
    client.on("error", () => {
      // A fault test cuts it too; the command's own promise tells.
    });
    this.#clients.push(client);
    return client;
  }

  /** Runs redis-cli, as a person would, and returns what it prints. */
  cli(...args: readonly string[]): string {
    const result = spawnSync("redis-cli", ["-u", this.url, ...args], { encoding: "utf8" });
    if (result.error !== undefined) throw result.error;
    return `${result.stdout}${result.stderr}`.trim();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#brokers.map((broker) => broker.stop()));
    for (const client of this.#clients) client.disconnect();
  }
}
