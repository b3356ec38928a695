import { setTimeout as delay } from "node:timers/promises";

import { describe, expect, it } from "vitest";

import { limitCounters } from "../../src/base/limit-counters.ts";
import { deflateCounters } from "../../src/codec/deflate-counters.ts";
import { defaultConfig } from "../../src/config/schema.ts";
import { warmUp } from "../../src/worker/warm-up.ts";

/** What keeps this process going, but for timers, which vitest has too. */
function open(): string[] {
  return process.getActiveResourcesInfo().filter((name) => /TCP|Pipe|Server/u.test(name));
}

describe("warmUp", () => {
  it.each([true, false])(
    "serves as many as it is told and leaves nothing behind (handles: %s)",
    async (isDirect) => {
      const before = open();
      const counted = structuredClone({ limits: limitCounters.reached, deflate: deflateCounters });
      const own = defaultConfig();
      const config = { ...own, listen: { ...own.listen, directHandles: isDirect } };
      expect(await warmUp(config, 130)).toEqual({ served: 130, problem: null });
      for (let wait = 0; wait < 100 && open().length > before.length; wait += 1) await delay(20);
      expect(open()).toEqual(before);
      expect({ limits: limitCounters.reached, deflate: deflateCounters }).toEqual(counted);
    },
  );

  it("ends in time with as many as could be served", async () => {
    const { served, problem } = await warmUp(defaultConfig(), 10_000, 30);
    expect(served).toBeLessThan(10_000);
    expect(problem).toBe("it was not done after 30 ms");
  });

  it("is not concerned by limits that others have", async () => {
    const own = defaultConfig();
    const limits = { ...own.limits, connectionsMax: 1, handshakesPerSecMax: 1, topicsPerConnectionMax: 1 };
    expect(await warmUp({ ...own, limits }, 60)).toEqual({ served: 60, problem: null });
  });
});
