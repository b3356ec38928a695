import { describe, expect, it } from "vitest";

import type { ConnectionOptions } from "../../src/connection/connection-options.ts";
import { PeerWatch } from "../../src/connection/peer-watch.ts";
import { unlimited } from "./connection-pair.ts";

class Peer extends PeerWatch {
  override onDeadline(): void {
    // The wheel's, not needed here.
  }
}

const options: ConnectionOptions = {
  ...unlimited,
  heartbeatIntervalMs: 1000,
  heartbeatTimeoutMs: 300,
  messageTimeoutMs: 500,
};

describe("what a peer is late with", () => {
  it.each([
    { name: "nothing yet", does: () => undefined, overdueMs: 1000, what: "ping" },
    { name: "it was pinged", does: (peer: Peer) => peer.pinged(1000), overdueMs: 1300, what: "heartbeat" },
    {
      name: "a message began, and more of it came",
      does: (peer: Peer) => {
        peer.heard(100);
        expect(peer.messageIsArriving(100)).toBe(true);
        peer.heard(300);
        expect(peer.messageIsArriving(300)).toBe(false);
      },
      overdueMs: 600,
      what: "message",
    },
    {
      name: "a message came, and another began",
      does: (peer: Peer) => {
        peer.messageIsArriving(100);
        peer.messageHasCome();
        expect(peer.messageIsArriving(400)).toBe(true);
      },
      overdueMs: 900,
      what: "message",
    },
    {
      name: "a message began, and reading was stopped",
      does: (peer: Peer) => {
        peer.messageIsArriving(100);
        peer.readFrom(5000);
      },
      overdueMs: 5500,
      what: "message",
    },
  ])("$name: $what at $overdueMs, not before", ({ does, overdueMs, what }) => {
    const peer = new Peer(0);
    does(peer);
    expect(peer.overdue(options, overdueMs - 1)).toBeNull();
    expect(peer.overdue(options, overdueMs)).toBe(what);
    // Looked at when it says, it is found, if not at the first look.
    let nowMs = peer.dueMs(options, 0);
    for (let looks = 0; nowMs < overdueMs && looks < 3; looks += 1) nowMs = peer.dueMs(options, nowMs);
    expect(nowMs).toBe(overdueMs);
  });

  it.each([
    { name: "it said something", does: (peer: Peer) => peer.heard(400), heardMs: 400 },
    {
      name: "it was pinged and answered",
      does: (peer: Peer) => {
        peer.pinged(1000);
        peer.heard(1100);
      },
      heardMs: 1100,
    },
  ])("$name: a ping after the interval, or up to a fifth less", ({ does, heardMs }) => {
    const peer = new Peer(0);
    does(peer);
    const dueMs = peer.dueMs(options, heardMs);
    expect(dueMs).toBeGreaterThanOrEqual(heardMs + 800);
    expect(dueMs).toBeLessThanOrEqual(heardMs + 1000);
    expect(peer.overdue(options, dueMs - 1)).toBeNull();
    expect(peer.overdue(options, dueMs)).toBe("ping");
  });

  it("those who came together are not asked together, now or later", () => {
    // 5,000 in a second, as after a restart; each answers its ping 3 ms later.
    const pings = { ...options, heartbeatIntervalMs: 25_000, messageTimeoutMs: null };
    const peers = Array.from({ length: 5000 }, (_, index) => new Peer(Math.trunc(index / 5)));
    for (let round = 0; round < 5; round += 1) {
      const perHundredMs = new Map<number, number>();
      for (const peer of peers) {
        const dueMs = peer.dueMs(pings, peer.heardMs);
        perHundredMs.set(Math.trunc(dueMs / 100), (perHundredMs.get(Math.trunc(dueMs / 100)) ?? 0) + 1);
        peer.pinged(dueMs);
        peer.heard(dueMs + 3);
      }
      // Spread evenly over 5 s they would be 100; asked as they came, 500.
      expect(Math.max(...perHundredMs.values())).toBeLessThan(200);
    }
  });

  it("without limits it is never late", () => {
    const peer = new Peer(0);
    peer.messageIsArriving(1);
    expect(peer.overdue(unlimited, 1e9)).toBeNull();
    expect(peer.dueMs(unlimited, 1e9)).toBe(Number.POSITIVE_INFINITY);
  });
});
