/**
 * What the two halves of the memory broker say to each other: plain objects and Uint8Arrays, many at once as arrays.
 * The transport between them (the cluster's IPC, wrapped by the composition root) is a `BusPort`.
 */
import type { BrokerTopic, Position } from "./broker.ts";
import type { LogPart, LogRead } from "./log-read.ts";

/** A two-way, ordered, reliable connection between a worker and the primary. */
export interface BusPort {
  /** @param message structured-cloneable. Must not call the listener before it returns. */
  send(message: unknown): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Called once, when the other side is gone: nothing sent from now on arrives. */
  onClose(listener: () => void): void;
}

/** Worker to primary. `id` is the worker's own count; the answer carries it back. */
export type WorkerBusMessage =
  | { readonly kind: "open"; readonly id: number; readonly topic: string }
  | { readonly kind: "close"; readonly topic: string }
  | {
      readonly kind: "publish";
      readonly id: number;
      readonly topic: BrokerTopic;
      readonly data: Uint8Array;
      readonly idempotencyKey: string | null;
      readonly origin: string | null;
    }
  | ({ readonly kind: "read"; readonly id: number; readonly topic: BrokerTopic } & LogPart);

/** Primary to worker. */
export type PrimaryBusMessage =
  | {
      readonly kind: "publication";
      readonly topic: string;
      /** null for a live-only topic, whose `seq` is 0. */
      readonly epoch: string | null;
      readonly seq: number;
      readonly data: Uint8Array;
      readonly origin: string | null;
    }
  /** From now on the topic's publications follow. */
  | { readonly kind: "opened"; readonly id: number; readonly topic: string }
  | { readonly kind: "published"; readonly id: number; readonly position: Position | null }
  | { readonly kind: "page"; readonly id: number; readonly read: LogRead };

/**
 * Whether something that came over a port is a batch of messages. Only the other half sends on it, so this looks at
 * the form alone.
 */
export function isBatch<Message extends WorkerBusMessage | PrimaryBusMessage>(
  message: unknown,
): message is Message[] {
  return Array.isArray(message);
}

/**
 * Gathers what is to be sent until the end of the event loop's turn: one IPC message costs more than its content. A page
 * goes alone: it may be a megabyte, and what comes out at the other end are views of the whole message.
 */
export class BusOutbox<Message extends WorkerBusMessage | PrimaryBusMessage> {
  readonly #port: BusPort;
  #messages: Message[] = [];
  #isClosed = false;

  constructor(port: BusPort) {
    this.#port = port;
  }

  push(message: Message): void {
    if (this.#isClosed) return;
    if (message.kind === "page") {
      this.#flush();
      this.#port.send([message]);
    } else if (this.#messages.push(message) === 1) setImmediate(() => this.#flush());
  }

  /** The other side is gone: what is gathered is dropped. */
  close(): void {
    this.#isClosed = true;
    this.#messages = [];
  }

  #flush(): void {
    const messages = this.#messages;
    if (messages.length === 0) return;
    this.#messages = [];
    this.#port.send(messages);
  }
}
