/**
 * Subscribers on our own handshake and codec, each with all topics of a test, which book what they get.
 * JavaScript clients are dearer than the server: this checks deliveries, it does not measure a server's limits.
 */
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";

import { CliError, exitCode } from "../src/cli/exit-code.ts";
import { WebSocketClient, type WebSocketEnd } from "../src/cli/websocket-client.ts";
import type { DeliveryLedger } from "./delivery-ledger.ts";

/** What a publisher puts into `data`. */
export interface Numbered {
  readonly number: number;
  /** When it was made, by this process's clock. */
  readonly sentMs: number;
}

const subscribeTimeoutMs = 15_000;
/** Connections made at the same time. */
const opensAtOnce = 50;

/** Connects and subscribes all of them. */
export class SubscriberSwarm {
  /** Microseconds from publisher to subscriber. */
  readonly latencyUs: RecordableHistogram = createHistogram();
  /** Connections that ended before they were asked to, for people. */
  readonly lost: string[] = [];
  readonly #ledger: DeliveryLedger;
  readonly #topics: readonly string[];
  readonly #url: string;
  readonly #clients: WebSocketClient[] = [];
  #closing = false;

  /** @param url the server's `http://…` address. */
  constructor(url: string, topics: readonly string[], ledger: DeliveryLedger) {
    this.#url = `${url.replace(/^http/u, "ws").replace(/\/$/u, "")}/ws`;
    this.#topics = topics;
    this.#ledger = ledger;
  }

  /** Resolves when all are subscribed. @throws CliError when one cannot. */
  async open(count: number): Promise<void> {
    for (let first = 0; first < count; first += opensAtOnce) {
      const several = Math.min(opensAtOnce, count - first);
      await Promise.all(Array.from({ length: several }, (_, index) => this.#open(first + index)));
    }
  }

  /** Closes all and resolves when they are gone. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const client of this.#clients) client.close();
    const deadlineMs = performance.now() + 3000;
    while (this.#clients.some(({ state }) => state !== "ended") && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (const client of this.#clients) client.destroy();
  }

  #open(subscriber: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => {
        clearTimeout(timer);
        reject(new CliError(exitCode.unavailable, `subscriber ${subscriber} cannot subscribe: ${why}`));
      };
      const timer = setTimeout(() => fail("no answer"), subscribeTimeoutMs);
      const client = new WebSocketClient(
        { url: this.#url, subprotocols: ["tapecast.v1"] },
        {
          onOpen: () => {
            client.send(JSON.stringify({ id: 1, method: "subscribe", params: { topics: this.#topics } }));
          },
          onMessage: (_isText, payload) => {
            const message: unknown = JSON.parse(Buffer.from(payload).toString());
            if (!isReply(message)) {
              this.#take(subscriber, message);
              return;
            }
            const problem = subscribeProblem(message);
            if (problem !== null) {
              fail(problem);
              return;
            }
            clearTimeout(timer);
            resolve();
          },
          onEnd: (end) => {
            fail(endText(end));
            if (!this.#closing) this.lost.push(`subscriber ${subscriber}: ${endText(end)}`);
          },
        },
      );
      this.#clients.push(client);
    });
  }

  #take(subscriber: number, message: unknown): void {
    if (!isPublication(message)) return;
    const { number, sentMs } = message.data;
    this.latencyUs.record(Math.max(1, Math.round((performance.now() - sentMs) * 1000)));
    this.#ledger.arrive(subscriber, message.topic, number, message.seq);
  }
}

function isReply(message: unknown): message is { id: number } {
  return typeof message === "object" && message !== null && "id" in message;
}

function isPublication(message: unknown): message is { topic: string; seq: number; data: Numbered } {
  return typeof message === "object" && message !== null && "topic" in message && "data" in message;
}

/** Why a subscribe reply is not a full yes, or null. */
function subscribeProblem(reply: object): string | null {
  if ("error" in reply) return JSON.stringify(reply.error);
  const result: unknown = "result" in reply ? reply.result : null;
  const hasErrors = typeof result === "object" && result !== null && "errors" in result;
  return hasErrors ? JSON.stringify(result.errors) : null;
}

function endText({ code, reason, problem }: WebSocketEnd): string {
  return problem ?? `closed with ${code} ${reason}`.trim();
}
