/** The parts of `tapecast publish`: lines, batches, HTTP. */
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { Batcher } from "../../src/cli/batcher.ts";
import { CliError } from "../../src/cli/exit-code.ts";
import { HttpPublisher } from "../../src/cli/http-publisher.ts";
import { splitInput } from "../../src/cli/line-splitter.ts";
import type { Message, Outcome, Publisher } from "../../src/cli/publisher.ts";
import { FakePublishServer } from "./fake-publish-server.ts";

async function* chunks(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

async function split(
  parts: readonly (string | Uint8Array)[],
  lineBytesMax = 1000,
): Promise<(readonly [number, string | null])[]> {
  const list: (readonly [number, string | null])[] = [];
  for await (const line of splitInput(chunks(parts.map((part) => Buffer.from(part))), lineBytesMax)) {
    list.push([line.number, line.bytes === null ? null : Buffer.from(line.bytes).toString("utf8")]);
  }
  return list;
}

describe("lines of standard input", () => {
  it.each([
    [
      "with and without an end",
      ["a\nb"],
      [
        [1, "a"],
        [2, "b"],
      ],
    ],
    ["with an end", ["a\n"], [[1, "a"]]],
    [
      "CRLF, blank ones counted",
      ["a\r\n\r\nb\r\n"],
      [
        [1, "a"],
        [2, ""],
        [3, "b"],
      ],
    ],
    [
      "over chunks",
      ["a", "b", "c\nd", "\n"],
      [
        [1, "abc"],
        [2, "d"],
      ],
    ],
    [
      "CR and LF in different chunks",
      ["a\r", "\nb"],
      [
        [1, "a"],
        [2, "b"],
      ],
    ],
    ["nothing", [], []],
  ])("%s", async (_name, parts, expected) => {
    expect(await split(parts)).toEqual(expected);
  });

  it("of exactly the limit pass, one byte more is let go and counted", async () => {
    expect(await split(["aaaa\nbbbbb\ncccc"], 4)).toEqual([
      [1, "aaaa"],
      [2, null],
      [3, "cccc"],
    ]);
    expect(await split(["bb", "bb", "b", "bbbbb\nc"], 4)).toEqual([
      [1, null],
      [2, "c"],
    ]);
  });

  it("are the same however the input is cut", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom("x", "哈", "\n", "\r\n"), { maxLength: 30 }),
        fc.array(fc.nat(40)),
        async (text, cuts) => {
          const bytes = Buffer.from(text.join(""));
          const at = [...cuts.map((cut) => Math.min(cut, bytes.length)), 0, bytes.length].sort(
            (a, b) => a - b,
          );
          const parts = at.slice(1).map((end, index) => bytes.subarray(at[index], end));
          expect(await split(parts)).toEqual(await split([bytes]));
        },
      ),
    );
  });
});

const message = (data: string): Message => ({ topic: "a", data: Buffer.from(data) });
const accepted: Outcome = { accepted: true, topic: "a", epoch: null, seq: null };

/** A publisher whose batches end when the test says so. */
class SlowPublisher implements Publisher {
  readonly batchMessagesMax = 3;
  readonly batchBytesMax = 10;
  readonly batches: string[][] = [];
  readonly waiting: { resolve: () => void; reject: (error: unknown) => void }[] = [];

  publish(messages: readonly Message[]): Promise<readonly Outcome[]> {
    this.batches.push(messages.map(({ data }) => Buffer.from(data).toString()));
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve: () => resolve(messages.map(() => accepted)), reject });
    });
  }

  async close(): Promise<void> {
    // Nothing to close.
  }
}

async function turns(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe("batches", () => {
  it("form while one is under way, in order, within both limits", async () => {
    const publisher = new SlowPublisher();
    const batcher = new Batcher(publisher);
    const all = ["1"].map((data) => batcher.add(message(data)));
    await turns();
    all.push(...["2", "3", "4", "5", "6666666666", "7"].map((data) => batcher.add(message(data))));
    for (let count = 0; count < 5; count += 1) {
      publisher.waiting[count]?.resolve();
      await turns();
    }
    expect(publisher.batches).toEqual([["1"], ["2", "3", "4"], ["5"], ["6666666666"], ["7"]]);
    expect(await Promise.all(all)).toHaveLength(7);
    await batcher.idle();
  });

  it("hold up the producer when two more wait", async () => {
    const publisher = new SlowPublisher();
    const batcher = new Batcher(publisher);
    for (let count = 0; count < 9; count += 1) void batcher.add(message("x"));
    await turns();
    let hasRoom = false;
    const room = batcher.room().then(() => {
      hasRoom = true;
    });
    await turns();
    expect(hasRoom).toBe(false);
    publisher.waiting[0]?.resolve();
    await room;
  });

  it("end with the first fatal error", async () => {
    const publisher = new SlowPublisher();
    const batcher = new Batcher(publisher);
    const all = ["1", "2", "3", "4"].map((data) =>
      batcher.add(message(data)).catch((error: unknown) => error),
    );
    await turns();
    publisher.waiting[0]?.reject(new CliError(69, "gone"));
    for (const outcome of await Promise.all(all)) expect(outcome).toBeInstanceOf(CliError);
    await expect(batcher.add(message("5"))).rejects.toThrow("gone");
    await batcher.idle();
    await batcher.room();
    expect(publisher.batches).toHaveLength(1);
  });
});

describe("HTTP", () => {
  let server: FakePublishServer;
  beforeEach(async () => {
    server = await FakePublishServer.start();
  });
  afterEach(() => server.close());

  function publisher(key: string | null = null): HttpPublisher {
    return new HttpPublisher({ url: server.url, key, retryWaitsMs: [0, 0] });
  }

  it("sends one message as JSON and more as NDJSON, data byte for byte", async () => {
    await publisher("k1").publish([message('{"price":1.10, "id":12345678901234567890}')]);
    await publisher().publish([message("1.0"), message('[\n1,\r\n"哈\\n" ]')]);
    expect(
      server.requests.map((request) => [
        request.path,
        request.headers["content-type"],
        request.headers.authorization,
        request.body,
      ]),
    ).toEqual([
      [
        "/api/publish",
        "application/json",
        "Bearer k1",
        '{"topic":"a","data":{"price":1.10, "id":12345678901234567890}}\n',
      ],
      [
        "/api/publish",
        "application/x-ndjson",
        undefined,
        '{"topic":"a","data":1.0}\n{"topic":"a","data":[ 1,  "哈\\n" ]}\n',
      ],
    ]);
  });

  it("says of each message what became of it", async () => {
    expect(await publisher().publish([message("1"), message('"REFUSE"'), message("3")])).toEqual([
      { accepted: true, topic: "a", epoch: "17", seq: 1 },
      { accepted: false, code: "bad_topic", reason: "not that one" },
      { accepted: true, topic: "a", epoch: "17", seq: 3 },
    ]);
  });

  it.each([
    ["503", { status: 503, body: '{"error":{"code":"unavailable","message":"wait"}}' }],
    ["429", { status: 429, body: "" }],
    ["an answer that is no JSON", { status: 502, body: "<html>" }],
  ])("repeats after %s with the same idempotency key", async (_name, answer) => {
    server.answers.push(answer, answer);
    await publisher().publish([message("1")]);
    const keys = server.requests.map((request) => request.headers["idempotency-key"]);
    expect(keys).toHaveLength(3);
    expect(new Set(keys).size).toBe(1);
    await publisher().publish([message("2")]);
    expect(server.requests.at(-1)?.headers["idempotency-key"]).not.toBe(keys[0]);
  });

  it("says once that it tries on, and why, when a request has failed twice", async () => {
    const waits: [problem: string, forMs: number][] = [];
    const http = new HttpPublisher({
      url: server.url,
      key: null,
      retryWaitsMs: [1, 2, 3],
      onWait: (...wait) => waits.push(wait),
    });
    const away = { status: 503, body: '{"error":{"code":"unavailable","message":"no broker"}}' };
    server.answers.push(away);
    await http.publish([message("1")]);
    expect(waits).toEqual([]);
    server.answers.push(away, away, away);
    await http.publish([message("2")]);
    expect(waits).toEqual([[`${server.url}/api/publish answers 503: no broker`, 5]]);
  });

  it("repeats after a cut connection once the server was there", async () => {
    const http = publisher();
    await http.publish([message("1")]);
    server.answers.push(null);
    await http.publish([message("2")]);
    expect(server.requests).toHaveLength(3);
  });

  it("gives up in the end with 69", async () => {
    server.answers.push(
      ...Array.from({ length: 3 }, () => ({
        status: 503,
        body: '{"error":{"code":"unavailable","message":"no broker"}}',
      })),
    );
    await expect(publisher().publish([message("1")])).rejects.toMatchObject({
      exitCode: 69,
      message: expect.stringContaining("no broker"),
    });
  });

  it("gives up at once with 69 when nobody was ever there", async () => {
    server.close();
    await expect(publisher().publish([message("1")])).rejects.toMatchObject({
      exitCode: 69,
      message: expect.stringContaining("connection refused"),
    });
  });

  it.each([401, 403])("gives up at once with 1 after %i", async (status) => {
    server.answers.push({ status, body: '{"error":{"code":"unauthorized","message":"a key is needed"}}' });
    await expect(publisher().publish([message("1"), message("2")])).rejects.toMatchObject({
      exitCode: 1,
      message: "unauthorized: a key is needed",
    });
  });

  it("halves a batch that is too large, down to the one that is", async () => {
    const tooLarge = { status: 413, body: '{"error":{"code":"too_large","message":"too large"}}' };
    server.answers.push(tooLarge, tooLarge);
    const outcomes = await publisher().publish([message("1"), message("2"), message("3")]);
    // 3 → 2 + 1 → 1 + 1 + 1: the first two answers were given to the three and the two.
    expect(server.requests.map((request) => request.body.split("\n").length - 1)).toEqual([3, 2, 1, 1, 1]);
    expect(outcomes.map((outcome) => outcome.accepted)).toEqual([true, true, true]);
    server.answers.push(tooLarge);
    expect(await publisher().publish([message("1")])).toEqual([
      { accepted: false, code: "too_large", reason: "too large" },
    ]);
  });

  it.each(["{}", '{"results":[]}', "hello"])("does not believe the answer %s", async (body) => {
    server.answers.push({ status: 200, body });
    await expect(publisher().publish([message("1")])).rejects.toThrow("cannot be understood");
  });

  it("keeps the path of the URL, and refuses URLs of other kinds", async () => {
    await new HttpPublisher({ url: `${server.url}/tape/`, key: null }).publish([message("1")]);
    expect(server.requests[0]?.path).toBe("/tape/api/publish");
    for (const url of ["ws://h", "127.0.0.1:8080", "x"]) {
      expect(() => new HttpPublisher({ url, key: null })).toThrow(CliError);
    }
  });
});
