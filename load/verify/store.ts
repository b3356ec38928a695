/** The store behind the servers of a run, as the run sees it, whichever kind of Redis it is. */
import type { Redis } from "ioredis";

/** See the file head. Its faults are in the files of its kind. */
export interface Store {
  /** `--set` arguments of a server that uses it. */
  readonly serverSettings: readonly string[];
  /** For the control, see control-server.mjs. */
  readonly controlTarget: ControlTarget;
  readonly doubt: DoubtfulTimes;
  /** Which numbers it has of a topic with history, under `tape:`. */
  numbersOf(topic: string): Promise<ReadonlySet<number>>;
  stop(): Promise<void>;
}

/** Addresses on 127.0.0.1. */
export type ControlTarget =
  | { readonly port: number }
  | { readonly clusterPorts: readonly number[] }
  | { readonly sentinelPorts: readonly number[]; readonly sentinelName: string };

/**
 * What may be gone although it was answered. `emptied`: everything, and readers are told. `failed over`: what the master
 * answered last and its replica does not have, as Redis replicates after it has answered (docs/REDIS.md).
 */
export type LossKind = "emptied" | "failed over";

interface DoubtfulTime {
  readonly kind: LossKind;
  readonly fromMs: number;
  toMs: number;
}

/** What was answered so long before a master went may not have reached its replica; on a busy machine that is long. */
const replicationLagMsMax = 2000;

/** When messages were accepted that the store may have lost for reasons of its own. */
export class DoubtfulTimes {
  /** Grows with each loss, at its beginning and its end: a publish that was under way meanwhile may be stored twice. */
  lossCount = 0;
  readonly #times: DoubtfulTime[] = [];

  begin(kind: LossKind, nowMs = performance.now()): void {
    this.lossCount++;
    const fromMs = kind === "emptied" ? Number.NEGATIVE_INFINITY : nowMs - replicationLagMsMax;
    this.#times.push({ kind, fromMs, toMs: Number.POSITIVE_INFINITY });
  }

  end(nowMs = performance.now()): void {
    this.lossCount++;
    const last = this.#times.at(-1);
    if (last !== undefined) last.toMs = nowMs;
  }

  /** Losing now. */
  get isOpen(): boolean {
    return this.#times.at(-1)?.toMs === Number.POSITIVE_INFINITY;
  }

  /** Why what was taken within that time may be gone; null: it must be there. */
  within(startMs: number, endMs: number): LossKind | null {
    const found = this.#times.filter(({ fromMs, toMs }) => endMs >= fromMs && startMs <= toMs);
    // What was emptied is gone for certain, and its readers were told.
    return found.find(({ kind }) => kind === "emptied")?.kind ?? found[0]?.kind ?? null;
  }
}

/** The numbers in the messages of a log. */
export async function numbersIn(redis: Redis, key: string): Promise<ReadonlySet<number>> {
  const numbers = new Set<number>();
  for (let from = "-"; ;) {
    const entries = await redis.xrange(key, from, "+", "COUNT", 1000);
    for (const [, fields] of entries) {
      const data = fields[fields.indexOf("d") + 1] ?? "";
      numbers.add((JSON.parse(data) as { readonly n: number }).n);
    }
    const last = entries.at(-1);
    if (last === undefined || entries.length < 1000) return numbers;
    from = `(${last[0]}`;
  }
}
