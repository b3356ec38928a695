/** A Redis Cluster of the run's own on loopback: three masters, each with a replica, put together by hand. */
import type { Redis } from "ioredis";

import { partitionOf, partitionSlot, slotCount, topicNames } from "../../src/broker/topic-partition.ts";
import { freePort } from "../peers/processes.ts";
import { eventually } from "./fault.ts";
import { OwnRedis } from "./own-redis.ts";
import { type ControlTarget, DoubtfulTimes, numbersIn, type Store } from "./store.ts";

const masterCount = 3;
/** `broker.redis.partitions` by default. */
const partitionCount = 256;

/** One of its servers. */
export interface ClusterNode {
  readonly redis: OwnRedis;
  readonly id: string;
  /** Of the cluster's bus. */
  readonly busPort: number;
}

/** What a node says of the cluster, line by line. */
interface NodeLine {
  readonly id: string;
  readonly flags: readonly string[];
  readonly masterId: string;
  readonly isConnected: boolean;
  readonly ranges: readonly string[];
}

/** See the file head. */
export class OwnCluster implements Store {
  readonly nodes: readonly ClusterNode[];
  readonly doubt = new DoubtfulTimes();

  private constructor(nodes: readonly ClusterNode[]) {
    this.nodes = nodes;
  }

  /** @throws CliError without a redis-server on the PATH. */
  static async start(): Promise<OwnCluster> {
    const nodes: ClusterNode[] = [];
    const cluster = new OwnCluster(nodes);
    try {
      for (let index = 0; index < 2 * masterCount; index++) {
        // The bus takes a port of its own, which is to be free too: by default 10,000 above.
        const busPort = await freePort();
        const redis = await OwnRedis.start(clusterArguments(busPort));
        nodes.push({ redis, busPort, id: await redis.ask((client) => client.cluster("MYID")) });
      }
      await cluster.#join();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  get serverSettings(): readonly string[] {
    const urls = this.nodes.map(({ redis }) => redis.url).join(", ");
    return ["broker.kind=redis", "broker.redis.mode=cluster", `broker.redis.urls=[${urls}]`];
  }

  get controlTarget(): ControlTarget {
    return { clusterPorts: this.nodes.map(({ redis }) => redis.port) };
  }

  async numbersOf(topic: string): Promise<ReadonlySet<number>> {
    const owner = await this.ownerOf(this.slotOf(topic));
    const { log } = topicNames("tape:", partitionOf(topic, partitionCount), topic);
    return await owner.redis.ask((client) => numbersIn(client, log));
  }

  slotOf(topic: string): number {
    return partitionSlot(partitionOf(topic, partitionCount));
  }

  /** The masters that have slots and are believed to live. */
  async masters(): Promise<ClusterNode[]> {
    const lines = await this.#lines();
    return lines
      .filter(({ flags, ranges }) => isMaster(flags) && ranges.length > 0)
      .map(({ id }) => this.#node(id));
  }

  /** The master that serves a slot. @throws Error while there is none. */
  async ownerOf(slot: number): Promise<ClusterNode> {
    const lines = await this.#lines();
    const line = lines.find(({ flags, ranges }) => isMaster(flags) && ranges.some((each) => has(each, slot)));
    if (line === undefined) throw new Error(`nobody serves slot ${slot}`);
    return this.#node(line.id);
  }

  /** The connected replica of a master; null: it has none. */
  async replicaOf(master: ClusterNode): Promise<ClusterNode | null> {
    const lines = await this.#lines();
    const line = lines.find(({ masterId, flags, isConnected }) => {
      return masterId === master.id && isConnected && !flags.includes("fail");
    });
    return line === undefined ? null : this.#node(line.id);
  }

  /** Waits until every slot has a master, and every master a replica that keeps up. */
  async whole(): Promise<void> {
    for (const { redis } of this.nodes) {
      await eventually(async () => {
        const [info, role] = await redis.ask(
          async (client) => [await client.cluster("INFO"), await client.role()] as const,
        );
        const isJoined = info.includes("cluster_state:ok");
        return isJoined && (role[0] === "master" || role[3] === "connected");
      }, `the node on port ${redis.port}`);
    }
    await eventually(async () => {
      const masters = await this.masters();
      const replicas = await Promise.all(masters.map((each) => this.replicaOf(each)));
      return masters.length === masterCount && !replicas.includes(null);
    }, "a replica for each master");
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map(({ redis }) => redis.stop()));
  }

  async #join(): Promise<void> {
    const [first, ...others] = this.nodes;
    if (first === undefined) return;
    for (const [index, { redis }] of this.nodes.slice(0, masterCount).entries()) {
      const from = Math.round((index * slotCount) / masterCount);
      const to = Math.round(((index + 1) * slotCount) / masterCount) - 1;
      await redis.ask(async (client) => {
        await client.call("CLUSTER", "SET-CONFIG-EPOCH", index + 1);
        await client.call("CLUSTER", "ADDSLOTSRANGE", from, to);
      });
    }
    await first.redis.ask(async (client) => {
      for (const { redis, busPort } of others)
        await client.call("CLUSTER", "MEET", "127.0.0.1", redis.port, busPort);
    });
    for (const { redis } of this.nodes) {
      const knowsAll = async (): Promise<boolean> => {
        const info = await redis.ask((client) => client.cluster("INFO"));
        return info.includes(`cluster_known_nodes:${this.nodes.length}`);
      };
      await eventually(knowsAll, "nodes that know each other");
    }
    for (const [index, { redis }] of this.nodes.slice(masterCount).entries())
      await redis.ask((client) => client.cluster("REPLICATE", this.nodes[index]?.id ?? ""));
    await this.whole();
  }

  /** As the first node sees it that answers and has a majority. */
  async #lines(): Promise<NodeLine[]> {
    for (const { redis } of this.nodes) {
      const text = await redis.ask(readNodes).catch(() => null);
      if (text !== null) return text.trim().split("\n").map(nodeLine);
    }
    throw new Error("no node of the cluster answers");
  }

  #node(id: string): ClusterNode {
    const node = this.nodes.find((each) => each.id === id);
    if (node === undefined) throw new Error(`a node of another cluster: ${id}`);
    return node;
  }
}

function clusterArguments(busPort: number): string[] {
  return Object.entries({
    "cluster-enabled": "yes",
    "cluster-config-file": "nodes.conf",
    "cluster-port": String(busPort),
    "cluster-node-timeout": "2000",
    "cluster-announce-ip": "127.0.0.1",
    // Slots without a master are no reason for the others to stop.
    "cluster-require-full-coverage": "no",
    "repl-diskless-sync-delay": "0",
  }).flatMap(([name, value]) => [`--${name}`, value]);
}

async function readNodes(client: Redis): Promise<string | null> {
  // A node that has just come back has not heard yet who took its place.
  if (!(await client.cluster("INFO")).includes("cluster_state:ok")) return null;
  return String(await client.cluster("NODES"));
}

function nodeLine(text: string): NodeLine {
  const [id = "", , flags = "", masterId = "", , , , link = "", ...ranges] = text.split(" ");
  return { id, flags: flags.split(","), masterId, isConnected: link === "connected", ranges };
}

function isMaster(flags: readonly string[]): boolean {
  return flags.includes("master") && !flags.includes("fail");
}

/** @param range as `CLUSTER NODES` writes it, `0-5460` or `7`; what is on its way is in brackets. */
function has(range: string, slot: number): boolean {
  const [first = "", last = first] = range.split("-");
  return Number(first) <= slot && slot <= Number(last);
}
