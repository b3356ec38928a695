/** Each scenario once, small and short, against a real server; the one with planted losses is publish.test.ts. */
import { afterEach, describe, expect, it, vi } from "vitest";

import { LoadRun } from "./load-run.ts";
import { startLossyServer, type LossyServer } from "./lossy-server.ts";

vi.setConfig({ testTimeout: 120_000 });

const runs: LoadRun[] = [];
const servers: LossyServer[] = [];

function start(args: readonly string[], isScenario = true): LoadRun {
  const run = new LoadRun(args, isScenario);
  runs.push(run);
  return run;
}

afterEach(async () => {
  for (const { child } of runs.splice(0)) child.kill("SIGKILL");
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

describe("each scenario keeps its promises and writes its report", () => {
  it.each([
    { args: ["quote-fanout", "--subscribers", "20", "--symbols", "30", "--board", "5", "--rate", "100"] },
    { args: ["quote-fanout", "--subscribers", "5", "--rate", "100", "--batch", "--interval", "100"] },
    { args: ["danmaku-burst", "--viewers", "10", "--burst", "400"] },
    { args: ["connect-storm", "--connections", "60", "--at-once", "20"] },
    { args: ["slow-readers", "--subscribers", "8", "--rate", "100"] },
    { args: ["reconnect-herd", "--connections", "20", "--rate", "40"] },
    { args: ["soak", "--subscribers", "20", "--rate", "100", "--churn-sec", "1"] },
  ])("$args", async ({ args }) => {
    const run = start([...args, "--seconds", "2"]);
    expect(await run.exited, run.output).toBe(0);
    const { ok, deliveries, plots, figures, scenario } = run.result;
    expect(ok).toBe(true);
    expect(scenario).toBe(args[0]);
    expect(deliveries).toMatchObject({ missing: 0, duplicates: 0, reordered: 0, moved: 0 });
    expect(deliveries?.expected).toBeGreaterThan(0);
    expect(plots.map(({ title }) => title)).toContain("Server CPU, all its processes");
    expect(figures.find(({ name }) => name === "latency-p99")?.value).toBeGreaterThan(0);
    expect(run.report(".html")).toContain(`<h1>${scenario}</h1>`);
  });

  it("polling-vs-push: push is younger, and compare finds nothing worse than itself", async () => {
    const args = ["polling-vs-push", "--users", "10", "--symbols", "10", "--rate", "20", "--seconds", "2"];
    const run = start(args);
    expect(await run.exited, run.output).toBe(0);
    const { figures, table } = run.result;
    const figure = (name: string): number => figures.find((each) => each.name === name)?.value ?? Number.NaN;
    expect(table?.rows).toHaveLength(4);
    expect(figure("polling-keep-alive-requests")).toBeGreaterThan(10);
    expect(figure("polling-close-requests")).toBeGreaterThan(10);
    expect(figure("push-age-p50")).toBeLessThan(figure("polling-keep-alive-age-p50"));
    const file = /\S+\.json/u.exec(run.output)?.[0] ?? "";
    const compared = start(["compare", file, file], false);
    expect(await compared.exited, compared.output).toBe(0);
    expect(compared.output).toContain("nothing became worse");
  });
});

describe("a planted loss is found by the other scenarios too", () => {
  it("connect-storm: a server that drops messages", async () => {
    const server = await startLossyServer("drop");
    servers.push(server);
    const run = start([
      "connect-storm",
      "--url",
      server.url,
      "--connections",
      "6",
      "--rate",
      "200",
      "--seconds",
      "2",
    ]);
    expect(await run.exited).toBe(1);
    expect(run.output).toContain("accepted messages are missing");
    expect(run.report(".html")).toContain('class="verdict failed"');
  });
});

describe("the command line", () => {
  it.each([
    { args: ["nonsense"], code: 2, line: "there are publish, polling-vs-push, quote-fanout" },
    { args: ["soak", "--seconds", "0"], code: 2, line: "a whole number from 1" },
    { args: ["soak", "--url", "ftp://x"], code: 2, line: "an address that begins with http://" },
    { args: ["compare", "package.json", "package.json"], code: 1, line: "is no result of a load scenario" },
    { args: ["compare", "a", "b", "--tolerance", "x"], code: 2, line: "a number from 0 to 10" },
    { args: ["--help"], code: 0, line: "reconnect-herd" },
    { args: ["slow-readers", "--help"], code: 0, line: "--every <n>" },
  ])("$args", async ({ args, code, line }) => {
    const run = start(args, false);
    expect(await run.exited).toBe(code);
    expect(run.output).toContain(line);
  });
});
