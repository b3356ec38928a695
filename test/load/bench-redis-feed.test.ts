import { describe, expect, it } from "vitest";

interface RedisFeed {
  readonly createReader: (onMessage: (channel: string, payload: Buffer) => void) => (chunk: Buffer) => void;
  readonly subscribeCommands: (prefix: string, count: number) => string;
}

const { createReader, subscribeCommands } = (await import(
  new URL("../../load/peers/redis-feed.mjs", import.meta.url).href
)) as RedisFeed;

const wire = Buffer.from(
  "*3\r\n$9\r\nsubscribe\r\n$6\r\ntape:1\r\n:1\r\n" +
    '*3\r\n$7\r\nmessage\r\n$6\r\ntape:1\r\n$7\r\n{"a":1}\r\n' +
    "*3\r\n$9\r\nsubscribe\r\n$7\r\ntape:20\r\n:12\r\n" +
    "*3\r\n$7\r\nmessage\r\n$7\r\ntape:20\r\n$12\r\n\r\n*3\r\n$7\r\nme\r\n",
);
const expected = ['tape:1 {"a":1}', "tape:20 \r\n*3\r\n$7\r\nme"];

describe("the peers' reader of Redis", () => {
  it("reads the same at every split, and byte by byte", () => {
    for (let split = 0; split <= wire.length; split += 1) {
      expect(read([wire.subarray(0, split), wire.subarray(split)])).toEqual(expected);
    }
    expect(read([...wire].map((byte) => Buffer.of(byte)))).toEqual(expected);
  });

  it("subscribes to each channel by name", () => {
    expect(subscribeCommands("tape:tick.", 2)).toBe(
      "*2\r\n$9\r\nSUBSCRIBE\r\n$11\r\ntape:tick.0\r\n*2\r\n$9\r\nSUBSCRIBE\r\n$11\r\ntape:tick.1\r\n",
    );
  });
});

function read(chunks: readonly Buffer[]): string[] {
  const seen: string[] = [];
  const take = createReader((channel, payload) => seen.push(`${channel} ${payload.toString()}`));
  for (const chunk of chunks) take(Buffer.from(chunk));
  return seen;
}
