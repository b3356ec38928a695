/**
 * What an operator may ask of a running cluster beside its metrics: which connections and which topics it has, the
 * slowest or the largest first. The primary asks the workers for it over IPC; nothing here is counted for the purpose,
 * and nothing of it ever becomes a metric's label.
 */

/** What connections may be sorted by, the largest first. */
export const connectionSorts = ["lag", "pending", "topics", "sent", "received", "silent"] as const;
export type ConnectionSort = (typeof connectionSorts)[number];

/** What topics may be sorted by, the largest first. */
export const topicSorts = ["subscribers", "rate", "lag"] as const;
export type TopicSort = (typeof topicSorts)[number];

/** Most items of an answer. */
export const insightItemsMax = 100;
/**
 * Most items that a worker tells of. Topics are added up over the workers, so each tells of more than are shown: a
 * topic that many workers have must not fall out because no single worker has much of it.
 */
export const workerItemsMax = 400;

/** One open connection. */
export interface ConnectionInsight {
  readonly id: string;
  /** The client's address, behind trusted proxies too; empty for a unix socket. */
  readonly address: string;
  readonly endpoint: "ws" | "ws batch" | "raw" | "echo";
  readonly compressed: boolean;
  readonly topics: number;
  /** Intervals that its subscriptions have, in milliseconds; 0 is at once. */
  readonly rateClassesMs: readonly number[];
  /** Given to the socket and not taken by the kernel. */
  readonly pendingBytes: number;
  /** Since when the kernel took nothing of it, as far as was looked (four times within `limits.pendingAgeMsMax`). */
  readonly pendingAgeMs: number;
  /** Left its audiences and reads from a cursor, because its socket was full. */
  readonly lagging: boolean;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Since the client said anything. */
  readonly silentMs: number;
  readonly ageMs: number;
}

/** One open topic in one worker, or in all of them together. */
export interface TopicInsight {
  readonly topic: string;
  readonly delivery: "latest" | "every" | "sample";
  readonly subscribers: number;
  /** Subscribers whose socket is full. */
  readonly lagging: number;
  /** Subscribers by the interval they chose, in milliseconds. */
  readonly byRateClassMs: Readonly<Record<string, number>>;
  /** Publications a second, averaged over about ten seconds. */
  readonly ratePerSec: number;
  /** Age of the newest publication that came live; null when none has. */
  readonly ageMs: number | null;
  /** 0 without history. */
  readonly seq: number;
}

/** What is asked of a worker. */
export type InsightQuestion =
  | { readonly about: "connections"; readonly sort: ConnectionSort }
  | { readonly about: "topics"; readonly sort: TopicSort };

/** What a worker answers: at most `workerItemsMax` items, the largest first, out of `total`. */
export type InsightAnswer =
  | { readonly about: "connections"; readonly total: number; readonly items: readonly ConnectionInsight[] }
  | { readonly about: "topics"; readonly total: number; readonly items: readonly TopicInsight[] };
