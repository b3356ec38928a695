import { describe, expect, it } from "vitest";
import { publishBatch, splitLines } from "../../src/http/publish-batch.ts";
import { FakeBackend } from "./fake-backend.ts";
import { createGate } from "./http-harness.ts";

const options = {
  messageBytesMax: 65_536,
  idempotencyKeyOf: () => undefined,
  arrivedMs: 0,
  onError: () => undefined,
};

describe("publishBatch", () => {
  it("gives a large batch to the broker in slices, in order, without waiting for its answers", async () => {
    const backend = new FakeBackend();
    const gate = createGate();
    backend.gate = gate.opened;
    const pad = " ".repeat(60_000);
    const body = Array.from({ length: 40 }, (_, i) => `{"topic":"quote.A","data":${i}${pad}}`).join("\n");

    const outcomes = publishBatch(splitLines(Buffer.from(body)), backend, options);
    expect(backend.calls.length, "calls of the first turn").toBeLessThan(10);
    await expect.poll(() => backend.calls.length).toBe(40);
    gate.open();
    expect(
      (await outcomes).map((outcome) => ("error" in outcome ? outcome.error : outcome.position?.seq)),
    ).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    expect(backend.calls.map((call) => Number(Buffer.from(call.data).toString()))).toEqual(
      Array.from({ length: 40 }, (_, i) => i),
    );
  });
});

describe("splitLines", () => {
  it.each([
    ["one line", "a", [[1, "a"]]],
    [
      "a line end at the end",
      "a\nb\n",
      [
        [1, "a"],
        [2, "b"],
      ],
    ],
    [
      "blank lines between",
      "\n a\n\r\n\t\nb",
      [
        [2, " a"],
        [5, "b"],
      ],
    ],
    ["a lone CR within a line", "a\rb", [[1, "a\rb"]]],
  ])("numbers lines from 1, blank ones included: %s", (_name, body, expected) => {
    const lines = splitLines(Buffer.from(body));
    expect(lines.map((line) => [line.number, Buffer.from(line.bytes).toString()])).toEqual(expected);
  });
});
