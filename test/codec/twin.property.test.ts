/** The reader against its slow twin, over generated and mutated streams, at generated cuts. Seeds are printed. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import type { MessageReaderOptions } from "../../src/codec/message-reader.ts";
import { bytewise, cutAt, readChunks, readShared } from "./reader-harness.ts";
import { slowTwin } from "./slow-twin.ts";

/** Every run has a seed of its own; fast-check prints it, and the path to the counterexample, on failure. */
const parameters = { numRuns: 1500 };

const text = fc.string({ unit: "binary", maxLength: 300 }).map((value) => Buffer.from(value));
const payload = fc.oneof(
  { weight: 4, arbitrary: text },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(0, 1, 125, 126, 127, 128, 700).map((size) => Buffer.alloc(size, "é")),
  },
);
const key = fc.oneof(fc.constant(0), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));

/** A lawful message in fragments cut anywhere (also inside code points), pings between. */
const message = fc
  .tuple(fc.constantFrom(1, 2), payload, fc.array(fc.nat(300), { maxLength: 4 }), key, fc.boolean())
  .map(([firstOpcode, bytes, cuts, maskKey, hasPings]) => {
    const pieces = cutAt(
      bytes,
      cuts.map((cut) => cut % (bytes.length + 1)),
    );
    return Buffer.concat(
      pieces.flatMap((piece, index) => {
        const isLast = index === pieces.length - 1;
        const frame = encodeMaskedFrame(index === 0 ? firstOpcode : 0, piece, maskKey, isLast);
        return hasPings ? [frame, encodeMaskedFrame(9, Buffer.from("beat"), maskKey)] : [frame];
      }),
    );
  });

/** Any single frame, lawful or not in its place. */
const frame = fc
  .tuple(fc.constantFrom(0, 1, 2, 8, 9, 10), payload, key, fc.boolean())
  .map(([anyOpcode, bytes, maskKey, isFinal]) => encodeMaskedFrame(anyOpcode, bytes, maskKey, isFinal));

const close = fc
  .tuple(fc.integer({ min: 995, max: 5005 }), text, key)
  .map(([code, reason, maskKey]) =>
    encodeMaskedFrame(
      8,
      Buffer.concat([Buffer.from([code >> 8, code & 255]), reason.subarray(0, 123)]),
      maskKey,
    ),
  );

const stream = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: message },
      { weight: 1, arbitrary: frame },
      { weight: 1, arbitrary: close },
    ),
    { maxLength: 5 },
  )
  .map((parts) => Buffer.concat(parts));

/** One to four bytes changed, or the end cut off, or a byte put in. */
const mutated = fc
  .tuple(stream, fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.nat(2)), { minLength: 1, maxLength: 4 }))
  .map(([bytes, changes]) => {
    let result = Buffer.from(bytes);
    for (const [place, value, kind] of changes) {
      const at = place % (result.length + 1);
      if (kind === 0 && at < result.length) result[at] = value;
      if (kind === 1) result = result.subarray(0, at);
      if (kind === 2)
        result = Buffer.concat([result.subarray(0, at), Buffer.from([value]), result.subarray(at)]);
    }
    return result;
  });

function tightOptions(role: "server" | "client"): fc.Arbitrary<MessageReaderOptions> {
  return fc.record({
    role: fc.constant(role),
    messageBytesMax: fc.constantFrom(0, 125, 600, 100_000),
    fragmentsPerMessageMax: fc.constantFrom(1, 2, 128),
    allowBinary: fc.boolean(),
  });
}
const options = tightOptions("server");
const roomy: fc.Arbitrary<MessageReaderOptions> = fc.constant({
  role: "server",
  messageBytesMax: 100_000,
  fragmentsPerMessageMax: 128,
});
const cuts = fc.array(fc.nat(2000), { maxLength: 12 });

function check(bytes: Buffer, offsets: number[], readerOptions: MessageReaderOptions): void {
  const expected = slowTwin(bytes, readerOptions);
  const chunks = cutAt(
    bytes,
    offsets.map((offset) => offset % (bytes.length + 1)),
  );
  expect(readChunks(chunks, readerOptions)).toEqual(expected);
  expect(readChunks(bytewise(bytes), readerOptions)).toEqual(expected);
}

describe("FR13, FR22: the reader and its slow twin agree at any cut", () => {
  it("on lawful messages, limits in reach or not", () => {
    fc.assert(fc.property(stream, cuts, fc.oneof(roomy, options), check), parameters);
  });

  it("on mutated streams", () => {
    fc.assert(fc.property(mutated, cuts, fc.oneof(roomy, options), check), parameters);
  });

  it("on arbitrary bytes", () => {
    const noise = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
    fc.assert(fc.property(noise, cuts, options, check), parameters);
  });

  it("as a client: on arbitrary bytes and on a server's frames", () => {
    const unmasked = fc
      .tuple(fc.constantFrom(0x81, 0x82, 0x89, 0x01, 0x80), text)
      .map(([flags, bytes]) =>
        Buffer.concat([Buffer.from([flags, Math.min(bytes.length, 125)]), bytes.subarray(0, 125)]),
      );
    const input = fc.oneof(
      fc.array(unmasked, { maxLength: 5 }).map((parts) => Buffer.concat(parts)),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
    );
    fc.assert(fc.property(input, cuts, tightOptions("client"), check), parameters);
  });

  it("whoever had the reader before", () => {
    // Cut between messages too, where readers change hands.
    const wire = fc.array(fc.tuple(fc.oneof({ weight: 6, arbitrary: message }, frame, mutated), cuts), {
      maxLength: 6,
    });
    const wires = fc.array(wire, { minLength: 2, maxLength: 4 });
    const turns = fc.array(fc.nat(3), { maxLength: 30 });
    let handedOver = 0;
    fc.assert(
      fc.property(wires, turns, fc.oneof(roomy, options), (inputs, order, readerOptions) => {
        const chunks = inputs.map((parts) =>
          parts.flatMap(([bytes, offsets]) =>
            cutAt(
              bytes,
              offsets.slice(0, 2).map((at) => at % (bytes.length + 1)),
            ),
          ),
        );
        const result = readShared(chunks, order, readerOptions);
        expect(result.events).toEqual(chunks.map((each) => slowTwin(Buffer.concat(each), readerOptions)));
        handedOver += result.handedOver;
      }),
      parameters,
    );
    expect(handedOver).toBeGreaterThan(parameters.numRuns / 4);
  });

  it("the twin can disagree: a planted difference is found", () => {
    const planted = fc.property(mutated, roomy, (bytes, readerOptions) => {
      const strict = { ...readerOptions, messageBytesMax: 5 };
      expect(readChunks([bytes], readerOptions)).toEqual(slowTwin(bytes, strict));
    });
    expect(() => fc.assert(planted, { numRuns: 300 })).toThrow(/seed/);
  });
});
