import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

import { runCases, type BenchCase } from "../../load/bench/bench-case.ts";
import { loadBuild, type BenchHubClass } from "../../load/bench/built-modules.ts";
import { codecCases, deflateCases, jsonCases, maskCases } from "../../load/bench/codec-cases.ts";
import { hubCases, ingestCases } from "../../load/bench/hub-cases.ts";
import { measureTopicSets, topicSetReport } from "../../load/bench/topic-sets.ts";
import { Hub } from "../../src/hub/hub.ts";

const build = await loadBuild(fileURLToPath(new URL("../../dist", import.meta.url)));

describe("what the micro benchmarks drive is what there is", () => {
  it("the hub has the shape that they were written for", () => {
    // The readers and logs are opaque to them: `never` where the real hub wants its own.
    const HubClass: BenchHubClass = Hub as unknown as BenchHubClass;
    const real: Pick<InstanceType<typeof Hub>, keyof InstanceType<BenchHubClass>> = Object.create(
      Hub.prototype,
    ) as Hub;
    expect(HubClass).toBe(Hub);
    expect(real).toBeInstanceOf(Hub);
  });

  it.each([...codecCases(build), ...maskCases(build), ...deflateCases(build), ...jsonCases(build)])(
    "$name does something",
    (each) => {
      expect(each.run()).toBeGreaterThan(0);
    },
  );

  it.each(hubCases(build))("$name delivers at each flush", (each) => {
    // Bytes are summed up: a flush that delivers nothing leaves the sum.
    const before = each.run();
    expect(each.run()).not.toBe(before);
  });

  it.each(ingestCases(build))("$name comes through", (each) => {
    expect(each.run()).toBeGreaterThan(0);
  });
});

describe("topic sets", () => {
  it("are measured, and a set for each reader takes more memory than one for all", () => {
    // So many that their megabytes stand out from what the rest of the process takes and frees meanwhile.
    const readers = 10_000;
    const shapes = [1, readers].map((sets) => ({ sets, readers }));
    const results = measureTopicSets(build, shapes, 3);
    for (const result of results) {
      for (const [name, figure] of Object.entries(result)) expect(figure, name).toBeGreaterThan(0);
    }
    const [shared, own] = results;
    expect(own!.bytesPerReader).toBeGreaterThan(shared!.bytesPerReader);
    expect(topicSetReport(results)).toMatch(/^\| +10,000 \|/mu);
  });
});

describe("the harness", () => {
  it("takes cases in turn, and divides by the operations of a run", () => {
    const order: string[] = [];
    const spin = (name: string, operations: number): BenchCase => ({
      name,
      per: "call",
      operations,
      bytes: 0,
      run() {
        if (order.at(-1) !== name) order.push(name);
        const end = performance.now() + 0.2;
        let turns = 0;
        while (performance.now() < end) turns += 1;
        return turns;
      },
    });
    let samples = 0;
    const results = runCases(
      [spin("one", 1), spin("ten", 10)],
      { rounds: 3, sampleMs: 2 },
      () => (samples += 1),
    );
    expect(samples).toBe(6);
    expect(order.slice(-4)).toEqual(["one", "ten", "one", "ten"]);
    const [one, ten] = results.map(({ nanoseconds }) => Math.min(...nanoseconds));
    expect(one).toBeGreaterThan(190_000);
    expect(ten).toBeLessThan(one! / 5);
  });
});
