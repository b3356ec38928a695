import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChatLog, readChatMessage } from "../../src/web/chat-log.ts";

function message(text: string) {
  return { name: "", text, at: null };
}

function filled(...entries: [epoch: string | null, seq: number | null][]): ChatLog {
  const log = new ChatLog(100);
  for (const [epoch, seq] of entries) log.add({ epoch, seq, message: message(`${epoch}/${seq}`) });
  return log;
}

function order(log: ChatLog): string[] {
  return log.entries.map((entry) => entry.message.text);
}

describe("the order of a room's messages", () => {
  it("puts the history read after joining before what came live", () => {
    expect(order(filled(["7", 4], ["7", 5], ["7", 2], ["7", 3], ["7", 4]))).toEqual([
      "7/2",
      "7/3",
      "7/4",
      "7/5",
    ]);
  });

  it("leaves a publication without seq where it came", () => {
    expect(order(filled(["7", 4], [null, null], ["7", 5], ["7", 3]))).toEqual([
      "7/3",
      "7/4",
      "null/null",
      "7/5",
    ]);
  });

  it("puts a new epoch behind the old one", () => {
    expect(order(filled(["7", 4], ["8", 1], ["8", 2]))).toEqual(["7/4", "8/1", "8/2"]);
  });

  it("tells the index of what it added, and null for what it has", () => {
    const log = filled(["7", 2], ["7", 4]);
    expect(log.add({ epoch: "7", seq: 3, message: message("x") })).toEqual({ index: 1, dropped: false });
    expect(log.add({ epoch: "7", seq: 3, message: message("x") })).toBe(null);
  });

  it("drops the oldest past its capacity and takes nothing older", () => {
    const log = new ChatLog(2);
    for (const seq of [2, 3, 4]) log.add({ epoch: "7", seq, message: message(String(seq)) });
    expect(order(log)).toEqual(["3", "4"]);
    expect(log.add({ epoch: "7", seq: 1, message: message("1") })).toBe(null);
  });

  it("has every seq once and in order, however they arrive", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 30 })), (seqs) => {
        const log = new ChatLog(100);
        for (const seq of seqs) log.add({ epoch: "7", seq, message: message("") });
        expect(log.entries.map((entry) => entry.seq)).toEqual([...new Set(seqs)].sort((a, b) => a - b));
      }),
    );
  });
});

describe("a chat message", () => {
  it.each([
    ["as the page sends it", { name: "An", text: "hi", at: 5 }, { name: "An", text: "hi", at: 5 }],
    ["a bare string", "hi", { name: "", text: "hi", at: null }],
    ["a name that is none", { name: 7, text: "hi" }, { name: "", text: "hi", at: null }],
    ["a time that Date cannot hold", { text: "hi", at: 9e15 }, { name: "", text: "hi", at: null }],
    ["without text", { name: "An" }, null],
    ["a number", 7, null],
    ["null", null, null],
  ])("%s", (_name, data, expected) => {
    expect(readChatMessage(data)).toEqual(expected);
  });
});
