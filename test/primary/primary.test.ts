import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";

import { workerFlags } from "../../src/primary/worker-flags.ts";
import { isAlive, PrimaryProcess, until } from "./primary-process.ts";

// Each test starts processes that load TypeScript; on a busy machine that alone takes seconds.
vi.setConfig({ testTimeout: 60_000 });

const running: PrimaryProcess[] = [];

function start(config: object = {}, environment: Record<string, string> = {}): PrimaryProcess {
  const primary = new PrimaryProcess(config, environment);
  running.push(primary);
  return primary;
}

async function started(
  config: object = {},
  environment: Record<string, string> = {},
): Promise<PrimaryProcess> {
  const primary = start(config, environment);
  await primary.listening();
  return primary;
}

async function isReady(primary: PrimaryProcess): Promise<boolean> {
  return (await primary.admin("/readyz")).status === 200;
}

function metric(text: string, series: string): number {
  const line = text.split("\n").find((each) => each.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1) ?? Number.NaN);
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((primary) => primary.end()));
});

describe("PRODUCT §2: serve prints one line per listening address, then logs", () => {
  it("prints each address once, whatever the number of workers", async () => {
    const primary = await started({ workers: 3 });
    await until("the first log line", () => primary.stdout.includes('"msg":"ready"'));
    const lines = primary.stdout.trim().split("\n");
    expect(lines[0]).toMatch(/^listening http:\/\/127\.0\.0\.1:\d+$/u);
    expect(lines[1]).toMatch(/^admin http:\/\/127\.0\.0\.1:\d+$/u);
    for (const line of lines.slice(2)) expect(JSON.parse(line)).toMatchObject({ process: "primary" });
    expect(primary.childPids()).toHaveLength(3);
  });
});

describe("what workers are started with", () => {
  it("is what the primary was, and the flags of their V8", async () => {
    const primary = await started({ workers: 2 });
    const flags = workerFlags(process.versions.v8, []);
    for (const pid of primary.childPids()) {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      expect(words).toEqual(expect.arrayContaining(flags));
      for (const flag of flags) expect(words.filter((word) => word === flag)).toHaveLength(1);
    }
  });

  it("is taken by this node", () => {
    const flags = workerFlags(process.versions.v8, []);
    const { status, stdout } = spawnSync(process.execPath, [...flags, "-p", "1 + 1"], { encoding: "utf8" });
    expect({ status, stdout }).toEqual({ status: 0, stdout: "2\n" });
  });

  it.each([
    ["11.3.244.8-node.30", ["--interrupt-budget=33792", "--heap-growing-percent=300"]],
    ["12.4.254.21-node.33", ["--heap-growing-percent=300"]],
    ["13.6.233.17-node.63", ["--heap-growing-percent=300", "--max-semi-space-size=16"]],
    ["14.1.146.11-node.14", ["--heap-growing-percent=300", "--max-semi-space-size=16"]],
    ["1.1", []],
    ["", []],
  ])("of V8 %o: %o", (v8, flags) => {
    expect(workerFlags(v8, ["--enable-source-maps", ""])).toEqual(flags);
  });

  it.each([
    ["--max-semi-space-size=64", ["--heap-growing-percent=300"]],
    ["--max_semi_space_size 64", ["--heap-growing-percent=300"]],
    ["--trace-gc --max-semi-space-size=64", ["--heap-growing-percent=300"]],
    ["--heap_growing_percent=50", ["--max-semi-space-size=16"]],
    ["--heap-growing-percent 50 --max-semi-space-size=64", []],
  ])("leaves what is given alone: %o", (given, flags) => {
    expect(workerFlags("14.1", ["", given])).toEqual(flags);
  });
});

describe("DESIGN §6: supervision", () => {
  it("starts a crashed worker again on the same port, and counts it", async () => {
    const primary = await started({ workers: 1 });
    const [before] = primary.childPids();
    await expect(primary.ask("/crash")).rejects.toThrow();
    await until(
      "the replacement",
      async () => (primary.childPids()[0] ?? before) !== before && (await isReady(primary)),
    );
    expect(JSON.parse((await primary.ask("/")).text)).toMatchObject({ slot: 0 });
    const { text } = await primary.admin("/metrics");
    expect(metric(text, 'tapecast_worker_restarts_total{worker="0",cause="exited"}')).toBe(1);
    expect(metric(text, 'tapecast_worker_restarts_total{worker="0",cause="stalled"}')).toBe(0);
  });

  it("kills and replaces a worker whose event loop stands still, and answers scrapes meanwhile", async () => {
    const primary = await started({ workers: 1 });
    const [before = 0] = primary.childPids();
    primary.ask("/stall").catch(() => {});
    await until("the stalled worker's end", async () => {
      expect((await primary.admin("/metrics")).status).toBe(200);
      return !isAlive(before);
    });
    await until("the replacement", async () => primary.childPids().length === 1 && (await isReady(primary)));
    const { text } = await primary.admin("/metrics");
    expect(metric(text, 'tapecast_worker_restarts_total{worker="0",cause="stalled"}')).toBe(1);
  });

  it("keeps the totals of a dead worker and forgets its gauges", async () => {
    const primary = await started({ workers: 1 });
    const [before] = primary.childPids();
    await primary.ask("/");
    await primary.ask("/report");
    const requests = async (): Promise<number> =>
      metric((await primary.admin("/metrics")).text, 'fake_requests_total{worker="0"}');
    await until("the first figures", async () => (await requests()) === 2);
    await expect(primary.ask("/crash")).rejects.toThrow();
    await until(
      "the replacement",
      async () => (primary.childPids()[0] ?? before) !== before && (await isReady(primary)),
    );
    expect(await requests()).toBe(2);
    expect((await primary.admin("/metrics")).text).not.toContain("fake_pid");
    await primary.ask("/report");
    await until("the sum of both", async () => (await requests()) === 3);
  });

  it("is not ready while a worker says it is not, and names the reason", async () => {
    const primary = await started();
    expect(await isReady(primary)).toBe(true);
    await primary.ask("/unready");
    await until("the refusal", async () => !(await isReady(primary)));
    const { text } = await primary.admin("/readyz");
    expect(JSON.parse(text)).toEqual({
      ready: false,
      reasons: [expect.stringMatching(/^worker [01]: the broker is away$/u)],
    });
    expect((await primary.admin("/healthz")).status).toBe(200);
  });
});

describe("a first start that fails is an answer, not a loop", () => {
  it.each([
    { name: "reported", mode: "fail", code: 78, line: "tapecast: listen.tls.cert: no such file\n" },
    {
      name: "crash",
      mode: "crash",
      code: 1,
      line: "tapecast: a worker ended before it was ready (exit code 7)\n",
    },
  ])("$name", async ({ mode, code, line }) => {
    const primary = start({}, { FAKE_START: mode });
    expect(await primary.exited).toEqual({ code, signal: null });
    expect(primary.stderr).toBe(line);
    expect(primary.stdout).toBe("");
  });

  it("a recording that is not there: its name and 78", async () => {
    const primary = start({ demo: { replay: ["no-such-file.csv"] } });
    expect(await primary.exited).toEqual({ code: 78, signal: null });
    expect(primary.stderr).toMatch(/^tapecast: demo\.replay: .*no-such-file\.csv.*\n$/u);
  });

  it.each([{ name: "listen" }, { name: "admin" }])(
    "the $name port is taken: one line and 69",
    async ({ name }) => {
      const other = createServer();
      await new Promise<void>((resolve) => {
        other.listen(0, "127.0.0.1", resolve);
      });
      const { port } = other.address() as AddressInfo;
      const primary = start({ [name]: { host: "127.0.0.1", port } });
      expect(await primary.exited).toEqual({ code: 69, signal: null });
      expect(primary.stderr.trim().split("\n")).toHaveLength(1);
      // The worker here is a stand-in, with words of its own.
      expect(primary.stderr).toMatch(/already in use|EADDRINUSE/u);
      other.close();
    },
  );
});

describe("signals", () => {
  it.each(["SIGTERM", "SIGINT"] as const)("%s drains, exits 0 and leaves no process", async (name) => {
    const primary = await started();
    const workers = primary.childPids();
    expect(workers).toHaveLength(2);
    primary.signal(name);
    expect(await primary.exited).toEqual({ code: 0, signal: null });
    expect(workers.filter(isAlive)).toEqual([]);
  });

  it("cuts what is left at the deadline and still exits 0", async () => {
    const primary = await started({ shutdown: { drainTimeoutMs: 100 } }, { FAKE_DRAIN: "never" });
    const workers = primary.childPids();
    primary.signal("SIGTERM");
    expect(await primary.exited).toEqual({ code: 0, signal: null });
    expect(workers.filter(isAlive)).toEqual([]);
  });

  it("the second signal ends at once", async () => {
    const primary = await started({ shutdown: { drainTimeoutMs: 60_000 } }, { FAKE_DRAIN: "never" });
    const workers = primary.childPids();
    primary.signal("SIGTERM");
    await until("the first to be seen", () => primary.stdout.includes("shutting down"));
    primary.signal("SIGINT");
    expect(await primary.exited).toEqual({ code: 130, signal: null });
    await until("the workers to end", () => !workers.some(isAlive));
  });

  it("a signal during the start ends it in order", async () => {
    const primary = start();
    await until("the first worker", () => primary.childPids().length > 0);
    const workers = primary.childPids();
    primary.signal("SIGTERM");
    expect(await primary.exited).toEqual({ code: 0, signal: null });
    await until("the workers to end", () => !workers.some(isAlive));
  });

  it("SIGHUP without a terminal replaces the workers one by one and refuses nobody meanwhile", async () => {
    const primary = await started();
    const before = primary.childPids();
    primary.signal("SIGHUP");
    await until("new workers only", async () => {
      await primary.ask("/");
      const now = primary.childPids();
      return now.length === 2 && now.every((pid) => !before.includes(pid));
    });
    const { text } = await primary.admin("/metrics");
    expect(metric(text, 'tapecast_worker_restarts_total{worker="0",cause="exited"}')).toBe(0);
    expect(await isReady(primary)).toBe(true);
  });

  it("workers end by themselves when the primary vanishes", async () => {
    const primary = await started();
    const workers = primary.childPids();
    primary.signal("SIGKILL");
    await until("the workers to end", () => !workers.some(isAlive));
    expect(workers).toHaveLength(2);
  });
});
