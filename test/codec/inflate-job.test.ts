/** Large compressed messages in steps: the same verdicts and bytes as at once, with inflateMessage as the oracle. */
import { randomBytes } from "node:crypto";
import { constants, deflateRawSync } from "node:zlib";
import { describe, expect, it } from "vitest";

import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import { InflateJob } from "../../src/codec/inflate-job.ts";
import { beginInflating, inflateMessage } from "../../src/codec/inflate.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { violation, type Violation } from "../../src/codec/violation.ts";
import { MessageReader } from "../../src/codec/message-reader.ts";
import { readChunks, readSuspended, recordingSink, serverOptions } from "./reader-harness.ts";

const mebibyte = 1_048_576;

function compress(bytes: Uint8Array): Buffer {
  return deflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

function frame(frameOpcode: number, payload: Uint8Array): Buffer {
  return encodeMaskedFrame(frameOpcode, payload, 0x37fa213d);
}

/** To its end, and how many steps it took. */
function inflateInSteps(
  payload: Uint8Array,
  bytesMax: number,
  isText = false,
): { result: Uint8Array | Violation; steps: number } {
  const begun = beginInflating(payload, bytesMax, isText);
  if (!(begun instanceof InflateJob)) return { result: begun, steps: 0 };
  for (let steps = 1; ; steps += 1) {
    const result = begun.step();
    if (result !== null) return { result, steps };
  }
}

/** RFC 7692 §7.2.2, and an empty final block. */
function withTail(payload: Buffer): Buffer {
  return Buffer.concat([payload, Buffer.from("0000ffff010000ffff", "hex")]);
}

/** As on a Node with another inside. */
function createNone(input: Uint8Array, bytes: number, bytesMax: number, isText: boolean): InflateJob | null {
  return InflateJob.create(input, bytes, bytesMax, isText, null);
}

function comparable(result: Uint8Array | Violation): string {
  return "closeCode" in result ? result.reason : Buffer.from(result).toString("base64");
}

const spaces = Buffer.alloc(5 * mebibyte, " ");
const noise = randomBytes(300_000);
const finalBlock = deflateRawSync(Buffer.alloc(100_000, "a"));
const rows: readonly (readonly [name: string, payload: Buffer, bytesMax: number])[] = [
  ["a bomb within the limit", compress(spaces), 16 * mebibyte],
  ["exactly the limit", compress(spaces), spaces.length],
  ["one byte past the limit", compress(spaces), spaces.length - 1],
  ["noise", compress(noise), mebibyte],
  ["exactly 64 KiB, which is no job", compress(Buffer.alloc(65_536, "x")), mebibyte],
  ["one byte more", compress(Buffer.alloc(65_537, "x")), mebibyte],
  ["a multiple of a step", compress(Buffer.alloc(4 * 65_536, "x")), mebibyte],
  ["corrupt in the middle", Buffer.concat([compress(noise).subarray(0, 200_000), Buffer.alloc(50, 0xff)]), mebibyte],
  ["cut in the middle", compress(spaces).subarray(0, 3000), 16 * mebibyte],
  ["final blocks", Buffer.concat([finalBlock, finalBlock, compress(noise)]), mebibyte],
  ["too many final blocks", Buffer.concat(Array.from({ length: 6 }, () => finalBlock)), mebibyte],
]; // prettier-ignore

describe("RFC 7692 §7.2.2 in steps", () => {
  it.each(rows)("says of %s what inflating at once says", (_name, payload, bytesMax) => {
    const { result } = inflateInSteps(payload, bytesMax);
    expect(comparable(result)).toBe(comparable(inflateMessage(payload, bytesMax)));
  });

  it("takes a step for each 64 KiB, twice, and no memory before it is counted", () => {
    const payload = compress(spaces);
    const job = beginInflating(payload, 16 * mebibyte, true);
    if (!(job instanceof InflateJob)) throw new Error("not a job");
    const pieces = spaces.length / 65_536;
    for (let steps = 0; steps < pieces; steps += 1) {
      expect(job.step()).toBeNull();
      expect(job.heldBytes).toBeLessThan(payload.length + 100);
    }
    expect(inflateInSteps(payload, 16 * mebibyte, true).steps).toBe(2 * (pieces + 1));
    job.drop();
  });

  it("several jobs by turns do not disturb each other", () => {
    const payloads = ["a", "b", "c"].map((letter) => compress(Buffer.alloc(300_000, letter)));
    const jobs = payloads.map((payload) => {
      const job = beginInflating(payload, mebibyte, true);
      if (!(job instanceof InflateJob)) throw new Error("not a job");
      return job;
    });
    const results: (Uint8Array | Violation | null)[] = [null, null, null];
    while (results.includes(null)) {
      for (const [index, job] of jobs.entries()) results[index] ??= job.step();
    }
    const texts = results.map(
      (each) => each !== null && !("closeCode" in each) && Buffer.from(each).toString(),
    );
    expect(texts).toEqual(["a", "b", "c"].map((letter) => letter.repeat(300_000)));
  });

  it.each([
    ["at the end of it", Buffer.concat([Buffer.alloc(200_000, "x"), Buffer.of(0xc3)])],
    ["in the first step", Buffer.concat([Buffer.of(0xff), Buffer.alloc(200_000, "x")])],
    ["across two steps", Buffer.concat([Buffer.alloc(65_535, "x"), Buffer.of(0xc3, 0x28), Buffer.alloc(70_000, "x")])],
  ])("RFC 6455 §8.1: bad UTF-8 %s is refused in text only", (_name, bytes) => {
    expect(inflateInSteps(compress(bytes), mebibyte, true).result).toBe(violation.textNotUtf8);
    expect(comparable(inflateInSteps(compress(bytes), mebibyte).result)).toBe(bytes.toString("base64"));
  }); // prettier-ignore

  it("a code point across two steps is good", () => {
    const bytes = Buffer.concat([Buffer.alloc(65_535, "x"), Buffer.from("é哈"), Buffer.alloc(70_000, "x")]);
    expect(comparable(inflateInSteps(compress(bytes), mebibyte, true).result)).toBe(bytes.toString("base64"));
  });

  it("the reader delivers frames before and behind it in wire order", () => {
    const wire = Buffer.concat([
      frame(opcode.ping, Buffer.from("1")),
      frame(0x40 | opcode.text, compress(Buffer.alloc(200_000, "y"))),
      frame(opcode.ping, Buffer.from("2")),
      frame(opcode.text, Buffer.from("behind")),
      frame(opcode.close, Buffer.of(3, 232)),
    ]);
    const options = { ...serverOptions, allowCompressed: true };
    const events = readSuspended([wire], options);
    expect(events).toEqual(readChunks([wire], options));
    expect(events).toHaveLength(5);
  });

  it("the reader refuses what is found out in a later step, and delivers nothing of it", () => {
    const bytes = Buffer.concat([Buffer.alloc(70_000, "x"), Buffer.of(0xff)]);
    const wire = Buffer.concat([
      frame(0x40 | opcode.text, compress(bytes)),
      frame(opcode.text, Buffer.from("behind")),
    ]);
    const options = { ...serverOptions, allowCompressed: true };
    const events = readSuspended([wire], options);
    expect(events).toEqual(readChunks([wire], options));
    expect(events).toEqual(["violation 1007 text_not_utf8"]);
  });

  it("a message that changes between counting and inflating is corrupt", () => {
    const input = withTail(compress(Buffer.alloc(70_000, "z")));
    const job = InflateJob.create(input, input.length, mebibyte, false);
    // Two steps count 70,000 bytes: then the input is read again from its start.
    expect([job?.step(), job?.step()]).toEqual([null, null]);
    input.fill(0xff);
    expect(job?.step()).toBe(violation.deflateCorrupt);
  });

  it("is dropped once, however often; of many that were open at the same time some engines are kept", () => {
    const input = withTail(compress(Buffer.alloc(70_000, "z")));
    const jobs = Array.from({ length: 6 }, () => InflateJob.create(input, input.length, mebibyte, false));
    for (const job of [...jobs, ...jobs]) job?.drop();
    expect(comparable(inflateInSteps(compress(Buffer.alloc(70_000, "z")), mebibyte).result)).toBe(
      Buffer.alloc(70_000, "z").toString("base64"),
    );
  });

  it("on a Node with another inside there is none, and large messages are inflated at once", () => {
    const payload = compress(Buffer.alloc(70_000, "z"));
    const result = beginInflating(payload, mebibyte, false, createNone);
    expect(result).not.toBeInstanceOf(InflateJob);
    expect(result).toEqual(inflateMessage(payload, mebibyte));
  });

  it("to go on where nothing was begun does nothing", () => {
    const events: string[] = [];
    new MessageReader(serverOptions, recordingSink(events)).inflateOn();
    expect(events).toEqual([]);
  });
});
