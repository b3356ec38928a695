/**
 * Proves that messages reach the subscriber connection, and measures how long they take: each second a message with
 * the time is published to a channel of our own. It waits in the same queues as any other, in Redis and in our socket.
 * A peer that is gone, a half-open connection or a Redis that forgot our subscription all look
 * like silence otherwise. Counted in ticks, not in time, and each tick leaves the event loop a turn to read: a worker
 * that stood still does not blame Redis for it.
 */
import { failureOf } from "./redis-functions.ts";
import type { Redis } from "ioredis";
import type { CommandLink } from "./redis-publisher.ts";

const tickMs = 1000;
/** Silent ticks, all but the first with an unanswered probe before it. */
const silentTicksMax = 3;

/** The connection that is probed. */
interface ProbedConnection {
  /** Up, or null. */
  readonly client: Redis | null;
  cut(client: Redis, reason: string): void;
}

/** The way of a probe. */
interface ProbeRoute {
  /** A channel that the connection has subscribed; null while it has none. */
  channel(): string | null;
  /** @returns how many subscribers Redis gave it to. */
  publish(client: Redis, channel: string, message: string): Promise<number>;
}

/** See the file head. */
export class SubscriberProbe {
  readonly #subscriber: ProbedConnection;
  readonly #commands: CommandLink;
  readonly #route: ProbeRoute;
  #timer: NodeJS.Timeout | null = null;
  #hasHeard = false;
  #silentTicks = 0;
  /** When the oldest probe that is under way was sent; null when none is. */
  #sentMs: number | null = null;
  #lagMs: number | null = null;

  constructor(subscriber: ProbedConnection, commands: CommandLink, route: ProbeRoute) {
    this.#subscriber = subscriber;
    this.#commands = commands;
    this.#route = route;
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.#tick(), tickMs);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** How long the last probe took, or has taken so far; null when no connection can be measured. */
  get lagMs(): number | null {
    if (this.#sentMs === null) return this.#lagMs;
    return Math.max(this.#lagMs ?? 0, performance.now() - this.#sentMs);
  }

  /** A message came on the channel of the probe. */
  came(channel: string, message: Buffer): void {
    const sentMs = Number(message.toString("latin1"));
    if (channel !== this.#route.channel() || !Number.isFinite(sentMs)) return;
    this.#lagMs = Math.max(0, performance.now() - sentMs);
    this.#sentMs = null;
  }

  /** Something came on the subscriber connection. */
  heard(): void {
    this.#hasHeard = true;
  }

  async #tick(): Promise<void> {
    const subscriber = this.#subscriber.client;
    const commands = this.#commands.client;
    const isSilent = !this.#hasHeard;
    this.#hasHeard = false;
    const channel = this.#route.channel();
    if (subscriber === null || commands === null || channel === null) {
      this.#silentTicks = 0;
      this.#sentMs = null;
      this.#lagMs = null;
      return;
    }
    this.#silentTicks = isSilent ? this.#silentTicks + 1 : 0;
    if (this.#silentTicks >= silentTicksMax) {
      this.#silentTicks = 0;
      this.#sentMs = null;
      this.#subscriber.cut(subscriber, "published messages do not come back");
      return;
    }
    const nowMs = performance.now();
    this.#sentMs ??= nowMs;
    try {
      const receiverCount = await this.#route.publish(commands, channel, String(nowMs));
      if (receiverCount === 0) this.#subscriber.cut(subscriber, "Redis does not know our subscriptions");
    } catch (error) {
      this.#sentMs = null;
      if (isSilent && failureOf(error) === "timeout")
        this.#commands.giveUp(commands, "Redis does not answer");
    }
  }
}
