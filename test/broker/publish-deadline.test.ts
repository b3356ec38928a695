/**
 * "503 within 2 s", whatever Redis does: each way in which a publish can wait, on a clock of the test's own. The time
 * ends the same for all of them, how often they try again and where they are sent meanwhile.
 */
import type { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { BrokerError } from "../../src/base/errors.ts";
import { publishChanceMs, publishTimeoutMs, type BrokerTopic } from "../../src/broker/broker.ts";
import { RedisPublisher, type CommandLink } from "../../src/broker/redis-publisher.ts";

const kept: BrokerTopic = { name: "chat.a", delivery: "every", history: { size: 10, ttlMs: 60_000 } };
const liveOnly: BrokerTopic = { name: "live.a", delivery: "every", history: null };

/** What each command of the client comes to, and after how long. */
interface Answers {
  readonly afterMs: number;
  readonly error: Error | null;
}

/** A client whose every command ends like this. null for an error that never comes: it says nothing. */
function clientThat({ afterMs, error }: Answers): { client: Redis; calls: () => number } {
  let calls = 0;
  const command = (): Promise<never> => {
    calls++;
    return new Promise((_resolve, reject) => {
      if (error !== null) setTimeout(() => reject(error), afterMs);
    });
  };
  // The five that a publish may use.
  const client = { call: command, callBuffer: command, publish: command, spublish: command, asking: command };
  return { client: client as unknown as Redis, calls: () => calls };
}

/** A link that is up after `upAfterMs` each time it is asked; null: never. */
function linkTo(client: Redis | null, upAfterMs: number, isCluster = false): CommandLink {
  const link: CommandLink = {
    client,
    whenUp: (timeoutMs) =>
      new Promise((resolve) => {
        const isInTime = client !== null && upAfterMs <= timeoutMs;
        setTimeout(() => resolve(isInTime ? client : null), Math.max(0, Math.min(upAfterMs, timeoutMs)));
      }),
    error: () => new BrokerError("no connection to Redis", true),
    giveUp: () => undefined,
    refused: () => undefined,
    redirected: () => (isCluster ? link : null),
  };
  return link;
}

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}

const forever = Number.POSITIVE_INFINITY;
const ways: readonly { readonly name: string; readonly link: () => CommandLink }[] = [
  { name: "no connection", link: () => linkTo(null, forever) },
  {
    name: "a client that never answers",
    link: () => linkTo(clientThat({ afterMs: 0, error: null }).client, 0),
  },
  {
    name: "a connection that is up late and never answers",
    link: () => linkTo(clientThat({ afterMs: 0, error: null }).client, publishTimeoutMs - 100),
  },
  {
    name: "a connection that is cut again and again",
    link: () => linkTo(clientThat({ afterMs: 300, error: new Error("Connection is closed.") }).client, 300),
  },
  {
    name: "commands that time out one after the other",
    link: () => linkTo(clientThat({ afterMs: 700, error: new Error("Command timed out") }).client, 10),
  },
  {
    name: "a Redis that is loading its data",
    link: () =>
      linkTo(clientThat({ afterMs: 400, error: named("ReplyError", "LOADING Redis is loading") }).client, 0),
  },
  {
    name: "a library that is missing and cannot be loaded",
    link: () =>
      linkTo(clientThat({ afterMs: 900, error: named("ReplyError", "ERR Function not found") }).client, 0),
  },
  {
    name: "nodes that send it to each other",
    link: () =>
      linkTo(clientThat({ afterMs: 90, error: named("ReplyError", "MOVED 1 a:1") }).client, 20, true),
  },
  {
    name: "a node on the way of its slot",
    link: () => linkTo(clientThat({ afterMs: 90, error: named("ReplyError", "ASK 1 a:1") }).client, 20, true),
  },
];

describe.each(ways)("a publish to Redis: $name", ({ link }) => {
  beforeEach(() => {
    vi.useFakeTimers({
      toFake: ["setTimeout", "clearTimeout", "setImmediate", "clearImmediate", "performance"],
    });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it.each([
    { what: "stored", topic: kept, options: {} },
    { what: "stored, with a key", topic: kept, options: { idempotencyKey: "k" } },
    { what: "handed on", topic: liveOnly, options: {} },
    // Of what was asked for long ago nothing is left but the chance that every publish gets.
    { what: "stored, 1.2 s late", topic: kept, options: {}, lateMs: 1200 },
    { what: "stored, 1.5 s late", topic: kept, options: {}, lateMs: 1500 },
    { what: "stored, 10 s late", topic: kept, options: {}, lateMs: 10_000 },
    { what: "handed on, 1.7 s late", topic: liveOnly, options: {}, lateMs: 1700 },
  ])("$what: is refused in time", async ({ topic, options, lateMs = 0 }) => {
    const publisher = new RedisPublisher(() => ({ link: link(), prefix: "t:", isSharded: false }));
    let endMs: number | null = null;
    let refusal: unknown = null;
    const startMs = performance.now();
    const arrivedMs = startMs - lateMs;
    const over = publisher
      .publish(topic, Buffer.from("1"), { ...options, arrivedMs })
      .catch((error: unknown) => {
        endMs = performance.now();
        refusal = error;
      });
    await vi.advanceTimersByTimeAsync(30_000);
    await over;
    expect(refusal).toBeInstanceOf(BrokerError);
    // Each immediate and timer of no time counts as a millisecond of this clock.
    const mostMs = Math.max(publishTimeoutMs - lateMs, publishChanceMs) + 2;
    expect((endMs ?? forever) - startMs).toBeLessThanOrEqual(mostMs);
  });
});

function publishTo(link: CommandLink, lateMs: number): Promise<unknown> {
  const publisher = new RedisPublisher(() => ({ link, prefix: "t:", isSharded: false }));
  return publisher.publish(liveOnly, Buffer.from("1"), { arrivedMs: performance.now() - lateMs });
}

it("leaves half a second of the promised two to timers that are late and to the answer's way", () => {
  expect(publishTimeoutMs).toBeLessThanOrEqual(1500);
});

describe("a publish that comes late", () => {
  beforeEach(() => {
    vi.useFakeTimers({
      toFake: ["setTimeout", "clearTimeout", "setImmediate", "clearImmediate", "performance"],
    });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("is stored all the same where Redis answers: on a busy machine most are late", async () => {
    const client = { publish: () => new Promise((resolve) => setTimeout(resolve, 150)) } as unknown as Redis;
    const over = publishTo(linkTo(client, 0), 60_000);
    await vi.advanceTimersByTimeAsync(1000);
    expect(await over).toBeNull();
  });

  it.each([
    { lateMs: 0, givenUp: 1 },
    { lateMs: 400, givenUp: 1 },
    { lateMs: 600, givenUp: 0 },
    { lateMs: 1700, givenUp: 0 },
  ])(
    "of $lateMs ms: gives up a silent client only after it was silent for long",
    async ({ lateMs, givenUp }) => {
      const { client } = clientThat({ afterMs: 0, error: null });
      let count = 0;
      const link: CommandLink = { ...linkTo(client, 0), giveUp: () => (count += 1) };
      const over = publishTo(link, lateMs).catch((error: unknown) => error);
      await vi.advanceTimersByTimeAsync(5000);
      expect(await over).toBeInstanceOf(BrokerError);
      expect(count).toBe(givenUp);
    },
  );
});
