import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";

import { parseStat, parseStatusKb, processTree, read, residentKb } from "../../load/bench/proc.ts";

const tail = "S 17 1 1 0 -1 4194560 100 0 0 0 250 37 0 0 20 0 11 0 500 1000000 2000 1844";

describe("proc_pid_stat(5)", () => {
  it.each([
    { name: "a plain name", text: `42 (node) ${tail}` },
    { name: "blanks and parentheses in the name", text: `42 (a b) c) ) ${tail}` },
    { name: "numbers in the name", text: `42 (1 2 3 4) ${tail}` },
  ])("$name", ({ text }) => expect(parseStat(text)).toEqual({ parent: 17, userTicks: 250, systemTicks: 37 }));

  it.each([
    { name: "empty", text: "" },
    { name: "cut off", text: "42 (node) S 17" },
    { name: "no numbers", text: `42 (node) ${tail.replaceAll(/\d+/gu, "x")}` },
  ])("$name is no process", ({ text }) => expect(parseStat(text)).toBeNull());

  it("reads this process", () => {
    expect(parseStat(read("/proc/self/stat") ?? "")?.parent).toBe(process.ppid);
  });
});

describe("/proc/PID/status", () => {
  const text = "Name:\tnode\nVmPeak:\t  900 kB\nVmRSS:\t  1234 kB\nThreads:\t11\n";

  it.each([
    { field: "VmRSS", expected: 1234 },
    { field: "Threads", expected: null },
    { field: "VmSwap", expected: null },
  ])("$field", ({ field, expected }) => expect(parseStatusKb(text, field)).toBe(expected));

  it("adds up what lives and leaves out what does not", () => {
    const own = residentKb([process.pid]);
    expect(own).toBeGreaterThan(10_000);
    expect(residentKb([2 ** 22 + 1])).toBe(0);
  });
});

describe("all processes of a server", () => {
  it("finds the child of a child", async () => {
    const shell = spawn("sh", ["-c", "sleep 30 & echo $!; wait"], { stdio: ["ignore", "pipe", "ignore"] });
    try {
      const [line] = (await once(shell.stdout, "data")) as [Buffer];
      const grandchild = Number(line.toString());
      expect(processTree(process.pid)).toContain(grandchild);
      expect(processTree(shell.pid!)).toEqual([shell.pid, grandchild]);
      process.kill(grandchild);
    } finally {
      shell.kill("SIGKILL");
    }
  });
});
