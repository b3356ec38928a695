/** A server that is shut down or replaced under its clients. */
import { describe, expect, it } from "vitest";
import { faults } from "../../load/verify/faults.ts";
import { isClean, makeReport } from "../../load/verify/report.ts";
import { runVerification } from "../../load/verify/run.ts";
import { Peer } from "../e2e/peer.ts";
import { Server } from "../e2e/server.ts";

const clientCount = 300;

describe("SIGTERM with many clients", () => {
  it(
    "tells each of them when to come back, at a time of its own, paces the closes and ends in its deadline",
    { timeout: 60_000 },
    async () => {
      await using server = await Server.start({ sets: { "shutdown.drainTimeoutMs": 4000 } });
      const peers = await Promise.all(Array.from({ length: clientCount }, () => Peer.native(server.ws)));
      const startMs = performance.now();
      server.process.signal("SIGTERM");
      const ends = await Promise.all(
        peers.map(async (peer) => {
          const closing = await peer.json();
          const end = await peer.ended;
          return { closing, end, atMs: performance.now() - startMs };
        }),
      );
      expect(await server.process.end()).toEqual({ code: 0, signal: null });
      expect(performance.now() - startMs).toBeLessThan(4000 + 2000);
      for (const { closing, end } of ends) {
        expect(closing).toMatchObject({ event: "closing", reason: "restart" });
        expect(end).toMatchObject({ code: 4000, reason: "restart", problem: null });
      }
      const delaysMs = ends.map(({ closing }) => closing.reconnectAfterMs ?? 0);
      expect(Math.min(...delaysMs)).toBeGreaterThanOrEqual(250);
      expect(Math.max(...delaysMs)).toBeLessThanOrEqual(4000);
      expect(new Set(delaysMs).size, "different times").toBeGreaterThan(clientCount / 2);
      await server.expectNobodyLeft();
    },
  );
});

describe("the memory broker's server under load", () => {
  it(
    "loses nothing to rolling restarts, killed workers and cut clients, and a rolling restart refuses nobody",
    { timeout: 300_000 },
    async () => {
      const plan = {
        faults: faults.filter(({ name }) => ["rolling-restart", "client-cut"].includes(name)),
        // On a busy machine a rolling restart takes ten.
        seconds: 20,
        faultEverySeconds: 2,
        clients: 30,
        controlClients: 0,
        topics: 4,
        ratePerSec: 80,
        broker: "memory",
        workers: 2,
        seed: 7,
        cuts: 10,
        withControl: false,
        settings: [],
      } as const;
      const rolling = makeReport(plan, await runVerification(plan, new AbortController().signal), "");
      expect(rolling.problems).toEqual([]);
      const [own] = rolling.subjects;
      expect(own?.findings.examples).toEqual([]);
      expect(own === undefined || isClean(own.findings)).toBe(true);
      expect(own?.faults.map(({ fault }) => fault).toSorted()).toEqual(["client-cut", "rolling-restart"]);
      expect([own?.connectionsRefused, own?.publishing.connectionsRefused]).toEqual([0, 0]);
      expect(own?.findings.told).toBe(0);

      const kills = { ...plan, faults: faults.filter(({ name }) => name === "worker-kill"), seconds: 8 };
      const killed = makeReport(kills, await runVerification(kills, new AbortController().signal), "");
      expect(killed.problems).toEqual([]);
      expect(killed.subjects[0]?.findings.examples).toEqual([]);
      expect(killed.ok).toBe(true);
      expect(killed.subjects[0]?.findings.told).toBe(0);
    },
  );
});
