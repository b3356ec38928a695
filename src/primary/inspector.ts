/**
 * Asks all workers about their connections and topics and makes one list of it. Whoever does not answer in time is
 * named as missing and not waited for. The same question within a moment is asked once, however many ask it, so that
 * an eager operator costs no more than one.
 */
import {
  insightItemsMax,
  type ConnectionInsight,
  type ConnectionSort,
  type InsightAnswer,
  type InsightQuestion,
  type TopicInsight,
  type TopicSort,
} from "../base/insight.ts";

/** A worker, as far as it can be asked. */
export interface Inspected {
  readonly slot: number;
  readonly state: "starting" | "ready" | "draining" | "gone";
  /** Null: no answer in time. */
  inspect(question: InsightQuestion, timeoutMs: number): Promise<InsightAnswer | null>;
}

/** A worker that is not part of an answer, and why. */
export interface MissingWorker {
  readonly worker: number;
  readonly reason: string;
}

/** The first items of a list, the largest first. */
export interface InsightPage<Item> {
  readonly sort: string;
  readonly limit: number;
  /** Of all workers that answered. Topics: at least so many; exact while no worker has more than it tells of. */
  readonly total: number;
  readonly items: readonly Item[];
  readonly missing: readonly MissingWorker[];
}

export type ListedConnection = ConnectionInsight & { readonly worker: number };
export type ListedTopic = TopicInsight & { readonly workers: number };

interface Answers {
  readonly answers: readonly { readonly worker: number; readonly answer: InsightAnswer }[];
  readonly missing: readonly MissingWorker[];
}

/** How long a worker may take. */
export const answerTimeoutMs = 1500;
/** Answers are given again for so long. */
const keptMs = 500;

export class Inspector {
  readonly #workers: () => readonly Inspected[];
  readonly #nowMs: () => number;
  /** By question; there are nine. */
  readonly #asked = new Map<string, { readonly atMs: number; readonly answers: Promise<Answers> }>();

  constructor(workers: () => readonly Inspected[], nowMs: () => number = () => performance.now()) {
    this.#workers = workers;
    this.#nowMs = nowMs;
  }

  async connections(sort: ConnectionSort, limit: number): Promise<InsightPage<ListedConnection>> {
    const { answers, missing } = await this.#ask({ about: "connections", sort });
    const items: ListedConnection[] = [];
    let total = 0;
    for (const { worker, answer } of answers) {
      if (answer.about !== "connections") continue;
      total += answer.total;
      for (const item of answer.items) items.push({ worker, ...item });
    }
    items.sort((left, right) => compareConnections(sort, left, right));
    return page(sort, limit, total, items, missing);
  }

  async topics(sort: TopicSort, limit: number): Promise<InsightPage<ListedTopic>> {
    const { answers, missing } = await this.#ask({ about: "topics", sort });
    const byName = new Map<string, ListedTopic>();
    let total = 0;
    for (const { answer } of answers) {
      if (answer.about !== "topics") continue;
      total = Math.max(total, answer.total);
      for (const item of answer.items) byName.set(item.topic, joined(byName.get(item.topic), item));
    }
    const items = [...byName.values()].sort((left, right) => compareTopics(sort, left, right));
    return page(sort, limit, Math.max(total, items.length), items, missing);
  }

  #ask(question: InsightQuestion): Promise<Answers> {
    const key = `${question.about} ${question.sort}`;
    const nowMs = this.#nowMs();
    const before = this.#asked.get(key);
    if (before !== undefined && nowMs - before.atMs < keptMs) return before.answers;
    const answers = this.#askAll(question);
    this.#asked.set(key, { atMs: nowMs, answers });
    return answers;
  }

  async #askAll(question: InsightQuestion): Promise<Answers> {
    const missing: MissingWorker[] = [];
    const asked = this.#workers().map(async (worker) => {
      if (worker.state === "starting") {
        missing.push({ worker: worker.slot, reason: "starting" });
        return [];
      }
      const answer = await worker.inspect(question, answerTimeoutMs);
      if (answer !== null) return [{ worker: worker.slot, answer }];
      missing.push({ worker: worker.slot, reason: `no answer within ${answerTimeoutMs} ms` });
      return [];
    });
    const answers = await Promise.all(asked);
    return { answers: answers.flat(), missing };
  }
}

function page<Item>(
  sort: string,
  limit: number,
  total: number,
  items: readonly Item[],
  missing: readonly MissingWorker[],
): InsightPage<Item> {
  return { sort, limit, total, items: items.slice(0, Math.min(limit, insightItemsMax)), missing };
}

function compareConnections(sort: ConnectionSort, left: ConnectionInsight, right: ConnectionInsight): number {
  switch (sort) {
    case "lag":
      return right.pendingAgeMs - left.pendingAgeMs || right.pendingBytes - left.pendingBytes;
    case "pending":
      return right.pendingBytes - left.pendingBytes;
    case "topics":
      return right.topics - left.topics;
    case "sent":
      return right.sentBytes - left.sentBytes;
    case "received":
      return right.receivedBytes - left.receivedBytes;
    case "silent":
      return right.silentMs - left.silentMs;
  }
}

function compareTopics(sort: TopicSort, left: TopicInsight, right: TopicInsight): number {
  switch (sort) {
    case "subscribers":
      return right.subscribers - left.subscribers;
    case "rate":
      return right.ratePerSec - left.ratePerSec;
    case "lag":
      return right.lagging - left.lagging || right.subscribers - left.subscribers;
  }
}

/** A topic of several workers: its readers are added up; each worker receives all of its publications. */
function joined(before: ListedTopic | undefined, next: TopicInsight): ListedTopic {
  if (before === undefined) return { ...next, workers: 1 };
  const byRateClassMs: Record<string, number> = { ...before.byRateClassMs };
  for (const [classMs, readers] of Object.entries(next.byRateClassMs)) {
    byRateClassMs[classMs] = (byRateClassMs[classMs] ?? 0) + readers;
  }
  const ages = [before.ageMs, next.ageMs].filter((ageMs) => ageMs !== null);
  return {
    ...before,
    subscribers: before.subscribers + next.subscribers,
    lagging: before.lagging + next.lagging,
    byRateClassMs,
    ratePerSec: Math.max(before.ratePerSec, next.ratePerSec),
    ageMs: ages.length === 0 ? null : Math.min(...ages),
    seq: Math.max(before.seq, next.seq),
    workers: before.workers + 1,
  };
}
