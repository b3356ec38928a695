/**
 * The channels of the subscriber connection: what is wanted, what the connection has, and the commands that bring the
 * two together, once per turn of the event loop. Redis answers in order, so a channel that is given up and wanted
 * again within one turn needs no command at all, and one confirmation belongs to one SUBSCRIBE.
 */
import type { Redis } from "ioredis";

/** Channels of one command: a few thousand at once would hold up what stands behind them. */
const channelsPerCommand = 500;

interface WireState {
  isConfirmed: boolean;
}

/** See the file head. */
export class RedisSubscriptions {
  readonly #onConfirmed: (channel: string) => void;
  readonly #onFailed: (client: Redis, reason: string) => void;
  readonly #wanted = new Set<string>();
  readonly #changed = new Set<string>();
  /** What has been sent on the present connection. */
  #wire = new Map<string, WireState>();
  #client: Redis | null = null;
  #isScheduled = false;

  /**
   * @param onConfirmed the channel's messages come from now on. Again after each reconnect, and for a channel that
   *   was given up and wanted again.
   * @param onFailed a command was refused or not answered: the connection is of no use.
   */
  constructor(onConfirmed: (channel: string) => void, onFailed: (client: Redis, reason: string) => void) {
    this.#onConfirmed = onConfirmed;
    this.#onFailed = onFailed;
  }

  want(channel: string): void {
    this.#wanted.add(channel);
    this.#change(channel);
  }

  giveUp(channel: string): void {
    this.#wanted.delete(channel);
    this.#change(channel);
  }

  /** A new connection, which has no channel of ours yet. */
  up(client: Redis): void {
    this.#client = client;
    this.#wire = new Map();
    for (const channel of this.#wanted) this.#changed.add(channel);
    this.#schedule();
  }

  down(): void {
    this.#client = null;
    this.#wire = new Map();
  }

  #change(channel: string): void {
    this.#changed.add(channel);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#reconcile();
    });
  }

  #reconcile(): void {
    const client = this.#client;
    if (client === null) return;
    const subscribe: string[] = [];
    const unsubscribe: string[] = [];
    const confirmed: string[] = [];
    for (const channel of this.#changed) {
      const state = this.#wire.get(channel);
      if (!this.#wanted.has(channel)) {
        if (state !== undefined) unsubscribe.push(channel);
        this.#wire.delete(channel);
      } else if (state === undefined) {
        subscribe.push(channel);
      } else if (state.isConfirmed) {
        confirmed.push(channel);
      }
    }
    this.#changed.clear();
    for (let start = 0; start < unsubscribe.length; start += channelsPerCommand) {
      void this.#unsubscribe(client, unsubscribe.slice(start, start + channelsPerCommand));
    }
    for (let start = 0; start < subscribe.length; start += channelsPerCommand) {
      void this.#subscribe(client, subscribe.slice(start, start + channelsPerCommand));
    }
    for (const channel of confirmed) this.#onConfirmed(channel);
  }

  async #subscribe(client: Redis, channels: readonly string[]): Promise<void> {
    const state: WireState = { isConfirmed: false };
    for (const channel of channels) this.#wire.set(channel, state);
    try {
      await client.subscribe(...channels);
    } catch (error) {
      this.#onFailed(client, `SUBSCRIBE failed: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    state.isConfirmed = true;
    for (const channel of channels) {
      if (this.#wire.get(channel) === state) this.#onConfirmed(channel);
    }
  }

  async #unsubscribe(client: Redis, channels: readonly string[]): Promise<void> {
    try {
      await client.unsubscribe(...channels);
    } catch (error) {
      this.#onFailed(client, `UNSUBSCRIBE failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
