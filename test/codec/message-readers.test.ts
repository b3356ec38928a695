/** Readers that connections share between their messages. */
import { constants, deflateRawSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import type { MessageReader } from "../../src/codec/message-reader.ts";
import { MessageReaders } from "../../src/codec/message-readers.ts";
import { recordingSink, serverOptions } from "./reader-harness.ts";

const hello = encodeMaskedFrame(1, Buffer.from("hello"), 0x01020304);

describe("MessageReaders", () => {
  it("lends a reader again once its message is whole, to whoever comes next", () => {
    const readers = new MessageReaders();
    const [first, second]: [string[], string[]] = [[], []];
    const reader = readers.lend(serverOptions, recordingSink(first));
    reader.push(Buffer.from(hello));
    expect(readers.takeBack(serverOptions, reader)).toBe(true);
    const again = readers.lend(serverOptions, recordingSink(second));
    expect(again).toBe(reader);
    again.push(Buffer.from(hello));
    expect([first, second]).toEqual([["text 68656c6c6f"], ["text 68656c6c6f"]]);
  });

  it("lends readers that leave a large compressed message to be inflated in steps", () => {
    const spaces = Buffer.alloc(1_048_576, " ");
    const compressed = deflateRawSync(spaces, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
    const bytes = encodeMaskedFrame(1, compressed, 7);
    bytes[0] = 0xc1; // FIN, RSV1, text
    const options = { ...serverOptions, messageBytesMax: spaces.length, allowCompressed: true };
    const events: string[] = [];
    const reader = new MessageReaders().lend(options, recordingSink(events));
    reader.push(bytes);
    expect(events).toEqual([]);
    let steps = 0;
    for (; reader.isInflating; steps += 1) reader.inflateOn();
    expect(steps).toBeGreaterThan(10);
    expect(events).toEqual([`text ${spaces.toString("hex")}`]);
  });

  it.each([
    { name: "one byte of a frame", bytes: hello.subarray(0, 1) },
    { name: "all but one byte", bytes: hello.subarray(0, -1) },
    { name: "a fragment", bytes: encodeMaskedFrame(1, Buffer.from("he"), 7, false) },
    {
      name: "a fragment, and a ping behind it",
      bytes: Buffer.concat([
        encodeMaskedFrame(1, Buffer.from("he"), 7, false),
        encodeMaskedFrame(9, Buffer.alloc(0), 7),
      ]),
    },
    { name: "a close frame", bytes: encodeMaskedFrame(8, Buffer.alloc(0), 7) },
    { name: "a violation", bytes: Buffer.from([0x83, 0x80]) },
  ])("leaves a reader that has $name where it is", ({ bytes }) => {
    const readers = new MessageReaders();
    const reader = readers.lend(serverOptions, recordingSink([]));
    reader.push(Buffer.from(bytes));
    expect(readers.takeBack(serverOptions, reader)).toBe(false);
    expect(readers.lend(serverOptions, recordingSink([]))).not.toBe(reader);
  });

  it("never gives one endpoint's reader to another's connection", () => {
    const readers = new MessageReaders();
    const strict = { ...serverOptions, messageBytesMax: 1 };
    const reader = readers.lend(serverOptions, recordingSink([]));
    readers.takeBack(serverOptions, reader);
    const events: string[] = [];
    readers.lend(strict, recordingSink(events)).push(Buffer.from(hello));
    expect(events).toEqual(["violation 1009 message_too_big"]);
  });

  it("what an idle reader is given goes to nobody", () => {
    const events: string[] = [];
    const controls = [9, 10, 8].map((code) => encodeMaskedFrame(code, Buffer.alloc(0), 7));
    for (const bytes of [hello, ...controls, Buffer.from([0x83, 0x80])]) {
      const readers = new MessageReaders();
      const reader = readers.lend(serverOptions, recordingSink(events));
      expect(readers.takeBack(serverOptions, reader)).toBe(true);
      reader.push(Buffer.from(bytes));
    }
    expect(events).toEqual([]);
  });

  it("keeps 64 for later, however many were in use at once", () => {
    const readers = new MessageReaders();
    const lend = (): MessageReader[] =>
      Array.from({ length: 100 }, () => readers.lend(serverOptions, recordingSink([])));
    const before = new Set(lend());
    for (const reader of before) readers.takeBack(serverOptions, reader);
    expect(lend().filter((reader) => before.has(reader))).toHaveLength(64);
  });
});
