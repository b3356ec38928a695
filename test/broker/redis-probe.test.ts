/** The probe of a subscriber connection, tick by tick: when it finds a connection dead, and when it leaves one alone. */
import type { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { CommandLink } from "../../src/broker/redis-publisher.ts";
import { SubscriberProbe } from "../../src/broker/redis-probe.ts";

const tickMs = 1000;
const channel = "tape:$probe";
const client = {} as unknown as Redis;

let receivers: number | Error;
let published: string[];
let cuts: string[];
let given: string[];
let probe: SubscriberProbe;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  receivers = 1;
  published = [];
  cuts = [];
  given = [];
  const commands: Pick<CommandLink, "client" | "giveUp"> = {
    client,
    giveUp: (_client, reason) => given.push(reason),
  };
  probe = new SubscriberProbe(
    { client, cut: (_client, reason) => cuts.push(reason) },
    commands as unknown as CommandLink,
    {
      channel: () => channel,
      publish: async (_client, _channel, message) => {
        published.push(message);
        if (receivers instanceof Error) throw receivers;
        return receivers;
      },
    },
  );
  probe.start();
});

afterEach(() => {
  probe.stop();
  vi.useRealTimers();
});

async function ticks(count: number, between: () => void = () => undefined): Promise<void> {
  for (let tick = 0; tick < count; tick += 1) {
    await vi.advanceTimersByTimeAsync(tickMs);
    between();
  }
}

describe("the probe of the subscriber connection", () => {
  it("leaves a connection alone on which its messages come", async () => {
    await ticks(10, () => {
      probe.came(channel, Buffer.from(published.at(-1) ?? ""));
      probe.heard();
    });
    expect(published).toHaveLength(10);
    expect([cuts, given]).toEqual([[], []]);
    expect(probe.lagMs).toBeGreaterThanOrEqual(0);
  });

  it("leaves a connection alone on which anything comes, and says how late its own message is", async () => {
    await ticks(10, () => probe.heard());
    expect(cuts).toEqual([]);
    expect(probe.lagMs).toBeGreaterThanOrEqual(0);
  });

  it("cuts one on which nothing comes, at the third silent tick", async () => {
    await ticks(2);
    expect(cuts).toEqual([]);
    await ticks(1);
    expect(cuts).toEqual(["published messages do not come back"]);
  });

  it("begins to count anew when something came", async () => {
    await ticks(2);
    probe.heard();
    await ticks(3);
    expect(cuts).toEqual([]);
    await ticks(1);
    expect(cuts).toHaveLength(1);
  });

  it("cuts one that Redis knows no subscriptions of", async () => {
    receivers = 0;
    await ticks(1);
    expect(cuts).toEqual(["Redis does not know our subscriptions"]);
  });

  it("gives the command connection up when it does not answer and nothing came either", async () => {
    receivers = new Error("Command timed out");
    await ticks(1);
    expect(given).toEqual(["Redis does not answer"]);
    probe.heard();
    await ticks(1);
    expect(given).toHaveLength(1);
  });
});
