import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";

import { isAlive } from "../primary/primary-process.ts";
import { LoadRun } from "./load-run.ts";
import { ownFolder } from "./own-folder.ts";
import { startLossyServer, type Fault, type LossyServer } from "./lossy-server.ts";

vi.setConfig({ testTimeout: 120_000 });

const runs: LoadRun[] = [];
const servers: LossyServer[] = [];

function start(args: readonly string[], isScenario = true): LoadRun {
  const run = new LoadRun(args, isScenario);
  runs.push(run);
  return run;
}

/** Starting a server and a swarm takes long on a machine that has other things to do. */
async function until(what: string, condition: () => boolean): Promise<void> {
  await vi.waitFor(() => expect(condition(), what).toBe(true), { timeout: 80_000, interval: 20 });
}

/** Pids of all descendants. */
function descendants(pid: number): number[] {
  const path = `/proc/${pid}/task/${pid}/children`;
  try {
    const direct = readFileSync(path, "utf8").trim().split(" ").filter(Boolean).map(Number);
    return direct.concat(direct.flatMap((child) => descendants(child)));
  } catch {
    return [];
  }
}

afterEach(async () => {
  for (const { child } of runs.splice(0)) child.kill("SIGKILL");
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

describe("npm run load -- publish", () => {
  it("starts a server, finds every accepted message at every subscriber, and leaves nothing behind", async () => {
    const json = join(ownFolder(), "result.json");
    const run = start(["publish", "--seconds", "2", "--rate", "200", "--subscribers", "5", "--json", json]);
    let started: number[] = [];
    await until("the server and the swarm", () => (started = descendants(run.child.pid ?? 0)).length >= 5);
    expect(await run.exited).toBe(0);
    const result = JSON.parse(readFileSync(json, "utf8"));
    expect(result).toMatchObject({ ok: true, deliveries: { missing: 0, duplicates: 0, reordered: 0 } });
    expect(result.deliveries.accepted).toBeGreaterThan(50);
    expect(result.deliveries.delivered).toBeGreaterThanOrEqual(result.deliveries.accepted * 5);
    expect(run.output).toContain("every accepted message arrived as its topic promises");
    expect(started.filter(isAlive)).toEqual([]);
  });

  it.each([
    { fault: "none", code: 0, line: /every accepted message arrived/u },
    // Of several processes any may be the first to subscribe, to whom it happens.
    { fault: "drop", code: 1, line: /missing: subscriber \d, trade\.load-/u },
    { fault: "repeat", code: 1, line: /duplicate: subscriber \d, trade\.load-/u },
    { fault: "swap", code: 1, line: /reordered: subscriber \d, trade\.load-/u },
  ] satisfies { fault: Fault; code: number; line: RegExp }[])(
    "a server with the fault $fault: exit $code",
    async ({ fault, code, line }) => {
      const server = await startLossyServer(fault);
      servers.push(server);
      const run = start([
        "publish",
        "--seconds",
        "2",
        "--rate",
        "200",
        "--subscribers",
        "3",
        "--settle-sec",
        "3",
        "--url",
        server.url,
      ]);
      const exitCode = await run.exited;
      expect(run.output).toMatch(line);
      expect(exitCode).toBe(code);
    },
  );

  it.each([
    { name: "while the server starts", isTime: (_output: string, processCount: number) => processCount >= 1 },
    { name: "while it publishes", isTime: (output: string) => output.includes("publishing for") },
  ])("Ctrl-C $name ends it and everything it started", async ({ isTime }) => {
    const run = start(["publish", "--seconds", "60", "--subscribers", "2"]);
    let started: number[] = [];
    await until("the moment", () => {
      started = descendants(run.child.pid ?? 0);
      return isTime(run.output, started.length);
    });
    run.child.kill("SIGINT");
    expect(await run.exited).toBe(130);
    await until("the end of all", () => !started.some(isAlive));
  });

  it("says so in one line when there is no server", async () => {
    const run = start(["publish", "--seconds", "1", "--url", "http://127.0.0.1:1"]);
    expect(await run.exited).toBe(69);
    expect(run.output.trim().split("\n")).toEqual([
      expect.stringMatching(/^subscriber \d+ cannot subscribe: /u),
    ]);
  });

  it.each([
    { name: "an unknown option", args: ["publish", "--secs", "1"], line: "unknown option" },
    { name: "no number", args: ["publish", "--seconds", "x"], line: "a whole number from 1" },
  ])("$name: exit 2", async ({ args, line }) => {
    const run = start(args, false);
    expect(await run.exited).toBe(2);
    expect(run.output).toContain(line);
  });
});
