import { describe, expect, it } from "vitest";

import type {
  ConnectionInsight,
  InsightAnswer,
  InsightQuestion,
  TopicInsight,
} from "../../src/base/insight.ts";
import { createInsightRoutes } from "../../src/primary/insight-routes.ts";
import { Inspector, type Inspected } from "../../src/primary/inspector.ts";

const connection: ConnectionInsight = {
  id: "x",
  address: "192.0.2.1",
  endpoint: "ws",
  compressed: false,
  topics: 1,
  rateClassesMs: [0],
  pendingBytes: 0,
  pendingAgeMs: 0,
  lagging: false,
  sentBytes: 1,
  receivedBytes: 1,
  silentMs: 1,
  ageMs: 1,
};
const topic: TopicInsight = {
  topic: "quote.AAPL",
  delivery: "latest",
  subscribers: 3,
  lagging: 1,
  byRateClassMs: { 0: 2, 250: 1 },
  ratePerSec: 5,
  ageMs: null,
  seq: 7,
};

function connectionsOf(total: number, items: readonly Partial<ConnectionInsight>[]): InsightAnswer {
  return { about: "connections", total, items: items.map((item) => ({ ...connection, ...item })) };
}

function topicsOf(...items: readonly Partial<TopicInsight>[]): InsightAnswer {
  return { about: "topics", total: items.length, items: items.map((item) => Object.assign({}, topic, item)) };
}

/** A worker that answers at once what it is given; null: not in time. */
function worker(slot: number, answer: InsightAnswer | null, state: Inspected["state"] = "ready") {
  const questions: InsightQuestion[] = [];
  const inspect = (question: InsightQuestion): Promise<InsightAnswer | null> => {
    questions.push(question);
    return Promise.resolve(answer);
  };
  return { slot, state, questions, inspect };
}

describe("connections of a cluster", () => {
  it("are one list, the slowest first, each with its worker", async () => {
    const inspector = new Inspector(() => [
      worker(0, connectionsOf(500, [{ id: "a", pendingAgeMs: 900 }, { id: "b" }])),
      worker(
        1,
        connectionsOf(20, [
          { id: "c", pendingAgeMs: 900, pendingBytes: 5 },
          { id: "d", pendingAgeMs: 1 },
        ]),
      ),
    ]);
    const page = await inspector.connections("lag", 3);
    expect(page).toMatchObject({ sort: "lag", limit: 3, total: 520, missing: [] });
    expect(page.items.map(({ id, worker }) => [id, worker])).toEqual([
      ["c", 1],
      ["a", 0],
      ["d", 1],
    ]);
  });

  it("name the workers that are missing, and are not waited for", async () => {
    const starting = worker(2, null, "starting");
    const inspector = new Inspector(() => [worker(0, connectionsOf(1, [{}])), worker(1, null), starting]);
    const page = await inspector.connections("topics", 10);
    expect(page.items).toHaveLength(1);
    expect(page.missing).toHaveLength(2);
    expect(page.missing).toContainEqual({ worker: 1, reason: expect.stringContaining("no answer within") });
    expect(page.missing).toContainEqual({ worker: 2, reason: "starting" });
    expect(starting.questions).toEqual([]);
  });

  it("are asked for once a moment, however many ask", async () => {
    let nowMs = 0;
    const only = worker(0, connectionsOf(0, []));
    const inspector = new Inspector(
      () => [only],
      () => nowMs,
    );
    await Promise.all(Array.from({ length: 50 }, (_, index) => inspector.connections("lag", index + 1)));
    expect(only.questions).toHaveLength(1);
    await inspector.connections("sent", 1);
    expect(only.questions).toHaveLength(2);
    nowMs = 600;
    await inspector.connections("lag", 1);
    expect(only.questions).toHaveLength(3);
  });
});

describe("topics of a cluster", () => {
  it("are added up by name: readers are summed, a publication reaches every worker", async () => {
    const inspector = new Inspector(() => [
      worker(0, topicsOf({ ageMs: 40 }, { topic: "chat.a", subscribers: 4 })),
      worker(1, topicsOf({ subscribers: 2, byRateClassMs: { 0: 2 }, ratePerSec: 6, ageMs: 10, seq: 8 })),
    ]);
    const { items, total } = await inspector.topics("subscribers", 10);
    expect(total).toBe(2);
    expect(items.map((item) => item.topic)).toEqual(["quote.AAPL", "chat.a"]);
    expect(items[0]).toEqual({
      topic: "quote.AAPL",
      delivery: "latest",
      subscribers: 5,
      lagging: 2,
      byRateClassMs: { 0: 4, 250: 1 },
      ratePerSec: 6,
      ageMs: 10,
      seq: 8,
      workers: 2,
    });
  });
});

describe("GET /connections, /topics and /workers", () => {
  const routes = createInsightRoutes(new Inspector(() => [worker(0, connectionsOf(0, []))]), () => ({
    configured: 1,
    ready: 1,
    items: [],
  }));

  it.each([
    { query: "", sort: "lag", limit: 20 },
    { query: "sort=sent&limit=1", sort: "sent", limit: 1 },
    { query: "limit=100", sort: "lag", limit: 100 },
  ])("/connections?$query", async ({ query, sort, limit }) => {
    const answer = await routes("/connections", new URLSearchParams(query));
    expect(answer).toMatchObject({ status: 200, body: { sort, limit, total: 0, items: [], missing: [] } });
  });

  it.each([
    { path: "/connections", query: "limit=0", says: "1 to 100" },
    { path: "/connections", query: "limit=101", says: "1 to 100" },
    { path: "/connections", query: "limit=1e1", says: "1 to 100" },
    { path: "/connections", query: "limit=", says: "1 to 100" },
    { path: "/connections", query: "sort=token", says: "lag, pending, topics, sent, received, silent" },
    { path: "/topics", query: "sort=pending", says: "subscribers, rate, lag" },
    { path: "/topics", query: "sort=lag&sort=rate", says: "once" },
    { path: "/topics", query: "order=lag", says: "sort and limit" },
    { path: "/workers", query: "sort=lag", says: "no parameters" },
  ])("$path?$query is refused with what would be right", async ({ path, query, says }) => {
    const answer = await routes(path, new URLSearchParams(query));
    expect(answer).toMatchObject({
      status: 400,
      body: { error: { code: "bad_request", message: expect.stringContaining(says) } },
    });
  });

  it("knows no other path", () => {
    expect(routes("/connections/1", new URLSearchParams())).toBeNull();
  });
});
