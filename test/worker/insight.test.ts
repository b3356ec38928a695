import { describe, expect, it } from "vitest";

import type { Connection } from "../../src/connection/connection.ts";
import type { Reader } from "../../src/hub/reader.ts";
import type { SessionNote } from "../../src/worker/endpoints.ts";
import { answerInsight, type InsightSources } from "../../src/worker/insight.ts";

/** What an insight reads of a connection. */
function connectionOf(
  id: string,
  { pendingBytes = 0, pendingAgeMs = 0, sentBytes = 10, receivedBytes = 20, silentMs = 5 } = {},
): Connection {
  const fake = {
    id,
    maySendCompressed: false,
    pendingBytes,
    sentBytes,
    receivedBytes,
    remoteAddress: "192.0.2.7",
    pendingAgeMs: () => pendingAgeMs,
    silentMs: () => silentMs,
  };
  return fake as unknown as Connection;
}

function sourcesOf(connections: readonly Connection[]) {
  const pauses = { count: 0 };
  const note: SessionNote = { openedMs: 0, depart: () => undefined };
  const sessions = new Map(connections.map((connection) => [connection, note]));
  const sources: InsightSources = {
    clock: { nowMs: () => 1000, wallMs: () => 0 },
    sessions,
    hub: { logs: () => [].values(), reader: (): Reader | null => null },
    ratePerSec: () => 0,
    pause: () => {
      pauses.count += 1;
      return Promise.resolve();
    },
  };
  return { sources, sessions, pauses };
}

/** The reader of the named connection has topics, the others none. */
function withTopicsOf(name: string): (id: string) => Reader {
  return (id) => ({ variant: "native", topicCount: id === name ? 3 : 0 }) as unknown as Reader;
}

describe("an operator's question to a worker", () => {
  it("walks a hundred thousand connections in slices, and answers with 400", async () => {
    const all = Array.from({ length: 100_000 }, (_, index) =>
      connectionOf(String(index), { pendingBytes: index % 977, pendingAgeMs: index % 89 }),
    );
    const { sources, pauses } = sourcesOf(all);
    const answer = await answerInsight(sources, { about: "connections", sort: "lag" });
    expect(answer.total).toBe(100_000);
    expect(answer.items).toHaveLength(400);
    expect(pauses.count).toBe(100);
    if (answer.about !== "connections") throw new Error("another question was answered");
    expect(answer.items[0]).toMatchObject({
      pendingAgeMs: 88,
      address: "192.0.2.7",
      endpoint: "echo",
      ageMs: 1000,
    });
    const lags = answer.items.map(({ pendingAgeMs, pendingBytes }) => pendingAgeMs * 1000 + pendingBytes);
    expect(lags).toEqual(lags.toSorted((left, right) => right - left));
  });

  it.each([
    ["lag", "b"],
    ["pending", "c"],
    ["topics", "d"],
    ["sent", "e"],
    ["received", "f"],
    ["silent", "g"],
  ] as const)("sorted by %s the one with most of it is first", async (sort, first) => {
    const { sources } = sourcesOf([
      connectionOf("a"),
      connectionOf("b", { pendingAgeMs: 1000, pendingBytes: 1 }),
      connectionOf("c", { pendingBytes: 1000 }),
      connectionOf("d"),
      connectionOf("e", { sentBytes: 1000 }),
      connectionOf("f", { receivedBytes: 1000 }),
      connectionOf("g", { silentMs: 1000 }),
    ]);
    const answer = await answerInsight(
      { ...sources, hub: { ...sources.hub, reader: withTopicsOf("d") } },
      { about: "connections", sort },
    );
    if (answer.about !== "connections") throw new Error("another question was answered");
    expect(answer.items[0]?.id).toBe(first);
  });

  it("goes on while connections come and go between two slices", async () => {
    const all = Array.from({ length: 3000 }, (_, index) =>
      connectionOf(String(index), { pendingBytes: 0, pendingAgeMs: 0 }),
    );
    const { sources, sessions } = sourcesOf(all);
    const ending: InsightSources = {
      ...sources,
      pause: () => {
        for (const connection of all) sessions.delete(connection);
        return Promise.resolve();
      },
    };
    expect((await answerInsight(ending, { about: "connections", sort: "silent" })).total).toBe(1000);
  });
});
