import { describe, expect, it } from "vitest";

import { get } from "./http.ts";
import { Server } from "./server.ts";
import { until } from "./until.ts";

const counting = /_total|_count|_open|connections/u;

/** Of a server to which nobody has come: all samples that count something, but for those of the process itself. */
async function counted(warmUpConnections: number): Promise<string[]> {
  const server = await Server.start({ sets: { workers: 2, "listen.warmUpConnections": warmUpConnections } });
  try {
    let text = "";
    await until("the figures of both workers", async () => {
      text = (await get(`${server.admin}/metrics`)).text;
      return ["0", "1"].every((slot) => text.includes(`tapecast_connections_open{worker="${slot}"}`));
    });
    // Or there would be nothing to be seen.
    expect(server.process.stdout).not.toContain("before it has warmed up");
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
    expect(await counted(100)).toEqual(cold);
  });
});
