/** What one variant of `polling-vs-push` came to. All variants have the same users, symbols, changes and time. */
import { read } from "../bench/proc.ts";
import type { LatencySummary } from "../swarm/latency.ts";

export interface Variant {
  /** For programs. */
  readonly name: string;
  readonly label: string;
  /** How long it was measured; rates are over this time. Polling takes a second longer, to let the last group end. */
  readonly elapsedSec: number;
  readonly requests: number;
  readonly connections: number;
  /** On the sockets, both directions. */
  readonly payloadBytes: number;
  /** TCP segments of both directions; of the whole machine, so good on a quiet one. */
  readonly segments: number;
  readonly cpuSec: number;
  readonly residentMib: number;
  /** Changes that reached a user. */
  readonly changesSeen: number;
  /** Milliseconds. */
  readonly age: LatencySummary;
  readonly everySecond: readonly VariantSecond[];
  readonly problems: readonly string[];
}

export interface VariantSecond {
  readonly cpuPercent: number | null;
  readonly ageP50Ms: number | null;
  readonly ageP99Ms: number | null;
}

/** IPv4 without options, and TCP with timestamps, which Linux sends. */
const headerBytes = 20 + 32;

/** Payload, and the headers of TCP and IP. */
export function wireBytes({ payloadBytes, segments }: Variant): number {
  return payloadBytes + segments * headerBytes;
}

/** TCP segments that this machine has sent so far; 0 where the kernel does not say. */
export function segmentsSent(): number {
  return parseSegments(read("/proc/net/snmp") ?? "");
}

/** Of /proc/net/snmp: a line of names, then one of values, for each protocol. */
export function parseSegments(text: string): number {
  const [names = [], values = []] = text
    .split("\n")
    .filter((line) => line.startsWith("Tcp:"))
    .map((line) => line.split(" "));
  return Number(values[names.indexOf("OutSegs")] ?? 0);
}
