import { describe, expect, it } from "vitest";

import { Server } from "./server.ts";

const counting = /_total|_count|_open|connections/u;

/** Of a server to which nobody has come: all samples that count something, but for those of the process itself. */
async function counted(warmUpConnections: number): Promise<string[]> {
  const server = await Server.start({ sets: { workers: 1, "listen.warmUpConnections": warmUpConnections } });
  try {
    const text = await (await fetch(`${server.admin}/metrics`)).text();
    return text
      .split("\n")
      .filter((line) => line.startsWith("tapecast_") && counting.test(line) && !line.includes("cpu"))
      .toSorted();
  } finally {
    await server.stop();
  }
}

describe("warming up", () => {
  it("shows in no metric", async () => {
    const cold = await counted(0);
    expect(cold.length).toBeGreaterThan(50);
    expect(await counted(200)).toEqual(cold);
  });
});
