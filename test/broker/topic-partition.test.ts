/** Where a topic lives in a cluster: publishers in other languages compute the same. */
import { describe, expect, it } from "vitest";
import {
  keySlot,
  partitionOf,
  partitionSlot,
  slotCount,
  topicNames,
} from "../../src/broker/topic-partition.ts";

describe("CRC16 of the Redis Cluster specification", () => {
  // The first is the specification's own check value; the others are what CLUSTER KEYSLOT of Redis 7.0.15 says.
  const table: readonly (readonly [string, number])[] = [
    ["123456789", 0x31c3],
    ["", 0],
    ["foo", 12_182],
    ["p0", 15_882],
    ["p17", 10_264],
    ["quote.AAPL", 4937],
    ["chat.大厅", 1387],
  ];
  for (const [text, slot] of table) {
    it(`${JSON.stringify(text)} is in slot ${slot}`, () => expect(keySlot(text)).toBe(slot));
  }
});

describe("partitions", () => {
  it("channel and key carry the same tag, the topic's own", () => {
    const partition = partitionOf("quote.AAPL", 256);
    expect(partition).toBe(4937 % 256);
    expect(topicNames("tape:", partition, "quote.AAPL")).toEqual({
      channel: "tape:{p73}:quote.AAPL",
      log: "tape:{p73}:log:quote.AAPL",
    });
    expect(topicNames("tape:", null, "quote.AAPL")).toEqual({
      channel: "tape:quote.AAPL",
      log: "tape:log:quote.AAPL",
    });
  });

  it("256 of them are shared by 3 to 16 masters within a quarter of the mean", () => {
    for (let masterCount = 3; masterCount <= 16; masterCount++) {
      const counts = Array.from({ length: masterCount }, () => 0);
      for (let partition = 0; partition < 256; partition++) {
        counts[Math.floor((partitionSlot(partition) * masterCount) / slotCount)]! += 1;
      }
      expect([masterCount, Math.max(...counts) / (256 / masterCount)]).toEqual([
        masterCount,
        expect.toSatisfy((ratio: number) => ratio < 1.25),
      ]);
    }
  });

  it("10,000 symbols are spread over 256 partitions, none with more than twice the mean", () => {
    const counts = Array.from({ length: 256 }, () => 0);
    for (let index = 0; index < 10_000; index++) {
      const symbol = index
        .toString(26)
        .replaceAll(/./g, (digit) => String.fromCodePoint(65 + Number.parseInt(digit, 26)));
      counts[partitionOf(`quote.${symbol}`, 256)]! += 1;
    }
    expect(Math.max(...counts)).toBeLessThan(79);
    expect(Math.min(...counts)).toBeGreaterThan(0);
  });
});
