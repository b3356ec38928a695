/** NDJSON bodies of `POST /api/publish` beside JSON.parse, line by line. */
import { isUtf8 } from "node:buffer";
import type { BrokerTopic, Position } from "../../src/broker/broker.ts";
import { publishBatch, splitLines } from "../../src/http/publish-batch.ts";
import type { HttpBackend } from "../../src/http/http-backend.ts";
import { RequestError } from "../../src/base/errors.ts";
import { expectSame, type FuzzInput, type FuzzTarget } from "./fuzz-target.ts";
import { mutate } from "./mutate.ts";

/** Beyond every input here: the limit itself is tested in test/http. */
const messageBytesMax = 65_536;
const lines = [
  '{"topic":"quote.A","data":{"price":1.10}}', '{"data":12345678901234567890,"topic":"quote.A"}', ' { "topic" : "a" , "data" : null } ',
  '{"topic":"a","data":1,"more":2}', '{"topic":"a"}', '{"data":1}', '{"topic":1,"data":1}', '{"topic":"a","topic":"b","data":"\\u00e9"}',
  "[]", "1", "", " \t", '{"topic":"\\u0061","data":"哈"}', `{"topic":"a","data":"${"x".repeat(62)}"}`, `{"topic":"a","data":"${"x".repeat(63)}"}`,
  '{"__proto__":1,"data":1}',
]; // prettier-ignore

export const batchTarget: FuzzTarget = {
  name: "batch",
  make(random) {
    const count = 1 + random.int(4);
    const text = Array.from(
      { length: count },
      () => random.pick(lines) + random.pick(["\n", "\r\n", "\n\n", ""]),
    );
    const valid = Buffer.from(text.join(""));
    return { bytes: random.chance(60) ? mutate(random, valid) : valid, cuts: [], variant: 0 };
  },
  async check({ bytes }: FuzzInput) {
    const expected = twinOf(bytes);
    const published: string[] = [];
    let found: string[] = [];
    try {
      const outcomes = await publishBatch(splitLines(bytes), backendInto(published), {
        messageBytesMax,
        idempotencyKeyOf: () => undefined,
        arrivedMs: 0,
        onError: (error) => {
          throw error;
        },
      });
      found = outcomes.map(
        (outcome) => `${outcome.line} ${"error" in outcome ? "refused" : outcome.topic.name}`,
      );
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
    }
    expectSame(
      "lines",
      found,
      expected.map(({ line, topic }) => `${line} ${topic ?? "refused"}`),
    );
    const taken = expected.filter(({ topic }) => topic !== null);
    expectSame(
      "data",
      published,
      taken.map(({ data }) => JSON.stringify(data)),
    );
  },
};

interface TwinLine {
  readonly line: number;
  /** Null: refused. */
  readonly topic: string | null;
  readonly data: unknown;
}

function twinOf(bytes: Buffer): TwinLine[] {
  const pieces = bytes.toString("latin1").split("\n");
  return pieces
    .map((piece, index) => ({ line: index + 1, source: Buffer.from(piece, "latin1") }))
    .filter(({ source }) => !/^[ \t\r]*$/u.test(source.toString("latin1")))
    .map(({ line, source }) => messageOf(line, source));
}

function messageOf(line: number, source: Buffer): TwinLine {
  const refused = { line, topic: null, data: null };
  if (!isUtf8(source)) return refused;
  let value: unknown;
  try {
    value = JSON.parse(source.toString());
  } catch {
    return refused;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return refused;
  const members = new Map(Object.entries(value));
  const topic = members.get("topic");
  if (members.size !== 2 || !members.has("data") || typeof topic !== "string") return refused;
  const data = members.get("data");
  return { line, topic, data };
}

function backendInto(published: string[]): HttpBackend {
  const backend: Pick<HttpBackend, "topic" | "publish"> = {
    topic(name): BrokerTopic {
      if (typeof name !== "string") throw new RequestError("bad_topic", "no name");
      return { name, history: null } as unknown as BrokerTopic;
    },
    publish(_topic, data): Promise<Position | null> {
      published.push(JSON.stringify(JSON.parse(Buffer.from(data).toString())));
      return Promise.resolve(null);
    },
  };
  // The batch uses these two.
  return backend as HttpBackend;
}
