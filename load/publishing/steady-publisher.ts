/**
 * Publishes numbered messages over HTTP at a steady rate, or one that changes by the second. Topics are shared out among
 * a few connections; each has one request in flight, so the numbers of a topic are stored in their order.
 */
import { HttpPoster } from "../../src/cli/http-post.ts";
import { nowUs } from "../clock.ts";
import { Latency } from "../swarm/latency.ts";
import { publicationData } from "../swarm/publication-scan.ts";
import type { SwarmTopic } from "../swarm/swarm-plan.ts";
import type { AcceptedBooks } from "./accepted-books.ts";
import { publishResults, type Publishing, type PublishSummary } from "./publishing.ts";

export interface SteadyOptions {
  readonly url: string;
  /** Publish key, or null. */
  readonly key: string | null;
  readonly topics: readonly SwarmTopic[];
  readonly seconds: number;
  /** Messages a second of all topics together, by the seconds since the start. */
  readonly ratePerSec: (second: number) => number;
  readonly fillBytes: number;
  /** How much of the rate a topic takes, by its index; all the same by default. */
  readonly weightOf?: (topic: number) => number;
}

const connectionsMax = 4;
/** Between two requests of a connection at the least: rates above 100 a second go in batches. */
const tickMs = 10;
/** POST /api/publish takes so many lines. */
const linesMax = 1000;
const timeoutMs = 10_000;

export class SteadyPublisher implements Publishing {
  readonly #options: SteadyOptions;
  readonly #books: AcceptedBooks;
  readonly #numbers: number[];
  readonly #filling: string;
  readonly #answers = new Latency();
  readonly #refused = new Map<string, number>();
  #requests = 0;
  #offered = 0;
  #errors = 0;
  #isStopped = false;

  constructor(options: SteadyOptions, books: AcceptedBooks) {
    this.#options = options;
    this.#books = books;
    this.#numbers = options.topics.map(() => 0);
    this.#filling = "x".repeat(options.fillBytes);
  }

  async run(): Promise<PublishSummary> {
    const connections = Math.min(connectionsMax, this.#options.topics.length);
    await Promise.all(Array.from({ length: connections }, (_, lane) => this.#publish(lane, connections)));
    const { p50, p99 } = this.#answers.summary();
    return {
      requests: this.#requests,
      offered: this.#offered,
      refused: Object.fromEntries(this.#refused),
      requestP50Ms: p50,
      requestP99Ms: p99,
      errors: this.#errors,
      timeouts: 0,
    };
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #publish(lane: number, lanes: number): Promise<void> {
    const { url, seconds, ratePerSec } = this.#options;
    const schedule = new TopicSchedule(this.#options.topics.length, lane, lanes, this.#options.weightOf);
    const poster = new HttpPoster(new URL("/api/publish", url));
    const startMs = performance.now();
    const endMs = startMs + seconds * 1000;
    let lastMs = startMs;
    try {
      while (!this.#isStopped) {
        const untilMs = Math.min(performance.now(), endMs);
        const rate = ratePerSec((lastMs - startMs) / 1000);
        const chosen = schedule.take((rate * (untilMs - lastMs)) / 1000);
        lastMs = untilMs;
        if (chosen.length > 0) await this.#post(poster, chosen);
        else if (untilMs === endMs) return;
        await new Promise((resolve) => setTimeout(resolve, tickMs));
      }
    } finally {
      poster.close();
    }
  }

  async #post(poster: HttpPoster, chosen: readonly number[]): Promise<void> {
    const sentUs = nowUs();
    const lines = chosen.map((topic) => {
      const number = (this.#numbers[topic] ?? 0) + 1;
      this.#numbers[topic] = number;
      const data = publicationData(number, sentUs, this.#filling);
      return { topic, number, text: JSON.stringify({ topic: this.#options.topics[topic]?.name, data }) };
    });
    this.#requests++;
    this.#offered += lines.length;
    const { key } = this.#options;
    const headers = {
      "content-type": "application/x-ndjson",
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
    };
    const body = Buffer.from(lines.map(({ text }) => text).join("\n"));
    const answer = await poster.post(headers, body, timeoutMs).catch(() => null);
    if (answer === null) {
      // Nobody knows what became of these: they may arrive, and need not.
      this.#errors++;
      return;
    }
    this.#answers.record(nowUs() - sentUs);
    const results = answer.status === 200 ? publishResults(answer.body) : null;
    if (results === null) {
      this.#refuse(`status ${answer.status}`, lines.length);
      return;
    }
    for (const [index, { topic, number }] of lines.entries()) {
      const result = results[index];
      if (typeof result?.seq === "number") this.#books.accept(topic, number, result.seq);
      else this.#refuse(result?.error?.code ?? "no seq", 1);
    }
  }

  #refuse(why: string, count: number): void {
    this.#refused.set(why, (this.#refused.get(why) ?? 0) + count);
  }
}

/** Whose turn it is, of the topics of one connection. */
class TopicSchedule {
  readonly #topics: readonly number[];
  /** By place in `#topics`: its part of the whole rate, and how much of a message is due. */
  readonly #parts: readonly number[];
  readonly #due: number[];

  constructor(topicCount: number, lane: number, lanes: number, weightOf = (_topic: number): number => 1) {
    const all = Array.from({ length: topicCount }, (_, topic) => topic);
    const total = all.reduce((sum, topic) => sum + weightOf(topic), 0);
    this.#topics = all.filter((topic) => topic % lanes === lane);
    this.#parts = this.#topics.map((topic) => weightOf(topic) / total);
    // Spread, or all topics would be due at the same moment.
    this.#due = this.#topics.map((_, place) => place / this.#topics.length);
  }

  /** The topics of the next request. @param count how much has become due, of all topics of all connections. */
  take(count: number): number[] {
    const chosen: number[] = [];
    for (const [place, topic] of this.#topics.entries()) {
      let due = (this.#due[place] ?? 0) + count * (this.#parts[place] ?? 0);
      for (; due >= 1 && chosen.length < linesMax; due--) chosen.push(topic);
      this.#due[place] = due;
    }
    return chosen;
  }
}
