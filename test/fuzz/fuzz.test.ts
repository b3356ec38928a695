/**
 * A short seeded run of each fuzz target (`npm run fuzz` goes on as long as one likes), every input that once failed,
 * and the proof that the targets reach what they are for and find what is wrong.
 */
import { describe, expect, it } from "vitest";
import { MessageReader } from "../../src/codec/message-reader.ts";
import { violationReasons } from "../../src/codec/violation.ts";
import { recordingSink } from "../codec/reader-harness.ts";
import { frameOptions, frameTarget } from "./frame-target.ts";
import { fuzz, problemOf } from "./fuzz-run.ts";
import type { FuzzTarget } from "./fuzz-target.ts";
import { handshakeTwin } from "./handshake-twin.ts";
import { handshakeTarget } from "./handshake-target.ts";
import { Random } from "./random.ts";
import { targets } from "./targets.ts";
import { readVectors } from "./vector-file.ts";

const seed = 20_261_122;
/** By target: together about six seconds. */
const iterations: Readonly<Record<string, number>> = {
  frames: 15_000,
  handshake: 15_000,
  inflate: 4000,
  session: 6000,
  envelope: 40_000,
  topics: 30_000,
  batch: 6000,
  tokens: 3000,
};

function block(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

describe("FR22: changed inputs at random cuts", () => {
  it.each(targets)("$name agrees with its twin and never throws", async (target) => {
    const result = await fuzz(target, { seed, seconds: null, iterations: iterations[target.name] ?? 1 });
    expect(result.failure).toBeNull();
    expect(result.iterations).toBe(iterations[target.name]);
  });

  it.each(readVectors())("$name: $story", async ({ target, input }) => {
    const found = targets.find(({ name }) => name === target);
    if (found === undefined) throw new Error(`no target ${target}`);
    expect(await problemOf(found, input)).toBeNull();
  });
});

describe("the fuzzer itself", () => {
  it("frames: reaches every violation, every kind of event, and compressed messages", () => {
    const seen = new Set<string>();
    for (let iteration = 0; iteration < 12_000; iteration += 1) {
      const { bytes, variant } = frameTarget.make(new Random(seed, iteration));
      const events: string[] = [];
      new MessageReader(frameOptions(variant), recordingSink(events)).push(Buffer.from(bytes));
      for (const event of events)
        seen.add(/^violation \d+ (\w+)/.exec(event)?.[1] ?? event.split(" ")[0] ?? "");
    }
    const wanted = [...violationReasons, "text", "binary", "ping", "pong", "close"];
    expect(wanted.filter((each) => !seen.has(each))).toEqual([]);
  });

  it("handshake: reaches every status, and answers with and without compression", () => {
    const seen = new Set<string>();
    for (let iteration = 0; iteration < 5000; iteration += 1) {
      const { bytes, variant } = handshakeTarget.make(new Random(seed, iteration));
      const verdict = handshakeTwin(bytes);
      if (variant === 0)
        seen.add(typeof verdict === "string" ? verdict : `${verdict.status} ${verdict.deflate !== null}`);
    }
    expect([...seen].sort()).toEqual([
      "101 false",
      "101 true",
      "400 false",
      "426 false",
      "incomplete",
      "other",
    ]);
  });

  it("the same seed gives the same inputs, another seed others", () => {
    const inputs = [1, 1, 2].map((of) => JSON.stringify(frameTarget.make(new Random(of, 7))));
    expect(inputs[1]).toBe(inputs[0]);
    expect(inputs[2]).not.toBe(inputs[0]);
  });

  it("finds an input that holds the event loop up each time, and forgives one that did so once", async () => {
    let checks = 0;
    const once: FuzzTarget = {
      ...frameTarget,
      check: () => {
        checks += 1;
        if (checks === 2) block(60);
      },
    };
    expect((await fuzz(once, { seed, seconds: null, iterations: 3 })).failure).toBeNull();
    const always: FuzzTarget = { ...frameTarget, check: ({ bytes }) => block(bytes.length > 0 ? 60 : 0) };
    const { failure } = await fuzz(always, { seed, seconds: null, iterations: 3 });
    expect(failure?.message).toMatch(/^it took \d+ ms$/);
  });

  it("finds a planted fault, says where, and makes its input small", async () => {
    const planted: FuzzTarget = {
      ...frameTarget,
      name: "planted",
      check({ bytes }) {
        if (bytes.includes("quote")) throw new Error("planted");
      },
    };
    const { failure } = await fuzz(planted, { seed, seconds: null, iterations: 1000 });
    // Most frames are masked: it takes some until one carries the word in the clear.
    expect(failure).toMatchObject({ target: "planted", seed, message: "planted" });
    expect(failure?.input.bytes.toString()).toBe("quote");
    expect(failure?.input.cuts).toEqual([]);
  });
});
