/** The commands' connection of whichever master serves a partition at the moment of each call. */
import type { Redis } from "ioredis";
import type { BrokerError } from "../base/errors.ts";
import type { ClusterTopology } from "./redis-cluster-topology.ts";
import type { CommandLink } from "./redis-publisher.ts";

/** See the file head. */
export class PartitionLink implements CommandLink {
  readonly #topology: ClusterTopology;
  readonly #partition: number;

  constructor(topology: ClusterTopology, partition: number) {
    this.#topology = topology;
    this.#partition = partition;
  }

  get client(): Redis | null {
    return this.#topology.owner(this.#partition)?.commands.client ?? null;
  }

  async whenUp(timeoutMs: number): Promise<Redis | null> {
    const node = await this.#topology.whenUp(this.#partition, timeoutMs);
    return node?.commands.client ?? null;
  }

  error(): BrokerError {
    return this.#topology.error(this.#partition);
  }

  giveUp(client: Redis, reason: string): void {
    this.#topology.nodeOf(client)?.commands.giveUp(client, reason);
  }

  refused(place: string, reason: string): void {
    this.#topology.owner(this.#partition)?.commands.refused(place, reason);
  }

  redirected(client: Redis, error: unknown): CommandLink | null {
    const node = this.#topology.nodeOf(client);
    if (node === null || !(error instanceof Error)) return null;
    return this.#topology.redirected(node, error.message)?.commands ?? null;
  }
}
