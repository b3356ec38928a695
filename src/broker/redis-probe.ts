/**
 * Proves that messages reach the subscriber connection: each second in which nothing came, a message is published to
 * a channel of our own. A peer that is gone, a half-open connection or a Redis that forgot our subscription all look
 * like silence otherwise. Counted in ticks, not in time, and each tick leaves the event loop a turn to read: a worker
 * that stood still does not blame Redis for it.
 */
import { failureOf } from "./redis-functions.ts";
import type { RedisConnection } from "./redis-connection.ts";
import type { CommandLink } from "./redis-publisher.ts";

const tickMs = 1000;
/** Silent ticks, all but the first with an unanswered probe before it. */
const silentTicksMax = 3;

/** See the file head. */
export class SubscriberProbe {
  readonly #subscriber: RedisConnection;
  readonly #commands: CommandLink;
  readonly #channel: string;
  #timer: NodeJS.Timeout | null = null;
  #hasHeard = false;
  #silentTicks = 0;

  constructor(subscriber: RedisConnection, commands: CommandLink, channel: string) {
    this.#subscriber = subscriber;
    this.#commands = commands;
    this.#channel = channel;
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.#tick(), tickMs);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Something came on the subscriber connection. */
  heard(): void {
    this.#hasHeard = true;
  }

  async #tick(): Promise<void> {
    const subscriber = this.#subscriber.client;
    const commands = this.#commands.client;
    if (subscriber === null || commands === null || this.#hasHeard) {
      this.#hasHeard = false;
      this.#silentTicks = 0;
      return;
    }
    this.#silentTicks++;
    if (this.#silentTicks >= silentTicksMax) {
      this.#silentTicks = 0;
      this.#subscriber.cut(subscriber, "published messages do not come back");
      return;
    }
    try {
      const receiverCount = await commands.publish(this.#channel, "");
      if (receiverCount === 0) this.#subscriber.cut(subscriber, "Redis does not know our subscriptions");
    } catch (error) {
      if (failureOf(error) === "timeout") this.#commands.giveUp(commands, "Redis does not answer");
    }
  }
}
