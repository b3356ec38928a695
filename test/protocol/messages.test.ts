/** The types of the messages against the examples of docs/PROTOCOL.md: each example must be one of the types. */
import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import type { ClientMessage, ServerMessage } from "../../src/protocol/messages.ts";

// Checked by the compiler; the test below checks that the document shows no shape that is missing here.
const commands: readonly ClientMessage[] = [
  {
    id: 1,
    method: "subscribe",
    params: { topics: ["a"], intervalMs: 250, since: { a: { epoch: "1", seq: 2 } } },
  },
  { id: 2, method: "unsubscribe", params: { topics: ["a"] } },
  { id: "x", method: "publish", params: { topic: "a", data: null } },
  { id: 4, method: "history", params: { topic: "a", since: { epoch: "1", seq: 3 }, limit: 50 } },
  { id: 5, method: "token", params: { token: "t" } },
  { id: 6, method: "ping" },
];
const messages: readonly ServerMessage[] = [
  { topic: "a", seq: 18, data: 1 },
  { id: 3, error: { code: "rate_limited", message: "m", temporary: true } },
  { id: 1, result: { topics: { a: { epoch: "1", seq: 17, data: 1 } }, errors: {} } },
  { event: "welcome", connection: "c", heartbeatMs: 25_000 },
  { event: "subscribed", topics: {} },
  { event: "lost", topic: "a", count: 312, reason: "sampled" },
  { event: "unsubscribed", topics: ["a"], reason: "forbidden" },
  { event: "closing", reason: "restart", reconnectAfterMs: 1840 },
  { event: "frames", in: "81", out: "81" },
];

describe("docs/PROTOCOL.md and the types", () => {
  const text = readFileSync(new URL("../../docs/PROTOCOL.md", import.meta.url), "utf8");

  it("name the same methods", () => {
    const shown = new Set([...text.matchAll(/"method":"(\w+)"/g)].map(([, method]) => method));
    expect(shown).toEqual(new Set(commands.map(({ method }) => method)));
  });

  it("name the same events", () => {
    const shown = new Set([...text.matchAll(/"event":"(\w+)"/g)].map(([, event]) => event));
    expect(shown).toEqual(
      new Set(messages.flatMap((message) => ("event" in message ? [message.event] : []))),
    );
  });
});
