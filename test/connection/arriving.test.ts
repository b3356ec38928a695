/** limits.arrivingBytesTotalMax: what all connections hold of messages that are not whole. */
import { afterEach, expect, it } from "vitest";

import { limitCounters } from "../../src/base/limit-counters.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { frame } from "../abuse/raw.ts";
import { until } from "../e2e/until.ts";
import { connectPair, transports, type Pair } from "./connection-pair.ts";

let pair: Pair;
afterEach(() => pair.end());

it.each(transports)("%s: the limit itself is taken, one byte more closes with 4004", async (transport) => {
  const before = limitCounters.reached.get("arrivingBytesTotalMax") ?? 0;
  pair = await connectPair({}, transport, 1000);
  const { peer, notes, connections } = pair;
  // Promised exactly, so that nothing is reserved beyond it.
  const message = frame(0x80 | opcode.binary, Buffer.alloc(1002));
  peer.send(message.subarray(0, message.length - 2));
  await until("it to be counted", () => connections.arriving.counters.pendingBytes === 1000);
  expect(notes.closed).toBeNull();
  peer.send(message.subarray(message.length - 2, message.length - 1));
  await peer.until(() => peer.events.some(({ kind }) => kind === "close"));
  expect(peer.events).toEqual([{ kind: "close", code: 4004, text: "overloaded" }]);
  expect(notes.closed).toEqual({ code: 4004, reason: "overloaded" });
  expect(connections.arriving.counters).toEqual({ pendingBytes: 0, shed: 1 });
  expect(limitCounters.reached.get("arrivingBytesTotalMax")).toBe(before + 1);
});

it("a message that becomes whole, and a peer that goes, leave nothing", async () => {
  pair = await connectPair({}, "tcp by its handle", 100_000);
  const { peer, notes, connections } = pair;
  const message = frame(0x80 | opcode.binary, Buffer.alloc(1000));
  peer.send(message.subarray(0, 500));
  await until("it to be counted", () => connections.arriving.counters.pendingBytes > 0);
  peer.send(message.subarray(500));
  await until("the message", () => notes.calls.length === 1);
  expect(notes.calls).toEqual(["binary 1000"]);
  expect(connections.arriving.size).toBe(0);
  peer.send(message.subarray(0, 500));
  await until("it to be counted", () => connections.arriving.counters.pendingBytes > 0);
  peer.socket.resetAndDestroy();
  await until("it to be forgotten", () => connections.arriving.counters.pendingBytes === 0);
});
