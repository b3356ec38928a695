/** What Redis will never do is answered to whoever asked, and said in the log: nobody else would know why. */
import { afterEach, describe, expect, it } from "vitest";
import type { BrokerTopic } from "../../src/broker/broker.ts";
import { redisUrl } from "../setup/redis-url.ts";
import { RedisWorld } from "./redis-world.ts";

const topic: BrokerTopic = { name: "chat.a", delivery: "every", history: { size: 5, ttlMs: 60_000 } };
const message = Buffer.from('"secret"');
const refusal = "error Redis refuses what it is asked for";

let world: RedisWorld;
afterEach(async () => world.stop());

function refusals(): string[] {
  return world.log.lines.filter((line) => line.startsWith(refusal));
}

describe("a key that is no stream where a topic's log should be", () => {
  it("is named in the log by a publish, once a second, without the message", async () => {
    world = new RedisWorld(redisUrl());
    const { broker } = await world.start();
    await world.client().set(`${world.prefix}log:chat.a`, "no stream");
    for (let count = 0; count < 20; count += 1) {
      await expect(broker.publish(topic, message, {})).rejects.toThrow(/WRONGTYPE/);
    }
    expect(refusals().length).toBeGreaterThanOrEqual(1);
    expect(refusals().length).toBeLessThan(20);
    expect(refusals()[0]).toContain(`"place":"${world.prefix}log:chat.a"`);
    expect(refusals()[0]).toContain("WRONGTYPE");
    expect(world.log.lines.join()).not.toContain("secret");
  });

  it("is named in the log by a read", async () => {
    world = new RedisWorld(redisUrl());
    const { broker } = await world.start();
    await world.client().set(`${world.prefix}log:chat.a`, "no stream");
    await expect(broker.history(topic, null, 10)).rejects.toThrow(/WRONGTYPE/);
    expect(refusals()).toEqual([expect.stringContaining(`"place":"${world.prefix}log:chat.a"`)]);
  });
});

it("a Redis that is away is no refusal", async () => {
  world = new RedisWorld("redis://127.0.0.1:1");
  const { broker } = await world.start();
  await expect(broker.publish(topic, message, {})).rejects.toThrow(/no connection/);
  expect(refusals()).toEqual([]);
});
