/**
 * Hears from the sentinels that another server has become the master. The former one goes on answering for ten seconds
 * until a sentinel demotes it, and loses what it has answered meanwhile: whoever is connected to it has to leave at once.
 */
import { Redis } from "ioredis";
import type { Log } from "../base/log.ts";
import { type RedisBrokerOptions, sentinelOptions } from "./redis-address.ts";

const channel = "+switch-master";
const reconnectMs = 1000;

/** Keeps a connection to each of the sentinels; see the file head. */
export class SentinelWatch {
  readonly #options: RedisBrokerOptions;
  readonly #log: Log;
  readonly #onMaster: (address: string) => void;
  #clients: Redis[] = [];

  /**
   * @param onMaster `host:port` of the new master. Called once for each sentinel, as soon as that one knows: until the last
   *   of them does, one that is asked may still name the former.
   */
  constructor(options: RedisBrokerOptions, log: Log, onMaster: (address: string) => void) {
    this.#options = options;
    this.#log = log;
    this.#onMaster = onMaster;
  }

  start(): void {
    this.#clients = sentinelOptions(this.#options).map((options) => {
      const client = new Redis({ ...options, retryStrategy: () => reconnectMs, maxRetriesPerRequest: null });
      client.on("error", (error: Error) => this.#log.debug({ reason: error.message }, "no sentinel"));
      client.on("message", (_channel: string, message: string) => this.#told(message));
      // Waits for the connection, and is repeated on the next one.
      client.subscribe(channel).catch(() => undefined);
      return client;
    });
  }

  stop(): void {
    for (const client of this.#clients) client.disconnect();
  }

  /** @param message `<name> <old host> <old port> <new host> <new port>`. */
  #told(message: string): void {
    const [name, , , host, port] = message.split(" ");
    if (name !== this.#options.sentinelName || host === undefined || port === undefined) return;
    this.#log.info({ master: `${host}:${port}` }, "the sentinels have a new master");
    this.#onMaster(`${host}:${port}`);
  }
}
