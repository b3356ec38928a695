/**
 * P6: one bad client is its own problem. How much others notice is measured by `npm run load -- bad-client` on a quiet
 * machine; here the bound is wide, and still far below what a worker that waits for a reader, or stores for it, shows.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { NeighboursFigures } from "../../load/bad-client/neighbours.ts";
import { LoadRun } from "../load/load-run.ts";
import { ownFolder } from "../load/own-folder.ts";

/** Of a machine that does other things as well. */
const noiseMs = 250;
const sizes = "--rounds 1 --seconds 1 --clients 20 --topics 4 --tolerance 1000";

describe("one bad client among good ones", () => {
  it("does not keep the others waiting", { timeout: 90_000 }, async () => {
    const file = join(ownFolder(), "found.json");
    const kinds = ["--kinds", "frozen,commands", "--json", file];
    const run = new LoadRun(["bad-client", ...kinds, ...sizes.split(" ")], false);
    expect(await run.exited, run.output).toBe(0);
    const { found } = JSON.parse(readFileSync(file, "utf8")) as { readonly found: NeighboursFigures[] };
    expect(found.map(({ kind }) => kind)).toEqual(["frozen", "commands"]);
    for (const { kind, without, with: withIt, p99Without, p99With } of found) {
      // Each of 200 messages a second goes to ten of them.
      for (const { deliveries } of [...without, ...withIt]) expect(deliveries, kind).toBeGreaterThan(500);
      expect(p99With, kind).toBeLessThan(3 * p99Without + noiseMs);
    }
  });
});
