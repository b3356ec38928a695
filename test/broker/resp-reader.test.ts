/** Reading RESP2 (redis.io, "Redis serialization protocol"): every reply whole, byte by byte, and at every split. */
import { array, assert, integer, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { RespReader, type RespValue } from "../../src/broker/resp-reader.ts";

type Seen = (string | number | null)[] | string;

function read(chunks: readonly Buffer[]): Seen[] {
  const seen: Seen[] = [];
  const reader = new RespReader({
    onArray: (values: readonly RespValue[]) => {
      seen.push(values.map((value) => (Buffer.isBuffer(value) ? value.toString() : value)));
    },
    onError: (message) => seen.push(`error ${message}`),
    onBroken: (problem) => seen.push(`broken ${problem}`),
  });
  for (const chunk of chunks) reader.push(chunk);
  return seen;
}

function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}

const stream = [
  `*3\r\n${bulk("ssubscribe")}${bulk("tape:{p17}:a")}:1\r\n`,
  `*3\r\n${bulk("smessage")}${bulk("tape:{p17}:a")}${bulk('"a\r\nb"')}`,
  "-MOVED 10264 127.0.0.1:7001\r\n",
  `*3\r\n${bulk("smessage")}${bulk("tape:{p17}:a")}${bulk("")}`,
  "+OK\r\n",
  `*3\r\n${bulk("sunsubscribe")}$-1\r\n:0\r\n`,
  `*3\r\n${bulk("smessage")}${bulk("tape:{p17}:哈")}${bulk("x".repeat(300))}`,
].join("");

const expected: Seen[] = [
  ["ssubscribe", "tape:{p17}:a", 1],
  ["smessage", "tape:{p17}:a", '"a\r\nb"'],
  "error MOVED 10264 127.0.0.1:7001",
  ["smessage", "tape:{p17}:a", ""],
  ["sunsubscribe", null, 0],
  ["smessage", "tape:{p17}:哈", "x".repeat(300)],
];

describe("a stream of pushes, replies and errors", () => {
  const bytes = Buffer.from(stream);

  it("whole", () => expect(read([bytes])).toEqual(expected));

  it("byte by byte", () => {
    expect(read(Array.from(bytes, (_, index) => bytes.subarray(index, index + 1)))).toEqual(expected);
  });

  it("cut at every place", () => {
    for (let cut = 1; cut < bytes.length; cut++) {
      expect(read([bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual(expected);
    }
  });

  it("cut at random", () => {
    assert(
      property(array(integer({ min: 0, max: bytes.length }), { maxLength: 20 }), (cuts) => {
        const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
        const chunks = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
        expect(read(chunks)).toEqual(expected);
      }),
    );
  });
});

it("16 MiB in chunks of 16 KiB are put together once, not once per chunk", () => {
  const payload = "x".repeat(16 * 1024 * 1024);
  const bytes = Buffer.from(`*3\r\n${bulk("smessage")}${bulk("c")}${bulk(payload)}`);
  const chunks = Array.from({ length: Math.ceil(bytes.length / 16_384) }, (_, index) =>
    bytes.subarray(index * 16_384, (index + 1) * 16_384),
  );
  const startMs = performance.now();
  expect(read(chunks)).toEqual([["smessage", "c", payload]]);
  // Copying all that is there for each of 1,024 chunks would be 8 GiB: seconds.
  expect(performance.now() - startMs).toBeLessThan(1500);
});

describe("what is not RESP2", () => {
  const table: readonly (readonly [string, string, string])[] = [
    ["HTTP", "HTTP/1.1 400 Bad Request\r\n", "an unexpected type of reply"],
    ["RESP3 push", ">3\r\n$1\r\nx\r\n", "an unexpected type of reply"],
    ["an array too long", "*17\r\n", "an array of an unexpected length"],
    ["a null array", "*-1\r\n", "an array of an unexpected length"],
    ["an array in an array", "*1\r\n*1\r\n", "an unexpected element of an array"],
    ["a bulk string of no length", "*1\r\n$x\r\n", "an unexpected element of an array"],
    [
      "a bulk string longer than Redis makes them",
      "*1\r\n$536870913\r\n",
      "an unexpected element of an array",
    ],
    ["a line without an end", `-${"x".repeat(65_537)}`, "a line without an end"],
  ];
  for (const [name, text, problem] of table) {
    it(`${name} is told once, and the rest is discarded`, () => {
      expect(read([Buffer.from(text), Buffer.from(stream)])).toEqual([`broken ${problem}`]);
    });
  }
});
