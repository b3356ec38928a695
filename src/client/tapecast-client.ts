/**
 * The browser SDK: topics in, publications out, over one WebSocket that comes back by itself (docs/PROTOCOL.md).
 * After a loss every topic resumes from its last position, and what was missed is merged in. Runs wherever there is
 * a WebSocket; `environment.ts` says what it needs.
 *
 *     const client = new TapecastClient("ws://127.0.0.1:8080/ws");
 *     client.subscribe(["quote.AAPL"], { onPublication: ({ topic, text }) => console.log(topic, text) });
 */
import type { ClientMessage, WirePosition } from "../protocol/messages.ts";
import { backoffMs } from "./backoff.ts";
import { ClientError } from "./client-error.ts";
import { systemAfter, systemOnline, systemWebSocket } from "./environment.ts";
import type { After, Online, WebSocketFactory } from "./environment.ts";
import { Link } from "./link.ts";
import type { LinkStatus } from "./link.ts";
import {
  readPositionResult,
  readServerMessage,
  readSubscribeResult,
  splitMessage,
} from "./server-message.ts";
import type { ServerMessage, StoredMessage } from "./server-message.ts";
import { WantedTopics } from "./wanted-topics.ts";
import type { SubscribeOptions } from "./wanted-topics.ts";

/**
 * Topics in one subscribe command. A name has at most 255 bytes and stands there twice with its position, so that a
 * command of 100 stays below the server's default message limit of 64 KiB.
 */
const topicsPerCommandMax = 100;

export interface TapecastClientOptions {
  /** Default: the platform's own WebSocket. */
  readonly webSocket?: WebSocketFactory;
  /** Sent as `?token=`, since a browser cannot set a header. */
  readonly token?: string;
  /** Default rate of the connection's `latest` topics, milliseconds. */
  readonly intervalMs?: number;
  /** Ask for the publications of one flush as one message. */
  readonly batch?: boolean;
  readonly onStatus?: (status: LinkStatus) => void;
  /** Timers; default: the platform's. */
  readonly timers?: After;
  /** Who says that the network is back; default: the browser's `online` event. */
  readonly online?: Online;
  /** A source of numbers in [0, 1) for jitter; default: Math.random. */
  readonly die?: () => number;
}

/** Where a publish was stored; both null on a topic without history. */
export interface Published {
  readonly epoch: string | null;
  readonly seq: number | null;
}

/** A part of a topic's history, oldest first, and where the log stood. */
export interface HistoryResult extends Published {
  readonly messages: readonly StoredMessage[];
}

interface Waiting {
  readonly onResult: (text: string) => void;
  readonly onError: (error: ClientError) => void;
}

export class TapecastClient {
  readonly #url: string;
  readonly #options: TapecastClientOptions;
  readonly #after: After;
  readonly #die: () => number;
  readonly #link: Link;
  readonly #wanted = new WantedTopics();
  readonly #waiting = new Map<number, Waiting>();
  #token: string | undefined;
  #nextId = 1;
  #connection: string | null = null;
  #refusedInARow = 0;
  /** Topics refused for the moment, and the end of the wait for their next try. */
  readonly #refused = new Set<string>();
  #cancelRetry: (() => void) | null = null;

  /**
   * Connects at once.
   * @param url of the native endpoint, `ws://host/ws` or `wss://host/ws`.
   */
  constructor(url: string, options: TapecastClientOptions = {}) {
    this.#url = url;
    this.#options = options;
    this.#token = options.token;
    this.#after = options.timers ?? systemAfter;
    this.#die = options.die ?? Math.random;
    const environment = {
      webSocket: options.webSocket ?? systemWebSocket,
      after: this.#after,
      die: this.#die,
    };
    this.#link = new Link(environment, () => this.#address(), {
      onOpen: () => this.#send(this.#wanted.names),
      onText: (text) => this.#received(text),
      onDown: () => this.#down(),
      onQuiet: () => this.#request({ method: "ping" }, { onResult: ignore, onError: ignore }),
      onStatus: (status) => options.onStatus?.(status),
    });
    (options.online ?? systemOnline)(() => this.#link.hurry());
    this.#link.connect();
  }

  /** The server's name for the present connection, null while there is none. */
  get connection(): string | null {
    return this.#connection;
  }

  /**
   * Wants the topics, now and after every reconnect. Subscribing again to a topic replaces its options.
   * Never throws: what the server refuses goes to `onError`.
   */
  subscribe(topics: readonly string[], options: SubscribeOptions): void {
    for (const topic of topics) this.#wanted.want(topic, options);
    this.#send(topics);
  }

  /** Wants the topics no longer. No call for them follows. */
  unsubscribe(topics: readonly string[]): void {
    const known = topics.filter((topic) => this.#wanted.forget(topic));
    for (const topic of known) this.#refused.delete(topic);
    if (known.length > 0)
      this.#request(
        { method: "unsubscribe", params: { topics: known } },
        { onResult: ignore, onError: ignore },
      );
  }

  /** Publishes `data` as JSON. @throws ClientError as a rejection; `disconnected` when there is no connection. */
  async publish(topic: string, data: unknown): Promise<Published> {
    const { epoch, seq } = readPositionResult(
      await this.#ask({ method: "publish", params: { topic, data } }),
    );
    return { epoch, seq };
  }

  /** Reads a topic's history: after `since`, or the newest `limit`. @throws ClientError as a rejection. */
  async history(
    topic: string,
    range: { readonly since?: WirePosition; readonly limit?: number } = {},
  ): Promise<HistoryResult> {
    return readPositionResult(await this.#ask({ method: "history", params: { topic, ...range } }));
  }

  /** Uses a fresh token for this connection and the next ones. */
  async token(token: string): Promise<void> {
    this.#token = token;
    if (this.#link.isOpen) await this.#ask({ method: "token", params: { token } });
  }

  /** Drops the connection, if there is one, and makes a new one after `delayMs`; every topic resumes. */
  reconnect(delayMs = 0): void {
    this.#link.reconnect(delayMs);
  }

  /** Ends the connection for good. */
  close(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    this.#link.close();
  }

  #address(): string {
    const url = new URL(this.#url);
    const { intervalMs, batch } = this.#options;
    if (intervalMs !== undefined) url.searchParams.set("interval", String(intervalMs));
    if (batch === true) url.searchParams.set("batch", "1");
    if (this.#token !== undefined) url.searchParams.set("token", this.#token);
    return url.href;
  }

  #received(text: string): void {
    const parts = this.#options.batch === true ? splitMessage(text) : [text];
    for (const part of parts) this.#message(readServerMessage(part));
  }

  #message(message: ServerMessage): void {
    switch (message.kind) {
      case "publication":
        this.#wanted.publication(message);
        return;
      case "result":
        this.#takeWaiting(message.id)?.onResult(message.text);
        return;
      case "error":
        if (message.id !== null) this.#takeWaiting(message.id)?.onError(message.error);
        return;
      case "welcome":
        this.#connection = message.connection;
        this.#link.welcomed(message.heartbeatMs);
        return;
      case "lost": {
        const { topic, count, reason } = message;
        this.#wanted.options(topic)?.onLost?.({ topic, count, reason });
        return;
      }
      case "unsubscribed": {
        const error = new ClientError("forbidden", "the new token does not allow this", false);
        for (const topic of message.topics) this.#refuse(topic, error);
        return;
      }
      case "closing":
        if (message.reconnectAfterMs !== null) this.#link.comeBackAfter(message.reconnectAfterMs);
        return;
      case "unknown":
    }
  }

  #takeWaiting(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  /** Sends subscribe commands for `topics`, one per rate and hundred. Without a connection `onOpen` will do it. */
  #send(topics: readonly string[]): void {
    if (!this.#link.isOpen) return;
    const byInterval = new Map<number | undefined, string[]>();
    for (const topic of topics) {
      const intervalMs = this.#wanted.options(topic)?.intervalMs;
      const group = byInterval.get(intervalMs);
      if (group === undefined) byInterval.set(intervalMs, [topic]);
      else group.push(topic);
    }
    for (const [intervalMs, group] of byInterval) {
      for (let start = 0; start < group.length; start += topicsPerCommandMax) {
        this.#subscribe(group.slice(start, start + topicsPerCommandMax), intervalMs);
      }
    }
  }

  #subscribe(topics: readonly string[], intervalMs: number | undefined): void {
    const positions = topics.flatMap((topic) => {
      const position = this.#wanted.position(topic);
      return position === null ? [] : [[topic, position] as const];
    });
    const params = {
      topics,
      ...(intervalMs === undefined ? {} : { intervalMs }),
      // fromEntries defines members, so that a topic named `__proto__` is a member like any other.
      ...(positions.length === 0 ? {} : { since: Object.fromEntries(positions) }),
    };
    this.#request(
      { method: "subscribe", params },
      {
        onResult: (text) => {
          const { topics: states, errors } = readSubscribeResult(text);
          for (const [topic, state] of states) this.#wanted.answered(topic, state);
          if (errors.size === 0) this.#refusedInARow = 0;
          for (const [topic, error] of errors) this.#refuse(topic, error);
        },
        onError: (error) => {
          // A lost connection refuses nothing: every topic is asked for again on the next one.
          if (error.code !== "disconnected") for (const topic of topics) this.#refuse(topic, error);
        },
      },
    );
  }

  #refuse(topic: string, error: ClientError): void {
    const options = this.#wanted.options(topic);
    if (options === undefined) return;
    if (error.temporary) {
      this.#refused.add(topic);
      this.#retryLater();
    } else {
      this.#wanted.forget(topic);
    }
    options.onError?.(topic, error);
  }

  #retryLater(): void {
    if (this.#cancelRetry !== null) return;
    const delayMs = backoffMs(this.#refusedInARow, this.#die());
    this.#refusedInARow += 1;
    this.#cancelRetry = this.#after(delayMs, () => {
      this.#cancelRetry = null;
      const topics = [...this.#refused];
      this.#refused.clear();
      this.#send(topics);
    });
  }

  #down(): void {
    this.#connection = null;
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    this.#refused.clear();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const each of waiting)
      each.onError(new ClientError("disconnected", "the connection was lost", true));
  }

  async #ask(command: ClientMessage): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#request(command, { onResult: resolve, onError: reject });
    });
  }

  #request(command: ClientMessage, waiting: Waiting): void {
    const id = this.#nextId;
    this.#nextId += 1;
    this.#waiting.set(id, waiting);
    if (this.#link.send(JSON.stringify({ id, ...command }))) return;
    this.#waiting.delete(id);
    waiting.onError(new ClientError("disconnected", "there is no connection", true));
  }
}

function ignore(): void {}
