import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { BodyBudget, type BodyShare, readBody } from "../../src/http/body-reader.ts";

function unlimited(): BodyShare {
  return new BodyBudget(Number.POSITIVE_INFINITY).open();
}

describe("readBody", () => {
  it.each([
    ["nothing", []],
    ["one chunk", [5000]],
    ["chunks that outgrow the first allocation", [4000, 4000, 4000]],
    ["exactly the limit", [10_000, 10_000]],
  ])("joins %s", async (_name, sizes) => {
    const stream = new PassThrough();
    const body = readBody(stream, 20_000, unlimited());
    const parts = sizes.map((size, index) => Buffer.alloc(size, index + 1));
    for (const part of parts) stream.write(part);
    stream.end();
    expect((await body).equals(Buffer.concat(parts))).toBe(true);
  });

  it("refuses the first byte past the limit and keeps nothing of what follows", async () => {
    const stream = new PassThrough();
    const body = readBody(stream, 100, unlimited());
    stream.write(Buffer.alloc(100));
    stream.write("x");
    await expect(body).rejects.toMatchObject({ status: 413, code: "too_large" });
    expect(stream.listenerCount("data")).toBe(0);
  });

  it.each([
    ["with an error", new Error("reset")],
    ["without a word", undefined],
  ])("refuses a body that is cut %s", async (_name, error) => {
    const stream = new PassThrough();
    const body = readBody(stream, 100, unlimited());
    stream.destroy(error);
    await expect(body).rejects.toMatchObject({ status: 400, code: "bad_request" });
  });

  it("holds single-byte chunks in at most twice their size", async () => {
    const stream = new PassThrough();
    const body = readBody(stream, 1_000_000, unlimited());
    for (let i = 0; i < 100_000; i++) stream.write(Buffer.from([i & 0xff]));
    stream.end();
    const bytes = await body;
    expect(bytes.length).toBe(100_000);
    expect(bytes.buffer.byteLength).toBeLessThanOrEqual(200_000);
    expect(bytes[99_999]).toBe(99_999 & 0xff);
  });

  it("limits.httpBodyBytesInFlightMax: at the limit and one past it, and again when one is over", async () => {
    const budget = new BodyBudget(12_288);
    const shares = [budget.open(), budget.open(), budget.open(), budget.open()];
    const streams = shares.map(() => new PassThrough());
    const bodies = shares.map((share, index) => readBody(streams[index]!, 8192, share));
    await expect(bodies[3]).rejects.toMatchObject({ status: 503, code: "unavailable" });
    expect(budget.bytes).toBe(12_288);
    streams[0]!.end("x".repeat(4096));
    expect((await bodies[0]!).length).toBe(4096);
    streams[1]!.write("x".repeat(4097));
    await expect(bodies[1]).rejects.toMatchObject({ status: 503 });
    shares[0]!.release();
    shares[1]!.release();
    expect(budget.bytes).toBe(4096);
    streams[2]!.end("x".repeat(8192));
    expect((await bodies[2]!).length).toBe(8192);
    shares[2]!.release();
    expect(budget.bytes).toBe(0);
  });
});
