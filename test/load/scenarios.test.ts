/** Each scenario once, small and short, against a real server, and once against one that loses messages. */
import { afterEach, describe, expect, it, vi } from "vitest";

import { checkOpenFiles } from "../../load/run/open-files.ts";
import { redisUrl } from "../setup/redis-url.ts";
import { LoadRun } from "./load-run.ts";
import { startLossyServer } from "./lossy-server.ts";

vi.setConfig({ testTimeout: 120_000 });

const runs: LoadRun[] = [];

function start(args: readonly string[], isScenario = true): LoadRun {
  const run = new LoadRun(args, isScenario);
  runs.push(run);
  return run;
}

afterEach(() => {
  for (const { child } of runs.splice(0)) child.kill("SIGKILL");
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

describe("a planted loss is found by every scenario: exit 1", () => {
  it.concurrent.each([
    { args: ["publish", "--subscribers", "3", "--rate", "200"] },
    { args: ["quote-fanout", "--subscribers", "4", "--symbols", "2", "--board", "2", "--rate", "100"] },
    { args: ["danmaku-burst", "--viewers", "3", "--burst", "100"] },
    { args: ["connect-storm", "--connections", "6", "--rate", "200"] },
    { args: ["slow-readers", "--subscribers", "8", "--rate", "500"] },
    { args: ["reconnect-herd", "--connections", "6", "--rate", "200"] },
    { args: ["soak", "--subscribers", "6", "--rate", "600", "--churn-sec", "1"] },
    {
      args: ["polling-vs-push", "--users", "4", "--symbols", "2", "--rate", "100", "--pid", `${process.pid}`],
    },
  ])("$args.0", async ({ args }) => {
    // Cleaned up here, not after each test: the others still run.
    const server = await startLossyServer("silence");
    const all = [...args, "--url", server.url, "--seconds", "2", "--processes", "1", "--settle-sec", "1"];
    const run = new LoadRun(all);
    try {
      expect(await run.exited, run.output).toBe(1);
    } finally {
      run.child.kill("SIGKILL");
      await server.close();
    }
    expect(run.output).toContain("accepted messages are missing");
    expect(run.report(".html")).toContain('class="verdict failed"');
    expect(run.result.ok).toBe(false);
  });
});

describe("--redis", () => {
  it("a scenario runs on it, and nothing is missing", async () => {
    const run = start(["quote-fanout", "--subscribers", "10", "--seconds", "2", "--redis", redisUrl()]);
    expect(await run.exited, run.output).toBe(0);
    expect(run.result.deliveries?.expected).toBeGreaterThan(0);
    expect(run.result.deliveries?.missing).toBe(0);
  });

  it("that is not there is named in one line", async () => {
    const run = start(["publish", "--seconds", "1", "--redis", "redis://:secret@127.0.0.1:1"]);
    expect(await run.exited).toBe(69);
    expect(run.output.trim().split("\n").at(-1)).toContain("is a Redis 7 or newer at 127.0.0.1:1,");
    expect(run.output).not.toContain("secret");
  });
});

describe("too few open files", () => {
  it.each([
    { clients: 3000, filesMax: 3099, problem: "set ulimit -Hn 3100 first" },
    { clients: 3000, filesMax: 3100, problem: null },
    { clients: 3000, filesMax: null, problem: null },
  ])("$clients clients, at most $filesMax files", ({ clients, filesMax, problem }) => {
    const check = (): void => checkOpenFiles(clients, filesMax);
    if (problem === null) check();
    else expect(check).toThrow(problem);
  });
});

describe("the command line", () => {
  it.each([
    { args: ["nonsense"], code: 2, line: "there are publish, polling-vs-push, quote-fanout" },
    { args: ["soak", "--seconds", "0"], code: 2, line: "a whole number from 1" },
    { args: ["soak", "--url", "ftp://x"], code: 2, line: "an address that begins with http://" },
    { args: ["soak", "--redis", "localhost"], code: 2, line: "an address such as redis://127.0.0.1:6379" },
    { args: ["soak", "--redis", "redis://x", "--url", "http://x"], code: 2, line: "cannot be used with" },
    { args: ["polling-vs-push", "--url", "http://x"], code: 2, line: "--url needs --pid" },
    { args: ["soak", "--out", "/dev/null/x"], code: 1, line: "the result cannot be written: ENOTDIR" },
    { args: ["soak", "--json", "/no/folder/x"], code: 1, line: "the result cannot be written: ENOENT" },
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
