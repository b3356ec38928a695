/** PRODUCT §4: commands. Whatever a peer sends is answered, never thrown; ids come back as they were written. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { historyLimitDefault, historyLimitMax, parseCommand } from "../../src/protocol/parse-command.ts";
import type { Command } from "../../src/protocol/parse-command.ts";

const parse = (text: string): ReturnType<typeof parseCommand> => parseCommand(Buffer.from(text));

const withParams = (method: string, params: string): string =>
  `{"id":1,"method":"${method}","params":${params}}`;

describe("commands", () => {
  it.each<{ name: string; text: string; command: Command }>([
    { name: "ping", text: '{"id":1,"method":"ping"}', command: { method: "ping" } },
    {
      name: "ping with params, which are not looked at",
      text: '{"id":1,"method":"ping","params":[1]}',
      command: { method: "ping" },
    },
    {
      name: "unknown members are ignored",
      text: '{"id":1,"jsonrpc":"2.0","method":"ping"}',
      command: { method: "ping" },
    },
    {
      name: "subscribe",
      text: '{"id":1,"method":"subscribe","params":{"topics":["a","b"]}}',
      command: { method: "subscribe", topics: ["a", "b"], intervalMs: null, since: new Map() },
    },
    {
      name: "subscribe with all that it can have",
      text: '{"id":1,"method":"subscribe","params":{"topics":["a"],"intervalMs":250.5,"since":{"a":{"epoch":"7","seq":3}}}}',
      command: {
        method: "subscribe",
        topics: ["a"],
        intervalMs: 250.5,
        since: new Map([["a", { epoch: "7", seq: 3 }]]),
      },
    },
    {
      name: "topics named twice count once",
      text: '{"id":1,"method":"subscribe","params":{"topics":["a","b","a"]}}',
      command: { method: "subscribe", topics: ["a", "b"], intervalMs: null, since: new Map() },
    },
    {
      name: "an interval beyond all numbers",
      text: '{"id":1,"method":"subscribe","params":{"topics":["a"],"intervalMs":1e999}}',
      command: { method: "subscribe", topics: ["a"], intervalMs: Number.POSITIVE_INFINITY, since: new Map() },
    },
    {
      name: "names that are none are the session's to refuse",
      text: '{"id":1,"method":"unsubscribe","params":{"topics":["nope!",""]}}',
      command: { method: "unsubscribe", topics: ["nope!", ""] },
    },
    {
      name: "token",
      text: '{"id":1,"method":"token","params":{"token":"x.y.z"}}',
      command: { method: "token", token: "x.y.z" },
    },
    {
      name: "history",
      text: '{"id":1,"method":"history","params":{"topic":"a"}}',
      command: { method: "history", topic: "a", since: null, limit: historyLimitDefault },
    },
    {
      name: "history from a position",
      text: '{"id":1,"method":"history","params":{"topic":"a","since":{"epoch":"7","seq":0},"limit":1}}',
      command: { method: "history", topic: "a", since: { epoch: "7", seq: 0 }, limit: 1 },
    },
    {
      name: "subscribe: null is left out",
      text: '{"id":1,"method":"subscribe","params":{"topics":["a"],"intervalMs":null,"since":null}}',
      command: { method: "subscribe", topics: ["a"], intervalMs: null, since: new Map() },
    },
    {
      name: "history: null is left out",
      text: '{"id":1,"method":"history","params":{"topic":"a","since":null,"limit":null}}',
      command: { method: "history", topic: "a", since: null, limit: historyLimitDefault },
    },
    {
      name: "at the most entries",
      text: '{"id":1,"method":"history","params":{"topic":"a","limit":1000}}',
      command: { method: "history", topic: "a", since: null, limit: historyLimitMax },
    },
    {
      name: "past the most entries",
      text: '{"id":1,"method":"history","params":{"topic":"a","limit":1001}}',
      command: { method: "history", topic: "a", since: null, limit: historyLimitMax },
    },
    {
      name: "escapes in names",
      text: String.raw`{"\u0069d":1,"m\u0065thod":"pi\u006eg"}`,
      command: { method: "ping" },
    },
    {
      name: "of duplicate members the last",
      text: '{"id":1,"method":"token","method":"ping"}',
      command: { method: "ping" },
    },
    {
      name: "white space everywhere",
      text: ' {\n"id" : 1 ,\t"method":\r"ping" } ',
      command: { method: "ping" },
    },
  ])("reads: $name", ({ text, command }) => {
    // prettier-ignore
    expect(parse(text)).toEqual({ idJson: "1", command, error: null });
  });

  it.each([
    { name: "a number with its decimals", data: "1.10" },
    { name: "a 64-bit integer", data: "18446744073709551615" },
    { name: "inner white space, none around", data: '{ "a" : [1, 2 ] }' },
    { name: "null", data: "null" },
    { name: "a string of another script", data: '"哈哈哈"' },
    { name: "duplicate members", data: '{"a":1,"a":2}' },
  ])("takes a publish's data byte for byte: $name", ({ data }) => {
    const { command } = parse(`{"id":1,"method":"publish","params":{"topic":"a","data": ${data} }}`);
    if (command?.method !== "publish") throw new Error("no publish");
    expect(Buffer.from(command.data).toString()).toBe(data);
    expect(command.topic).toBe("a");
  });

  it("leaves a publish without a topic to the session, with the topic undefined", () => {
    const { command } = parse('{"id":1,"method":"publish","params":{"data":1}}');
    expect(command).toMatchObject({ method: "publish", topic: undefined });
  });
});

describe("ids come back as they were written", () => {
  it.each([
    { name: "an integer", id: "1" },
    { name: "zero", id: "0" },
    { name: "negative", id: "-3" },
    { name: "an integer that no double holds", id: "18446744073709551615" },
    { name: "trailing decimals", id: "1.50" },
    { name: "beyond all numbers", id: "1e999" },
    { name: "a string", id: '"a"' },
    { name: "an empty string", id: '""' },
    { name: "escapes", id: String.raw`"\u00e9\n\"\\"` },
    { name: "another script", id: '"编号"' },
    { name: "128 bytes", id: JSON.stringify("x".repeat(126)) },
    { name: "null", id: "null" },
  ])("$name", ({ id }) => {
    expect(parse(`{"id": ${id} ,"method":"ping"}`)).toMatchObject({ idJson: id, error: null });
  });

  it("of duplicate ids the last", () => {
    expect(parse('{"id":1,"id":2,"method":"ping"}').idJson).toBe("2");
  });

  it("no id is null", () => {
    expect(parse('{"method":"ping"}')).toMatchObject({ idJson: "null", error: null });
  });

  it.each([
    { name: "true", id: "true" },
    { name: "an object", id: '{"a":1}' },
    { name: "an array", id: "[1]" },
    { name: "129 bytes", id: JSON.stringify("x".repeat(127)) },
    { name: "a number of 200 digits", id: "1".repeat(200) },
  ])("what is no id is answered with null: $name", ({ id }) => {
    const parsed = parse(`{"id":${id},"method":"ping"}`);
    expect(parsed.idJson).toBe("null");
    expect(parsed.error?.code).toBe("bad_request");
  });

  it("the id of a bad command is kept", () => {
    expect(parse('{"id":"x","method":"nope"}')).toMatchObject({ idJson: '"x"', command: null });
  });
});

describe("unreadable messages are answered with id null (ABUSE PS1)", () => {
  it.each([
    { name: "nothing", text: "" },
    { name: "white space", text: "  " },
    { name: "no JSON", text: "hello" },
    { name: "cut short", text: '{"id":1,"method":"ping"' },
    { name: "something behind it", text: '{"id":1,"method":"ping"}x' },
    { name: "two values", text: '{"id":1,"method":"ping"}{"id":2,"method":"ping"}' },
    { name: "a string", text: '"ping"' },
    { name: "a number", text: "1" },
    { name: "null", text: "null" },
    { name: "a list of commands", text: '[{"id":1,"method":"ping"}]' },
    { name: "single quotes", text: "{'id':1}" },
    { name: "a trailing comma", text: '{"id":1,"method":"ping",}' },
    { name: "NaN", text: '{"id":NaN,"method":"ping"}' },
    { name: "a comment", text: '{"id":1/**/,"method":"ping"}' },
    { name: "a byte order mark", text: '\uFEFF{"id":1,"method":"ping"}' },
    { name: "a control character in a string", text: '{"id":"\u0001","method":"ping"}' },
    {
      name: "10,000 levels",
      text: `{"id":1,"method":"ping","params":${"[".repeat(10_000)}${"]".repeat(10_000)}}`,
    },
    { name: "64 KB of [", text: "[".repeat(65_536) },
    {
      name: "129 levels in data",
      text: `{"id":1,"method":"publish","params":{"topic":"a","data":${"[".repeat(129)}${"]".repeat(129)}}}`,
    },
  ])("$name", ({ text }) => {
    // prettier-ignore
    const parsed = parse(text);
    expect(parsed.idJson).toBe("null");
    expect(parsed.command).toBeNull();
    expect(parsed.error?.code).toBe("bad_request");
  });

  it("invalid UTF-8", () => {
    const bytes = Buffer.from('{"id":1,"method":"ping?"}');
    bytes[bytes.indexOf("?")] = 0xff;
    expect(parseCommand(bytes)).toMatchObject({ idJson: "null", command: null });
  });

  it("takes under 5 ms for 64 KB of nesting", () => {
    const bytes = Buffer.from("[".repeat(65_536));
    parseCommand(bytes);
    const startMs = performance.now();
    for (let count = 0; count < 20; count += 1) parseCommand(bytes);
    expect((performance.now() - startMs) / 20).toBeLessThan(5);
  });
});

describe("readable messages that are no command keep their id", () => {
  it.each([
    { name: "no method", text: '{"id":1}' },
    { name: "an unknown method", text: '{"id":1,"method":"shout"}' },
    { name: "a method in capitals", text: '{"id":1,"method":"PING"}' },
    { name: "a method of Object", text: '{"id":1,"method":"constructor"}' },
    { name: "__proto__", text: '{"id":1,"method":"__proto__"}' },
    { name: "a method that is a number", text: '{"id":1,"method":1}' },
    { name: "subscribe without params", text: '{"id":1,"method":"subscribe"}' },
    { name: "params null", text: withParams("subscribe", "null") },
    { name: "params a list", text: withParams("subscribe", '["a"]') },
    { name: "no topics", text: withParams("subscribe", "{}") },
    { name: "topics empty", text: withParams("subscribe", '{"topics":[]}') },
    { name: "topics a string", text: withParams("subscribe", '{"topics":"a"}') },
    { name: "topics with a number", text: withParams("subscribe", '{"topics":["a",1]}') },
    {
      name: "topics an object with length",
      text: withParams("subscribe", '{"topics":{"length":1,"0":"a"}}'),
    },
    { name: "intervalMs negative", text: withParams("subscribe", '{"topics":["a"],"intervalMs":-1}') },
    { name: "intervalMs a string", text: withParams("subscribe", '{"topics":["a"],"intervalMs":"250"}') },
    { name: "since a list", text: withParams("subscribe", '{"topics":["a"],"since":[]}') },
    { name: "since a string", text: withParams("subscribe", '{"topics":["a"],"since":"0"}') },
    { name: "unsubscribe without topics", text: withParams("unsubscribe", "{}") },
    { name: "publish without params", text: '{"id":1,"method":"publish"}' },
    { name: "publish without data", text: withParams("publish", '{"topic":"a"}') },
    { name: "publish with params a list", text: withParams("publish", '["a",1]') },
    { name: "history without params", text: '{"id":1,"method":"history"}' },
    { name: "limit 0", text: withParams("history", '{"topic":"a","limit":0}') },
    { name: "limit negative", text: withParams("history", '{"topic":"a","limit":-1}') },
    { name: "limit a fraction", text: withParams("history", '{"topic":"a","limit":1.5}') },
    { name: "limit a string", text: withParams("history", '{"topic":"a","limit":"5"}') },
    { name: "token missing", text: withParams("token", "{}") },
    { name: "token a number", text: withParams("token", '{"token":1}') },
  ])("$name", ({ text }) => {
    const parsed = parse(text);
    expect(parsed.idJson).toBe("1");
    expect(parsed.error).toMatchObject({ code: "bad_request", temporary: false });
  });

  it("no answer repeats what the peer sent", () => {
    const secret = "s3cr3t";
    for (const text of [secret, `{"id":1,"method":"${secret}"}`, `{"id":1,"method":"token","params":{"token":["${secret}"]}}`]) {
      expect(parse(text).error?.message).not.toContain(secret);
    } // prettier-ignore
  });
});

describe("positions that cannot exist are answered, never an error (ABUSE PS6)", () => {
  it.each([
    { name: "offset -1", since: '{"epoch":"7","seq":-1}' },
    { name: "2^53", since: '{"epoch":"7","seq":9007199254740992}' },
    { name: "a fraction", since: '{"epoch":"7","seq":1.5}' },
    { name: "beyond all numbers", since: '{"epoch":"7","seq":1e999}' },
    { name: "a string", since: '{"epoch":"7","seq":"1"}' },
    { name: "an epoch that is a number", since: '{"epoch":7,"seq":1}' },
    { name: "no seq", since: '{"epoch":"7"}' },
    { name: "no epoch", since: '{"seq":7}' },
    { name: "a list", since: '["7",1]' },
    { name: "a number", since: "12" },
    { name: "null", since: "null" },
  ])("$name", ({ since }) => {
    const nowhere = { epoch: "", seq: -1 };
    const { command } = parse(
      `{"id":1,"method":"subscribe","params":{"topics":["a"],"since":{"a":${since}}}}`,
    );
    expect(command).toMatchObject({ since: new Map([["a", nowhere]]) });
    if (since === "null") return;
    const history = parse(`{"id":1,"method":"history","params":{"topic":"a","since":${since}}}`);
    expect(history.command).toMatchObject({ since: nowhere });
  });

  it.each([
    { name: "exponent form", seq: "1e3", read: 1000 },
    { name: "the largest", seq: "9007199254740991", read: Number.MAX_SAFE_INTEGER },
  ])("a position is a number however it is written: $name", ({ seq, read }) => {
    const { command } = parse(
      `{"id":1,"method":"history","params":{"topic":"a","since":{"epoch":"7","seq":${seq}}}}`,
    );
    expect(command).toMatchObject({ since: { epoch: "7", seq: read } });
  });

  it("names such as __proto__ are names like any other", () => {
    const { command } = parse(
      '{"id":1,"method":"subscribe","params":{"topics":["__proto__","constructor"],"since":{"__proto__":{"epoch":"7","seq":1}}}}',
    );
    expect(command).toMatchObject({
      topics: ["__proto__", "constructor"],
      since: new Map([["__proto__", { epoch: "7", seq: 1 }]]),
    });
  });
});

describe("any bytes at all", () => {
  it("are answered and never throw", () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.json().map((text) => Buffer.from(text))), (bytes) => {
        const parsed = parseCommand(bytes);
        expect(parsed.error === null).toBe(parsed.command !== null);
      }),
      { numRuns: 2000 },
    ); // prettier-ignore
  });

  it("neither does any JSON as params of any method", () => {
    const method = fc.constantFrom("subscribe", "unsubscribe", "publish", "history", "token", "ping");
    fc.assert(
      fc.property(method, fc.json(), (name, params) => {
        const parsed = parse(`{"id":1,"method":"${name}","params":${params}}`);
        expect(parsed.idJson).toBe("1");
      }),
      { numRuns: 2000 },
    );
  });
});
