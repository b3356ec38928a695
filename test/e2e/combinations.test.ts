/** Commands as tools send them that know only the protocol: several options at once, good and bad together. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { publish, publishLines } from "./http.ts";
import { Peer } from "./peer.ts";
import { Server } from "./server.ts";

let server: Server;
beforeAll(async () => {
  server = await Server.start();
});
afterAll(async () => server?.[Symbol.asyncDispose]());

function lines(topic: string, from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => JSON.stringify({ topic, data: from + index }));
}

describe("ids come back as they were written", () => {
  it.each([
    "0",
    "-5",
    "1.50",
    "1e3",
    "12345678901234567890",
    '""',
    '"a"',
    String.raw`"\u4f60"`,
    `"${"x".repeat(126)}"`,
  ])("%s", async (id) => {
    const peer = await Peer.native(server.ws);
    peer.client.send(`{"id":${id},"method":"ping"}`);
    expect(await peer.text()).toBe(`{"id":${id},"result":{}}`);
    await peer.close();
  });

  it.each(["true", "[]", "{}", `"${"x".repeat(127)}"`])("but not %s, which is none", async (id) => {
    const peer = await Peer.native(server.ws);
    peer.client.send(`{"id":${id},"method":"ping"}`);
    expect(await peer.json()).toMatchObject({ id: null, error: { code: "bad_request" } });
    await peer.close();
  });
});

it("one command with since, a rate, a batch connection, topics had already and bad ones", async () => {
  await publishLines(server.http, lines("trade.C", 1, 10));
  const peer = await Peer.native(server.ws, "?batch=1&interval=100&topics=trade.C,quote.C");
  const event = await peer.json();
  expect(event).toMatchObject({ event: "subscribed", topics: { "quote.C": { intervalMs: 100 } } });
  const epoch = event.topics?.["trade.C"]?.epoch;
  const reply = await peer.command("subscribe", {
    topics: ["trade.C", "quote.C", "trade.C", "nope!", "nothing.here"],
    since: {
      "trade.C": { epoch, seq: 7 },
      "quote.C": { epoch: "1", seq: 1 },
      "chat.never-subscribed": { epoch: "1", seq: 1 },
    },
    intervalMs: 1001,
  });
  expect(reply.result?.topics).toEqual({
    "trade.C": { epoch, seq: 10, recovered: true, messages: [8, 9, 10].map((seq) => ({ seq, data: seq })) },
    "quote.C": { epoch: expect.any(String), seq: 0, recovered: false, intervalMs: 2000 },
  });
  expect(reply.result?.errors).toMatchObject({
    "nope!": { code: "bad_topic" },
    "nothing.here": { code: "unknown_topic" },
  });
  // What was live stays live: nothing twice, nothing missing.
  await publishLines(server.http, lines("trade.C", 11, 13));
  const seqs: number[] = [];
  while (seqs.length < 3) {
    for (const line of (await peer.text()).split("\n")) seqs.push((JSON.parse(line) as { seq: number }).seq);
  }
  expect(seqs).toEqual([11, 12, 13]);
  await peer.command("unsubscribe", { topics: ["trade.C"] });
  await publish(server.http, "trade.C", "14");
  const again = await peer.subscribe("trade.C", { since: { "trade.C": { epoch, seq: 13 } } });
  expect(again).toMatchObject({ recovered: true, messages: [{ seq: 14, data: 14 }] });
  await peer.close();
});

it.each([
  { name: "another broker's epoch", since: { epoch: "1", seq: 1 } },
  { name: "an epoch that is none", since: { epoch: "", seq: 1 } },
  { name: "a position to come", since: { epoch: null, seq: 3 } },
  { name: "a position past all numbers", since: { epoch: null, seq: 1e300 } },
  { name: "half a position", since: { epoch: null, seq: 1.5 } },
  { name: "a position before the first", since: { epoch: null, seq: -1 } },
])("$name is not recovered, and has the newest value instead", async ({ name, since }) => {
  const topic = `trade.${name.replaceAll(/[^a-z]/g, "-")}`;
  const result = (await publishLines(server.http, lines(topic, 1, 2))).results().at(-1);
  const peer = await Peer.native(server.ws);
  const { epoch } = result ?? {};
  const state = await peer.subscribe(topic, {
    since: { [topic]: { ...since, epoch: since.epoch ?? epoch } },
  });
  expect(state).toEqual({ epoch, seq: 2, recovered: false, data: 2 });
  await peer.close();
});

it("a rate changed on a live subscription counts from then on", async () => {
  const peer = await Peer.native(server.ws);
  await peer.subscribe("quote.R", { intervalMs: 500 });
  await publish(server.http, "quote.R", "1");
  expect(await peer.json()).toMatchObject({ seq: 1 });
  await publish(server.http, "quote.R", "2");
  expect(await peer.subscribe("quote.R", { intervalMs: 0 })).toMatchObject({
    seq: 2,
    data: 2,
    intervalMs: 0,
  });
  await publish(server.http, "quote.R", "3");
  let seq = 0;
  while (seq < 3) {
    const message = await peer.json();
    expect(message.seq).toBeGreaterThan(seq);
    seq = message.seq ?? 0;
  }
  await peer.close();
});
