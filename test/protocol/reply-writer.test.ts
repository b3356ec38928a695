import { describe, expect, it } from "vitest";

import { toByteString } from "../../src/base/byte-string.ts";
import { RequestError } from "../../src/base/errors.ts";
import type { RequestErrorCode } from "../../src/base/errors.ts";
import { errorJson, errorReply, ReplyWriter } from "../../src/protocol/reply-writer.ts";

describe("ReplyWriter: text and data in their order, data byte for byte", () => {
  it.each([
    { name: "prices keep their decimals", data: '{"price":189.30}' },
    { name: "integers keep their digits", data: "18446744073709551615" },
    { name: "white space stays", data: '{ "a" :\n1 }' },
    { name: "another script", data: '"哈哈哈 🎉"' },
    { name: "escapes stay escapes", data: String.raw`"\u0041\/"` },
  ])("$name", ({ data }) => {
    for (const bytes of [Buffer.from(data), toByteString(Buffer.from(data))]) {
      const reply = new ReplyWriter().text('{"data":').data(bytes).text(',"更":1}');
      expect(reply.byteLength).toBe(Buffer.byteLength(`{"data":${data},"更":1}`));
      expect(reply.bytes().toString()).toBe(`{"data":${data},"更":1}`);
    }
  });

  it.each([
    { name: "none", entries: [], json: '"messages":[]' },
    { name: "one", entries: [{ seq: 3, data: '"a"' }], json: '"messages":[{"seq":3,"data":"a"}]' },
    {
      name: "several",
      entries: [
        { seq: 3, data: "1.10" },
        { seq: 4, data: "{}" },
      ],
      json: '"messages":[{"seq":3,"data":1.10},{"seq":4,"data":{}}]',
    },
  ])("messages: $name", ({ entries, json }) => {
    const wire = entries.map(({ seq, data }) => ({ seq, data: Buffer.from(data) }));
    expect(new ReplyWriter().messages(wire).bytes().toString()).toBe(json);
  });

  it("an empty one is empty, and bytes can be asked for twice", () => {
    expect(new ReplyWriter().bytes()).toHaveLength(0);
    const writer = new ReplyWriter().text("a");
    expect([writer.bytes().toString(), writer.bytes().toString()]).toEqual(["a", "a"]);
    expect(writer.data(Buffer.from("b")).text("c").bytes().toString()).toBe("abc");
  });

  it("what is larger than 64 KiB is the caller's, anything else anybody's next", () => {
    const [small, large] = [65_536, 65_537].map((bytes) => new ReplyWriter().text("a".repeat(bytes)).bytes());
    new ReplyWriter().text("b".repeat(65_536)).bytes();
    expect(small?.toString()).toBe("b".repeat(65_536));
    expect(large?.toString()).toBe("a".repeat(65_537));
  });
});

describe("error replies", () => {
  it.each<{ code: RequestErrorCode; temporary: boolean }>([
    { code: "bad_request", temporary: false },
    { code: "bad_topic", temporary: false },
    { code: "unknown_topic", temporary: false },
    { code: "unauthorized", temporary: false },
    { code: "forbidden", temporary: false },
    { code: "limit", temporary: false },
    { code: "rate_limited", temporary: true },
    { code: "too_large", temporary: false },
    { code: "unavailable", temporary: true },
    { code: "internal", temporary: true },
  ])("$code, temporary: $temporary", ({ code, temporary }) => {
    const error = new RequestError(code, 'say "why"');
    const body = `{"code":"${code}","message":"say \\"why\\""${temporary ? ',"temporary":true' : ""}}`;
    expect(errorJson(error)).toBe(body);
    expect(errorReply("7", error)).toBe(`{"id":7,"error":${body}}`);
  });

  it("repeats the id as it was written", () => {
    expect(errorReply('"é\\n"', new RequestError("limit", "x"))).toBe(
      '{"id":"é\\n","error":{"code":"limit","message":"x"}}',
    );
  });
});
