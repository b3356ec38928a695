/** The machine that figures were measured on, as far as it decides them. Names no host. */
import { availableParallelism, cpus, release, totalmem } from "node:os";

import { read } from "./proc.ts";

export type MachineFacts = Readonly<Record<string, string>>;

const sysctls = [
  "net.ipv4.tcp_notsent_lowat",
  "net.ipv4.tcp_wmem",
  "net.ipv4.tcp_rmem",
  "net.core.somaxconn",
] as const;

/** @param more facts that only the caller knows, such as versions of peers. */
export function machineFacts(more: MachineFacts = {}): MachineFacts {
  const facts: Record<string, string> = {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: String(availableParallelism()),
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: `Linux ${release()}`,
    node: process.version,
  };
  if (/\bhypervisor\b/u.test(read("/proc/cpuinfo") ?? ""))
    facts["virtual"] = "yes: other machines share the cores";
  for (const name of sysctls) {
    const value = read(`/proc/sys/${name.replaceAll(".", "/")}`);
    if (value !== null) facts[name] = value.replaceAll(/\s+/gu, " ");
  }
  return { ...facts, ...more };
}

/** How busy the machine is already, as the number of processes that want to run: figures of a busy one are worthless. */
export function loadAverage(): number {
  return Number((read("/proc/loadavg") ?? "0").split(" ")[0]);
}
