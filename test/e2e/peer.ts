/** A WebSocket client for tests: what came is kept in order until it is asked for. */
import {
  WebSocketClient,
  type WebSocketClientOptions,
  type WebSocketEnd,
} from "../../src/cli/websocket-client.ts";
import { within } from "./until.ts";

const nextMsDefault = 10_000;

/** A JSON value of the server's, as far as tests look at it (docs/PROTOCOL.md). */
export interface WireMessage {
  readonly id?: number | string | null;
  readonly event?: string;
  readonly topic?: string;
  readonly seq?: number;
  readonly data?: unknown;
  readonly reason?: string;
  readonly reconnectAfterMs?: number;
  readonly topics?: Readonly<Record<string, TopicState>>;
  readonly result?: {
    readonly topic?: string;
    readonly topics?: Readonly<Record<string, TopicState>>;
    readonly errors?: Readonly<Record<string, WireError>>;
    readonly epoch?: string;
    readonly seq?: number;
    readonly messages?: readonly { readonly seq: number; readonly data: unknown }[];
  };
  readonly error?: WireError;
}

/** What a subscribe reply says of a topic. */
export interface TopicState {
  readonly epoch?: string;
  readonly seq?: number;
  readonly data?: unknown;
  readonly recovered?: boolean;
  readonly messages?: readonly { readonly seq: number; readonly data: unknown }[];
  readonly intervalMs?: number;
}

export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly temporary?: boolean;
}

/** A message that came. */
interface Received {
  readonly isText: boolean;
  readonly payload: Buffer;
}

export class Peer {
  readonly client: WebSocketClient;
  /** Resolves with the end; never rejects. */
  readonly ended: Promise<WebSocketEnd>;
  pings = 0;
  #received: Received[] = [];
  #take: ((received: Received) => void) | null = null;
  #lastId = 0;
  readonly #opened: Promise<void>;

  constructor(options: WebSocketClientOptions) {
    const [ended, resolveEnd] = deferred<WebSocketEnd>();
    const [opened, resolveOpen] = deferred<void>();
    this.ended = ended;
    this.client = new WebSocketClient(options, {
      onOpen: resolveOpen,
      onMessage: (isText, payload) => this.#receive({ isText, payload: Buffer.from(payload) }),
      onPing: () => (this.pings += 1),
      onEnd: resolveEnd,
    });
    this.#opened = Promise.race([
      opened,
      this.ended.then((end) => Promise.reject(new Error(`not opened: ${JSON.stringify(end)}`))),
    ]);
    this.#opened.catch(() => undefined);
  }

  /** Connects. @throws Error when the handshake is refused. */
  static async open(url: string, options: Omit<WebSocketClientOptions, "url"> = {}): Promise<Peer> {
    const peer = new Peer({ ...options, url });
    await within(`the handshake with ${url}`, nextMsDefault, peer.#opened);
    return peer;
  }

  /** Connects to `/ws` and takes the welcome. */
  static async native(server: string, query = ""): Promise<Peer> {
    const peer = await Peer.open(`${server}/ws${query}`);
    const welcome = await peer.json();
    if (welcome.event !== "welcome") throw new Error(`no welcome: ${JSON.stringify(welcome)}`);
    return peer;
  }

  /** Messages that came and were not asked for yet. */
  get waitingCount(): number {
    return this.#received.length;
  }

  /** The next message. */
  async next(withinMs = nextMsDefault): Promise<Received> {
    const received = this.#received.shift();
    if (received !== undefined) return received;
    const coming = new Promise<Received>((resolve) => (this.#take = resolve));
    const noMore = this.ended.then((end) => Promise.reject(new Error(`ended: ${JSON.stringify(end)}`)));
    return within("a message", withinMs, Promise.race([coming, noMore]));
  }

  /** The next message's text. */
  async text(withinMs?: number): Promise<string> {
    const { isText, payload } = await this.next(withinMs);
    if (!isText) throw new Error("a binary message came");
    return payload.toString("utf8");
  }

  /** The next message as JSON. */
  async json(withinMs?: number): Promise<WireMessage> {
    return JSON.parse(await this.text(withinMs));
  }

  /** Sends a command and gives the reply to it. What came before the reply is thrown away. */
  async command(method: string, params?: object): Promise<WireMessage> {
    const id = this.send(method, params);
    for (;;) {
      const message = await this.json();
      if (message.id === id) return message;
    }
  }

  /** Sends a command. @returns its id. */
  send(method: string, params?: object): number {
    this.#lastId += 1;
    this.client.send(
      JSON.stringify({ id: this.#lastId, method, ...(params === undefined ? {} : { params }) }),
    );
    return this.#lastId;
  }

  /** Subscribes and gives the state of the one topic. @throws Error when it is refused. */
  async subscribe(topic: string, params: object = {}): Promise<TopicState> {
    const reply = await this.command("subscribe", { topics: [topic], ...params });
    const state = reply.result?.topics?.[topic];
    if (state === undefined) throw new Error(`refused: ${JSON.stringify(reply)}`);
    return state;
  }

  /** Closes from here, and waits for the end. */
  async close(code = 1000): Promise<WebSocketEnd> {
    this.client.close(code);
    return within("the end of the close handshake", nextMsDefault, this.ended);
  }

  #receive(received: Received): void {
    const take = this.#take;
    this.#take = null;
    if (take === null) this.#received.push(received);
    else take(received);
  }
}

/** Promise.withResolvers, which came with Node 22. */
function deferred<Value>(): [promise: Promise<Value>, resolve: (value: Value) => void] {
  let resolve: ((value: Value) => void) | null = null;
  const promise = new Promise<Value>((settle) => (resolve = settle));
  if (resolve === null) throw new Error("a promise runs its function at once");
  return [promise, resolve];
}
