/** What a fault is, what it can hurt, and what faults are made of. Each hurts what it names, waits until that is whole again, and returns. */
import type { CuttingProxy } from "./cutting-proxy.ts";
import type { OwnCluster } from "./own-cluster.ts";
import type { OwnRedis } from "./own-redis.ts";
import type { OwnSentinels } from "./own-sentinels.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { Subject } from "./subject.ts";

/** The server's broker in a run: in its primary, a Redis alone, a Redis Cluster, or a Redis behind sentinels. */
export type BrokerKind = "memory" | "redis" | "cluster" | "sentinel";

/** What a fault can hurt. */
export interface FaultWorld {
  /** The store of that kind; null where the run has another. */
  readonly redis: OwnRedis | null;
  /** Between the servers and that Redis; null where no fault of the run needs it. */
  readonly redisNetwork: CuttingProxy | null;
  readonly cluster: OwnCluster | null;
  readonly sentinels: OwnSentinels | null;
  readonly subjects: readonly Subject[];
  readonly random: SeededRandom;
  /** Connections that one client-cut cuts. */
  readonly cutCount: number;
}

export interface Fault {
  readonly name: string;
  /** For people, in the report. */
  readonly title: string;
  /** With which brokers it can happen; null: with each. */
  readonly brokers: readonly BrokerKind[] | null;
  run(world: FaultWorld): Promise<void>;
}

/** How long what is being replaced, promoted or coming back is waited for. */
export const patienceMs = 90_000;

/** A fault of the one Redis that all subjects share. */
export function redisFault(
  name: string,
  title: string,
  hurt: (redis: OwnRedis, world: FaultWorld) => Promise<unknown>,
): Fault {
  return {
    name,
    title,
    brokers: ["redis"],
    run: async (world) => {
      if (world.redis === null) throw new Error(`${name} needs --broker redis`);
      await hurt(world.redis, world);
    },
  };
}

/** A fault of servers, clients or publishers: done to every subject at the same moment. */
export function serverFault(
  name: string,
  title: string,
  hurt: (world: FaultWorld, subject: Subject) => Promise<void>,
  brokers: readonly BrokerKind[] | null = null,
): Fault {
  return {
    name,
    title,
    brokers,
    run: async (world) => {
      await Promise.all(world.subjects.map((subject) => hurt(world, subject)));
    },
  };
}

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself a moment ago.
  }
}

/** Whether it came true within `ms`. */
export async function until(isSo: () => boolean, ms: number): Promise<boolean> {
  const deadlineMs = performance.now() + ms;
  while (!isSo()) {
    if (performance.now() > deadlineMs) return false;
    await sleep(20);
  }
  return true;
}

/** The same of other processes, which may not answer: then it is not so yet. @throws Error that names `what`. */
export async function eventually(isSo: () => Promise<boolean>, what: string, ms = patienceMs): Promise<void> {
  const deadlineMs = performance.now() + ms;
  while (!(await isSo().catch(() => false))) {
    if (performance.now() > deadlineMs) throw new Error(`waited for ${what} in vain`);
    await sleep(50);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, Math.max(0, ms));
  });
}
