/** A WebSocket and timers under the test's hand: nothing happens unless the test says so. */
import type { After, CloseLike, MessageLike, WebSocketLike } from "../../src/client/environment.ts";

type Listeners = Map<string, ((event: never) => void)[]>;

export class FakeSocket implements WebSocketLike {
  readonly url: string;
  readonly sent: string[] = [];
  closedWith: number | null = null;
  readonly #listeners: Listeners = new Map();

  constructor(url: string) {
    this.url = url;
  }

  addEventListener(type: string, listener: (event: never) => void): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  send(text: string): void {
    this.sent.push(text);
  }

  close(code?: number): void {
    this.closedWith = code ?? 1005;
  }

  open(): void {
    this.#emit("open", undefined);
  }

  /** The server says `text`, or a value as JSON. */
  receive(message: unknown): void {
    this.#emit("message", {
      data: typeof message === "string" ? message : JSON.stringify(message),
    } satisfies MessageLike);
  }

  end(code: number, reason = ""): void {
    this.#emit("close", { code, reason } satisfies CloseLike);
  }

  /** The commands sent, parsed. */
  get commands(): { id: number; method: string; params: Record<string, unknown> }[] {
    return this.sent.map(
      (text) => JSON.parse(text) as { id: number; method: string; params: Record<string, unknown> },
    );
  }

  #emit(type: string, event: unknown): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event as never);
  }
}

export class FakeSurroundings {
  readonly sockets: FakeSocket[] = [];
  #nowMs = 0;
  #timers: { dueMs: number; callback: () => void }[] = [];

  readonly webSocket = (url: string): FakeSocket => {
    const socket = new FakeSocket(url);
    this.sockets.push(socket);
    return socket;
  };

  readonly after: After = (delayMs, callback) => {
    const timer = { dueMs: this.#nowMs + delayMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  };

  get timerCount(): number {
    return this.#timers.length;
  }

  get socket(): FakeSocket {
    return this.sockets.at(-1)!;
  }

  /** Lets time pass, running what falls due in order. */
  pass(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const next = this.#timers.filter((timer) => timer.dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#nowMs = next.dueMs;
      next.callback();
    }
    this.#nowMs = endMs;
  }
}
