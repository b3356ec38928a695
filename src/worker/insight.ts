/**
 * Answers what the primary asks about this worker's connections and topics. Reads the live sets when asked and keeps
 * nothing. It walks in slices between which the event loop goes on, so a hundred thousand connections delay nobody.
 */
import type { Clock } from "../base/clock.ts";
import {
  workerItemsMax,
  type ConnectionInsight,
  type ConnectionSort,
  type InsightAnswer,
  type InsightQuestion,
  type TopicInsight,
  type TopicSort,
} from "../base/insight.ts";
import { Largest } from "../base/largest.ts";
import type { Connection } from "../connection/connection.ts";
import type { Hub } from "../hub/hub.ts";
import type { Reader } from "../hub/reader.ts";
import type { TopicLog } from "../hub/topic-log.ts";
import type { SessionBook, SessionNote } from "./endpoints.ts";

export interface InsightSources {
  readonly clock: Clock;
  readonly sessions: SessionBook;
  readonly hub: Pick<Hub, "logs" | "reader">;
  /** Publications a second of a topic. */
  ratePerSec(log: TopicLog): number;
  /** Resolves when the event loop has been around. */
  pause(): Promise<void>;
}

/** Looked at in a row: a millisecond or less. */
const sliceItems = 1000;

/** At most `workerItemsMax` items, the largest by `question.sort`, beside the number of all. Cost: a look at every one. */
export async function answerInsight(
  sources: InsightSources,
  question: InsightQuestion,
): Promise<InsightAnswer> {
  return question.about === "connections"
    ? connectionAnswer(sources, question.sort)
    : topicAnswer(sources, question.sort);
}

async function connectionAnswer(sources: InsightSources, sort: ConnectionSort): Promise<InsightAnswer> {
  const { clock, hub, sessions } = sources;
  const largest = new Largest<readonly [Connection, SessionNote]>(workerItemsMax);
  let nowMs = clock.nowMs();
  let seen = 0;
  // A map may change between two slices: what was deleted is skipped, what was added comes at the end.
  for (const entry of sessions) {
    largest.offer(connectionScore(sort, entry[0], hub, nowMs), entry);
    seen += 1;
    if (seen % sliceItems > 0) continue;
    await sources.pause();
    nowMs = clock.nowMs();
  }
  const items = largest
    .take()
    .map(([connection, note]) => connectionInsight(connection, note, hub.reader(connection.id), nowMs));
  return { about: "connections", total: seen, items };
}

function connectionScore(
  sort: ConnectionSort,
  connection: Connection,
  hub: InsightSources["hub"],
  nowMs: number,
): number {
  switch (sort) {
    case "lag":
      // By age, and of those as old by bytes: one below 1 ms each.
      return connection.pendingAgeMs(nowMs) + connection.pendingBytes / 2 ** 40;
    case "pending":
      return connection.pendingBytes;
    case "topics":
      return hub.reader(connection.id)?.topicCount ?? 0;
    case "sent":
      return connection.sentBytes;
    case "received":
      return connection.receivedBytes;
    case "silent":
      return connection.silentMs(nowMs);
  }
}

function connectionInsight(
  connection: Connection,
  { openedMs }: SessionNote,
  reader: Reader | null,
  nowMs: number,
): ConnectionInsight {
  const variant = reader?.variant ?? "echo";
  const endpoint = variant.startsWith("native") ? "ws" : variant.startsWith("batch") ? "ws batch" : "raw";
  return {
    id: connection.id,
    address: connection.remoteAddress,
    endpoint: reader === null ? "echo" : endpoint,
    compressed: connection.maySendCompressed,
    topics: reader?.topicCount ?? 0,
    rateClassesMs: (reader?.memberships ?? [])
      .map(({ audience }) => audience.classMs)
      .toSorted((left, right) => left - right),
    pendingBytes: connection.pendingBytes,
    pendingAgeMs: Math.round(connection.pendingAgeMs(nowMs)),
    lagging: (reader?.laggingCount ?? 0) > 0,
    sentBytes: connection.sentBytes,
    receivedBytes: connection.receivedBytes,
    silentMs: Math.max(0, Math.round(connection.silentMs(nowMs))),
    ageMs: Math.max(0, Math.round(nowMs - openedMs)),
  };
}

async function topicAnswer(sources: InsightSources, sort: TopicSort): Promise<InsightAnswer> {
  const largest = new Largest<TopicLog>(workerItemsMax);
  let seen = 0;
  for (const log of sources.hub.logs()) {
    largest.offer(topicScore(sources, sort, log), log);
    seen += 1;
    if (seen % sliceItems === 0) await sources.pause();
  }
  const nowMs = sources.clock.nowMs();
  const items = largest.take().map((log) => topicInsight(log, sources.ratePerSec(log), nowMs));
  return { about: "topics", total: seen, items };
}

function topicScore(sources: InsightSources, sort: TopicSort, log: TopicLog): number {
  switch (sort) {
    case "subscribers":
      return countReaders(log);
    case "rate":
      return sources.ratePerSec(log);
    case "lag":
      return countLagging(log);
  }
}

function topicInsight(log: TopicLog, ratePerSec: number, nowMs: number): TopicInsight {
  const byRateClassMs: Record<string, number> = {};
  for (const { audience } of log.audiences) {
    const classMs = String(audience.classMs);
    byRateClassMs[classMs] = (byRateClassMs[classMs] ?? 0) + audience.readerCount;
  }
  return {
    topic: log.topic.name,
    delivery: log.topic.delivery,
    subscribers: countReaders(log),
    lagging: countLagging(log),
    byRateClassMs,
    ratePerSec,
    ageMs: log.publications === 0 ? null : Math.max(0, Math.round(nowMs - log.publishedMs)),
    seq: log.seq,
  };
}

function countReaders(log: TopicLog): number {
  return log.audiences.reduce((sum, { audience }) => sum + audience.readerCount, 0);
}

/** Those who lag are counted in their audience but are in neither of its lists of those who are served. */
function countLagging(log: TopicLog): number {
  return log.audiences.reduce((sum, { audience }) => sum + audience.laggingCount, 0);
}
