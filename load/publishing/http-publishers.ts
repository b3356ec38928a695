/**
 * autocannon as publisher: each connection posts numbered messages to a topic of its own, one at a time, every other
 * connection as NDJSON batches, and books what the answer says was accepted.
 */
import autocannon, { type Client, type Instance, type Request, type Result } from "autocannon";

import { nowUs } from "../clock.ts";
import { publicationData } from "../swarm/publication-scan.ts";
import type { AcceptedBooks } from "./accepted-books.ts";
import { publishResults, type Publishing, type PublishSummary } from "./publishing.ts";

export interface PublishOptions {
  readonly url: string;
  /** Publish key, or null. */
  readonly key: string | null;
  readonly seconds: number;
  /** One for each connection. */
  readonly topics: readonly string[];
  /** Messages a second, all connections together. */
  readonly ratePerSec: number;
  /** Lines of an NDJSON request. */
  readonly batchLines: number;
  /** Bytes of filling in each message. */
  readonly fillBytes: number;
}

/** Publishes for the given time. */
export class HttpPublishers implements Publishing {
  readonly #options: PublishOptions;
  readonly #books: AcceptedBooks;
  readonly #refused = new Map<string, number>();
  #offered = 0;
  #instance: Instance | null = null;
  #isStopped = false;
  #connectionCount = 0;

  constructor(options: PublishOptions, books: AcceptedBooks) {
    this.#options = options;
    this.#books = books;
  }

  /** Publishes for the given time, or not at all after `stop`. */
  async run(): Promise<PublishSummary> {
    const result = this.#isStopped ? null : await this.#publish();
    return {
      requests: result?.requests.sent ?? 0,
      offered: this.#offered,
      refused: Object.fromEntries(this.#refused),
      requestP50Ms: result?.latency.p50 ?? 0,
      requestP99Ms: result?.latency.p99 ?? 0,
      errors: result?.errors ?? 0,
      timeouts: result?.timeouts ?? 0,
    };
  }

  /** Ends early; `run` resolves with what was done. */
  stop(): void {
    this.#isStopped = true;
    // The types leave out the method that the documentation names.
    const instance = this.#instance;
    if (instance !== null && "stop" in instance && typeof instance.stop === "function") instance.stop();
  }

  #publish(): Promise<Result> {
    const { url, seconds, topics, ratePerSec, batchLines } = this.#options;
    const singles = Math.ceil(topics.length / 2);
    const linesPerRequest = (singles + (topics.length - singles) * batchLines) / topics.length;
    return new Promise((resolve, reject) => {
      this.#instance = autocannon(
        {
          url,
          duration: seconds,
          connections: topics.length,
          // autocannon gives each connection its share at the beginning of each second.
          overallRate: Math.max(topics.length, Math.round(ratePerSec / linesPerRequest)),
          timeout: 10,
          setupClient: (client) => this.#setUp(client),
        },
        (error: unknown, result) => {
          if (error instanceof Error) reject(error);
          else resolve(result);
        },
      );
    });
  }

  #setUp(client: Client): void {
    const index = this.#connectionCount++ % this.#options.topics.length;
    const topic = this.#options.topics[index] ?? "";
    const isBatch = index % 2 === 1;
    const lines = isBatch ? this.#options.batchLines : 1;
    const filling = "x".repeat(this.#options.fillBytes);
    let firstNumber = 1;
    let nextNumber = 1;
    const setupRequest = (request: Request): Request => {
      firstNumber = nextNumber;
      nextNumber += lines;
      this.#offered += lines;
      const sentUs = nowUs();
      const body = Array.from({ length: lines }, (_, line) =>
        JSON.stringify({ topic, data: publicationData(firstNumber + line, sentUs, filling) }),
      );
      return { ...request, body: body.join("\n") };
    };
    const onResponse = (status: number, body: string): void =>
      this.#book(index, firstNumber, lines, status, body);
    const { key } = this.#options;
    client.setRequests([
      {
        method: "POST",
        path: "/api/publish",
        headers: {
          "content-type": isBatch ? "application/x-ndjson" : "application/json",
          ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        },
        setupRequest,
        onResponse,
      },
    ]);
  }

  /** One request at a time on a connection, so an answer belongs to the numbers that were made last. */
  #book(topic: number, firstNumber: number, lines: number, status: number, body: string): void {
    const results = status === 200 ? publishResults(body) : null;
    if (results === null) {
      this.#refuse(`status ${status}`, lines);
      return;
    }
    for (const [line, result] of results.entries()) {
      if (typeof result.seq === "number") this.#books.accept(topic, firstNumber + line, result.seq);
      else this.#refuse(result.error?.code ?? "no seq", 1);
    }
  }

  #refuse(why: string, count: number): void {
    this.#refused.set(why, (this.#refused.get(why) ?? 0) + count);
  }
}
