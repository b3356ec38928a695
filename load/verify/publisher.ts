/**
 * One topic's publisher over HTTP: a message at a time, each with a key, repeated with the same key until it is
 * answered 200. Some answers are cut off on purpose, and some messages are sent again after their 200: both must not
 * store them twice.
 */
import { Agent, request } from "node:http";
import type { Books } from "./books.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { DoubtfulTimes } from "./store.ts";

export interface PublisherPlan {
  /** Where `/api/publish` is. */
  readonly url: string;
  readonly topicIndex: number;
  readonly topic: string;
  readonly intervalMs: number;
  /** Begins every key. */
  readonly runId: string;
  readonly fillBytes: number;
}

/** What all publishers of a server saw. */
export class PublishFigures {
  /** Messages begun. */
  offered = 0;
  attempts = 0;
  /** By HTTP status or by what went wrong. */
  readonly refusals = new Map<string, number>();
  /** The longest wait for a 503. */
  longestRefusalMs = 0;
  /** Answers thrown away on purpose. */
  cutOff = 0;
  /** Messages sent again after their 200. */
  sentAgain = 0;
  connectionsRefused = 0;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

const answerTimeoutMs = 8000;
const retryMsMin = 50;
const retryMsMax = 250;
/** Of a hundred messages so many have their first answer cut off, and so many are sent again after their 200. */
const cutPercent = 2;
const againPercent = 2;

/** See the file head. */
export class Publisher {
  readonly #plan: PublisherPlan;
  readonly #books: Books;
  readonly #figures: PublishFigures;
  readonly #random: SeededRandom;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 2 });
  /** null: the store loses nothing. */
  readonly #doubt: DoubtfulTimes | null;
  #isStopped = false;

  constructor(
    plan: PublisherPlan,
    books: Books,
    figures: PublishFigures,
    random: SeededRandom,
    doubt: DoubtfulTimes | null,
  ) {
    this.#plan = plan;
    this.#books = books;
    this.#figures = figures;
    this.#random = random;
    this.#doubt = doubt;
  }

  /** Publishes until `stop`; the last message is seen through. Rejects never. @param patienceMs for that. */
  async run(patienceMs: number): Promise<void> {
    const { intervalMs } = this.#plan;
    // Publishers do not march in step.
    let dueMs = performance.now() + this.#random.next() * intervalMs;
    for (let number = 1; !this.#isStopped; number++) {
      await sleep(dueMs - performance.now());
      if (this.#isStopped) break;
      dueMs = Math.max(dueMs + intervalMs, performance.now());
      this.#books.beginPublish(this.#plan.topicIndex, number, this.#lossSinceNow());
      await this.#publish(number, patienceMs);
      this.#books.finishPublish(this.#plan.topicIndex);
    }
    this.#agent.destroy();
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Whether the store has lost data from now on. */
  #lossSinceNow(): () => boolean {
    const doubt = this.#doubt;
    if (doubt === null) return () => false;
    const lossesBefore = doubt.lossCount;
    return () => doubt.isOpen || doubt.lossCount !== lossesBefore;
  }

  async #publish(number: number, patienceMs: number): Promise<void> {
    const { topic, topicIndex, fillBytes } = this.#plan;
    this.#figures.offered++;
    const data = { n: number, t: performance.now(), fill: "x".repeat(fillBytes) };
    const body = JSON.stringify({ topic, data });
    const startMs = performance.now();
    let isCut = this.#random.next() * 100 < cutPercent;
    let stoppedMs: number | null = null;
    for (;;) {
      const answer = await this.#ask(number, body, isCut);
      isCut = false;
      if (answer?.status === 200) {
        this.#books.accept(topicIndex, number, positionOf(answer.body), startMs);
        break;
      }
      if (this.#isStopped) stoppedMs ??= performance.now();
      if (stoppedMs !== null && performance.now() - stoppedMs > patienceMs) return;
      await sleep(retryMsMin + this.#random.next() * (retryMsMax - retryMsMin));
    }
    if (this.#random.next() * 100 >= againPercent) return;
    this.#figures.sentAgain++;
    const again = await this.#ask(number, body, false);
    if (again?.status === 200) this.#books.accept(topicIndex, number, positionOf(again.body), startMs);
  }

  /** One request. @param isCut hang up at a random moment. @returns null without an answer. */
  #ask(number: number, body: string, isCut: boolean): Promise<Answer | null> {
    const { url, runId, topicIndex } = this.#plan;
    const figures = this.#figures;
    const startMs = performance.now();
    figures.attempts++;
    return new Promise((resolve) => {
      const refused = (why: string): void => {
        figures.refusals.set(why, (figures.refusals.get(why) ?? 0) + 1);
        if (why === "503")
          figures.longestRefusalMs = Math.max(figures.longestRefusalMs, performance.now() - startMs);
        resolve(null);
      };
      const call = request(
        `${url}/api/publish`,
        {
          method: "POST",
          agent: this.#agent,
          timeout: answerTimeoutMs,
          headers: {
            "content-type": "application/json",
            "content-length": Buffer.byteLength(body),
            "idempotency-key": `${runId}-${topicIndex}-${number}`,
          },
        },
        (response) => {
          let text = "";
          response.on("data", (chunk: Buffer) => (text += chunk.toString()));
          response.on("error", () => refused("answer cut off"));
          response.on("end", () => {
            const status = response.statusCode ?? 0;
            if (status === 200) resolve({ status, body: text });
            else refused(String(status));
          });
        },
      );
      call.on("timeout", () => call.destroy(new Error("no answer")));
      call.on("error", (error) => {
        const code = "code" in error ? String(error.code) : error.message;
        if (code === "ECONNREFUSED") figures.connectionsRefused++;
        if (isCut) resolve(null);
        else refused(code);
      });
      call.end(body);
      if (!isCut) return;
      figures.cutOff++;
      setTimeout(() => call.destroy(), this.#random.next() * 6);
    });
  }
}

interface PublishResult {
  readonly epoch?: string;
  readonly seq?: number;
}

/** null where the server knows no positions. */
function positionOf(body: string): { epoch: string; seq: number } | null {
  const { results } = JSON.parse(body) as { readonly results: readonly PublishResult[] };
  const { epoch, seq } = results[0] ?? {};
  return epoch === undefined || seq === undefined ? null : { epoch, seq };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, Math.max(0, ms));
  });
}
