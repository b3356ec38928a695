/**
 * A client as a careful program is one: subscribes to all topics, remembers where it stands, comes back after a loss
 * with `since`, and asks again where it was refused for the moment. The second kind, on the browser's SDK, is in
 * sdk-client.ts; both tell the same listener.
 */
import { WebSocketClient, type WebSocketEnd } from "../../src/cli/websocket-client.ts";
import { backoffMs } from "../../src/client/backoff.ts";
import { mayReconnect } from "../../src/protocol/close-codes.ts";
import type { Snapshot } from "./reader-book.ts";
import type { Position } from "./topic-book.ts";

/** What publishers put into `data`. */
export interface Payload {
  /** From 1 within its topic. */
  readonly n: number;
  /** When it was made, by this process's clock. */
  readonly t: number;
}

/** Where a client reports to. */
export interface ClientListener {
  /** Where the client stands in a topic, for `since`. */
  position(topic: string): Position | null;
  onSnapshot(topic: string, snapshot: Snapshot): void;
  /** @param seq null where the server knows no positions. */
  onPublication(topic: string, seq: number | null, payload: Payload): void;
  /** The topic's log went on in a new epoch with the publication that follows. */
  onEpoch(topic: string, epoch: string): void;
  /** A message that is no JSON. */
  onUnreadable(): void;
  onOpen(): void;
  /** @param what the close code, or what went wrong. */
  onEnd(what: string): void;
  /** The server said that it must not come back. */
  onStopped(what: string): void;
}

/** What the swarm does with a client, whichever kind it is. */
export interface VerifyClient {
  /** Connects; resolves with the first complete subscription. */
  start(): Promise<void>;
  /** Ends the connection without a word; the client comes back by itself. */
  cut(): void;
  /** Reads nothing for so long. False: this kind of client cannot. */
  freeze(ms: number): boolean;
  close(): void;
}

/** A server that says nothing for its heartbeat and this long is gone. */
const silenceGraceMs = 4000;

/** See the file head. */
export class ResumingClient implements VerifyClient {
  readonly #url: string;
  readonly #topics: readonly string[];
  readonly #listener: ClientListener;
  readonly #started: Promise<void>;
  #resolveStarted: () => void = () => undefined;
  #client: WebSocketClient | null = null;
  #attempt = 0;
  #askedDelayMs: number | null = null;
  #heartbeatMs = 25_000;
  #silence: NodeJS.Timeout | null = null;
  #retry: NodeJS.Timeout | null = null;
  #lastId = 0;
  #isFrozen = false;
  #isClosed = false;

  constructor(url: string, topics: readonly string[], listener: ClientListener) {
    this.#url = url;
    this.#topics = topics;
    this.#listener = listener;
    this.#started = new Promise((resolve) => {
      this.#resolveStarted = resolve;
    });
  }

  async start(): Promise<void> {
    this.#connect();
    await this.#started;
  }

  cut(): void {
    this.#client?.destroy();
  }

  freeze(ms: number): boolean {
    const client = this.#client;
    if (client === null || this.#isFrozen) return false;
    this.#isFrozen = true;
    client.pause();
    setTimeout(() => {
      this.#isFrozen = false;
      client.resume();
    }, ms);
    return true;
  }

  close(): void {
    this.#isClosed = true;
    this.#disarm();
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#client?.close();
  }

  #connect(): void {
    const client = new WebSocketClient(
      { url: this.#url, subprotocols: ["tapecast.v1"] },
      {
        onOpen: () => {
          this.#listener.onOpen();
          this.#attempt = 0;
          this.#heard();
          this.#subscribe(this.#topics);
        },
        onMessage: (_isText, payload) => {
          this.#heard();
          const message = parsed(payload);
          if (message === null) this.#listener.onUnreadable();
          else this.#take(message);
        },
        onPing: () => this.#heard(),
        onEnd: (end) => this.#ended(end),
      },
    );
    this.#client = client;
  }

  #subscribe(topics: readonly string[]): void {
    const since: Record<string, Position> = {};
    for (const topic of topics) {
      const position = this.#listener.position(topic);
      if (position !== null) since[topic] = position;
    }
    this.#lastId++;
    this.#client?.send(JSON.stringify({ id: this.#lastId, method: "subscribe", params: { topics, since } }));
  }

  #take(message: Wire): void {
    if (message.topic !== undefined && message.data !== undefined) {
      if (message.epoch !== undefined) this.#listener.onEpoch(message.topic, message.epoch);
      this.#listener.onPublication(message.topic, message.seq ?? null, message.data);
    } else if (message.event === "welcome") {
      this.#heartbeatMs = message.heartbeatMs ?? this.#heartbeatMs;
    } else if (message.event === "closing") {
      this.#askedDelayMs = message.reconnectAfterMs ?? null;
    } else if (message.id !== undefined) {
      this.#answered(message);
    }
  }

  #answered({ result, error }: Wire): void {
    for (const [topic, state] of Object.entries(result?.topics ?? {})) {
      const { epoch, seq = 0, data, recovered = null, messages = [] } = state;
      this.#listener.onSnapshot(topic, {
        position: epoch === undefined ? null : { epoch, seq },
        number: data?.n ?? null,
        recovered,
        messages: messages.map((each) => ({ seq: each.seq, number: each.data.n })),
      });
    }
    const refused = error === undefined ? Object.keys(result?.errors ?? {}) : this.#topics;
    if (refused.length === 0) {
      this.#resolveStarted();
      return;
    }
    // Unavailable for the moment: the same connection, a little later.
    const client = this.#client;
    this.#retry = setTimeout(
      () => {
        if (client === this.#client) this.#subscribe(refused);
      },
      backoffMs(0, Math.random()),
    );
  }

  #ended(end: WebSocketEnd): void {
    this.#disarm();
    this.#client = null;
    this.#isFrozen = false;
    if (this.#isClosed) return;
    const what = end.problem ?? `${end.code} ${end.reason}`.trim();
    this.#listener.onEnd(what);
    if (end.problem === null && !mayReconnect(end.code)) {
      this.#listener.onStopped(what);
      return;
    }
    const delayMs = this.#askedDelayMs ?? backoffMs(this.#attempt, Math.random());
    this.#askedDelayMs = null;
    this.#attempt++;
    this.#retry = setTimeout(() => this.#connect(), delayMs);
  }

  #heard(): void {
    // Frozen on purpose: then the server is not to blame for the silence.
    this.#silence ??= setTimeout(() => {
      this.#silence = null;
      if (!this.#isFrozen) this.#client?.destroy("the server fell silent");
    }, this.#heartbeatMs + silenceGraceMs);
    this.#silence.refresh();
  }

  #disarm(): void {
    if (this.#silence !== null) clearTimeout(this.#silence);
    this.#silence = null;
  }
}

function parsed(payload: Uint8Array): Wire | null {
  try {
    return JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString()) as Wire;
  } catch {
    return null;
  }
}

/** docs/PROTOCOL.md, as far as it is looked at. */
interface Wire {
  readonly id?: number | null;
  readonly event?: string;
  readonly topic?: string;
  readonly seq?: number;
  readonly epoch?: string;
  readonly data?: Payload;
  readonly heartbeatMs?: number;
  readonly reconnectAfterMs?: number | null;
  readonly error?: object;
  readonly result?: {
    readonly topics?: Readonly<Record<string, WireState>>;
    readonly errors?: Readonly<Record<string, unknown>>;
  };
}

interface WireState {
  readonly epoch?: string;
  readonly seq?: number;
  readonly data?: Payload;
  readonly recovered?: boolean;
  readonly messages?: readonly { readonly seq: number; readonly data: Payload }[];
}
