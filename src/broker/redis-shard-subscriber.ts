/**
 * The sharded channels of one master: what is wanted, what the connection has, and the SSUBSCRIBE that bring the two
 * together, once per turn of the event loop. ioredis connects, authenticates and ends the connection; after that its
 * socket is read and written here, since ioredis takes the `sunsubscribe` with which Redis takes a channel away (its
 * slot has moved) for the answer to the oldest command.
 */
import type { Redis, RedisOptions } from "ioredis";
import type { Log } from "../base/log.ts";
import { commandTimeoutMs } from "./redis-address.ts";
import { RedisConnection } from "./redis-connection.ts";
import { type RespSink, RespReader, type RespValue } from "./resp-reader.ts";

/** Channels of one command: a few thousand at once would hold up what stands behind them. */
const channelsPerCommand = 500;
/** After a refusal that may pass (a slot on its way, a cluster that is down), and after a channel was taken away. */
const retryDelayMs = 50;

/** What the subscriber tells. */
export interface ShardListener {
  onUp(): void;
  onDown(): void;
  /** Both are borrowed until return. */
  onMessage(channel: Buffer, message: Buffer): void;
  /** The channel's messages come from now on; again after each reconnect. */
  onSubscribed(channel: string): void;
  /** They come no more: the slot has moved. It is subscribed again, here, unless it is given up. */
  onTakenAway(channel: string): void;
  /** SSUBSCRIBE was refused, for people and for redirections. It is repeated unless the channel is given up. */
  onRefused(message: string): void;
}

interface Sent {
  readonly isSubscribe: boolean;
  /** Those whose answer has not come. */
  readonly channels: Set<string>;
  readonly sentMs: number;
}

/** See the file head. */
export class ShardSubscriber implements RespSink {
  readonly #listener: ShardListener;
  readonly #connection: RedisConnection;
  /** Slot of each wanted channel: the channels of one command have one slot. */
  readonly #wanted = new Map<string, number>();
  readonly #changed = new Set<string>();
  /** By channel, the SSUBSCRIBE that was sent last on the present connection. */
  readonly #wire = new Map<string, Sent>();
  /** Sent and not answered in full. Redis answers in order. */
  #sent: Sent[] = [];
  #isScheduled = false;
  #retryTimer: NodeJS.Timeout | null = null;

  constructor(clientOptions: RedisOptions, listener: ShardListener, log: Log) {
    this.#listener = listener;
    const owner = {
      isClusterNode: true,
      prepare: async () => {},
      onUp: (client: Redis) => this.#up(client),
      onDown: () => this.#down(),
    };
    this.#connection = new RedisConnection(clientOptions, "subscriber", owner, log);
  }

  get client(): Redis | null {
    return this.#connection.client;
  }

  get reason(): string | null {
    return this.#connection.reason;
  }

  async start(): Promise<void> {
    await this.#connection.start();
  }

  stop(): void {
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.#wanted.clear();
    this.#connection.stop();
  }

  cut(client: Redis, reason: string): void {
    this.#connection.cut(client, reason);
  }

  want(channel: string, slot: number): void {
    this.#wanted.set(channel, slot);
    this.#change(channel);
  }

  giveUp(channel: string): void {
    this.#wanted.delete(channel);
    this.#change(channel);
  }

  isSubscribed(channel: string): boolean {
    const sent = this.#wire.get(channel);
    return sent !== undefined && !sent.channels.has(channel);
  }

  /** Ends a connection that has left a command without an answer. To be called now and then. */
  checkAnswers(): void {
    const oldest = this.#sent[0];
    const client = this.client;
    if (client === null || oldest === undefined) return;
    if (performance.now() - oldest.sentMs > commandTimeoutMs) this.cut(client, "Redis does not answer");
  }

  onArray(values: readonly RespValue[]): void {
    const [kind, channel, message] = values;
    if (!Buffer.isBuffer(kind) || !Buffer.isBuffer(channel)) return;
    // smessage, ssubscribe, sunsubscribe: the second byte tells them apart.
    const letter = kind[1];
    if (letter === 0x6d && Buffer.isBuffer(message)) this.#listener.onMessage(channel, message);
    else if (letter === 0x73) this.#subscribed(channel.toString());
    else if (letter === 0x75) this.#unsubscribed(channel.toString());
  }

  onError(message: string): void {
    const refused = this.#sent.shift();
    if (refused === undefined) return;
    for (const channel of refused.channels) {
      if (this.#wire.get(channel) !== refused) continue;
      this.#wire.delete(channel);
      this.#changed.add(channel);
    }
    this.#listener.onRefused(message);
    this.#retryLater();
  }

  onBroken(problem: string): void {
    const { client } = this;
    if (client !== null) this.cut(client, `Redis sent what no Redis sends: ${problem}`);
  }

  #up(client: Redis): void {
    const { stream } = client;
    const reader = new RespReader(this);
    stream.removeAllListeners("data");
    // The last thing that runs on the socket's own turn: a subscriber that reads slowly is cut off by Redis.
    stream.on("data", (chunk: Buffer) => {
      if (client === this.client) reader.push(chunk);
    });
    for (const channel of this.#wanted.keys()) this.#changed.add(channel);
    this.#schedule();
    this.#listener.onUp();
  }

  #down(): void {
    this.#wire.clear();
    this.#sent = [];
    this.#listener.onDown();
  }

  #subscribed(channel: string): void {
    const sent = this.#answered(true, channel);
    if (sent !== null && this.#wire.get(channel) === sent) this.#listener.onSubscribed(channel);
  }

  #unsubscribed(channel: string): void {
    if (this.#answered(false, channel) !== null) return;
    if (!this.#wire.delete(channel) || !this.#wanted.has(channel)) return;
    this.#changed.add(channel);
    this.#retryLater();
    this.#listener.onTakenAway(channel);
  }

  /** @returns the command that this answers; null when Redis spoke of itself. */
  #answered(isSubscribe: boolean, channel: string): Sent | null {
    const [oldest] = this.#sent;
    if (oldest === undefined || oldest.isSubscribe !== isSubscribe || !oldest.channels.delete(channel))
      return null;
    if (oldest.channels.size === 0) this.#sent.shift();
    return oldest;
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

  #retryLater(): void {
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = null;
      this.#schedule();
    }, retryDelayMs);
  }

  #reconcile(): void {
    const { client } = this;
    if (client === null) return;
    const subscribe = new Map<number, string[]>();
    const unsubscribe: string[] = [];
    const confirmed: string[] = [];
    for (const channel of this.#changed) {
      const slot = this.#wanted.get(channel);
      const sent = this.#wire.get(channel);
      if (slot === undefined) {
        if (this.#wire.delete(channel)) unsubscribe.push(channel);
      } else if (sent === undefined) {
        const channels = subscribe.get(slot);
        if (channels === undefined) subscribe.set(slot, [channel]);
        else channels.push(channel);
      } else if (!sent.channels.has(channel)) {
        confirmed.push(channel);
      }
    }
    this.#changed.clear();
    // One at a time: SUNSUBSCRIBE of a channel whose slot has moved is refused with the whole command.
    for (const channel of unsubscribe) this.#send(client, false, [channel]);
    for (const channels of subscribe.values()) {
      for (let start = 0; start < channels.length; start += channelsPerCommand) {
        this.#send(client, true, channels.slice(start, start + channelsPerCommand));
      }
    }
    for (const channel of confirmed) this.#listener.onSubscribed(channel);
  }

  #send(client: Redis, isSubscribe: boolean, channels: readonly string[]): void {
    const sent: Sent = { isSubscribe, channels: new Set(channels), sentMs: performance.now() };
    this.#sent.push(sent);
    if (isSubscribe) for (const channel of channels) this.#wire.set(channel, sent);
    client.stream.write(command(isSubscribe ? "SSUBSCRIBE" : "SUNSUBSCRIBE", channels));
  }
}

/** A command in RESP: an array of bulk strings. */
function command(name: string, args: readonly string[]): string {
  let text = `*${args.length + 1}\r\n$${name.length}\r\n${name}\r\n`;
  for (const each of args) text += `$${Buffer.byteLength(each)}\r\n${each}\r\n`;
  return text;
}
