import { describe, expect, it } from "vitest";

import type { BrokerListener, BrokerStatus } from "../../src/broker/broker.ts";
import { Readiness } from "../../src/broker/readiness.ts";

function listening(): { readonly told: BrokerStatus[]; readonly listener: BrokerListener } {
  const told: BrokerStatus[] = [];
  const listener: BrokerListener = {
    onOpened: () => undefined,
    onGap: () => undefined,
    onEpoch: () => undefined,
    onStatus: (status) => void told.push(status),
  };
  return { told, listener };
}

describe("a broker's readiness", () => {
  it("is told when it changes, and when only the reason does, once each", () => {
    const { told, listener } = listening();
    const readiness = new Readiness();
    expect(readiness.status).toEqual({ ready: false, reason: "not started" });
    readiness.start(listener);
    for (const reason of ["away", "away", "full", null, null, "away"]) readiness.set(reason);
    expect(told).toEqual([
      { ready: false, reason: "away" },
      { ready: false, reason: "full" },
      { ready: true, reason: null },
      { ready: false, reason: "away" },
    ]);
    expect(readiness.status).toBe(told.at(-1));
  });

  it("is told to nobody once the broker is stopped", () => {
    const { told, listener } = listening();
    const readiness = new Readiness();
    readiness.start(listener);
    readiness.stop();
    readiness.set("the other side is gone");
    expect(told).toEqual([]);
    expect(readiness.status).toEqual({ ready: false, reason: "stopped" });
  });

  it("has one listener", () => {
    const readiness = new Readiness();
    readiness.start(listening().listener);
    expect(() => readiness.start(listening().listener)).toThrow("a broker is started once");
  });
});
