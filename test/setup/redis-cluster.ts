/**
 * A Redis Cluster of our own on loopback: three masters, each with a replica if asked, put together by hand (a second
 * instead of the six of `redis-cli --cluster create`), and the hurts that tests do to it: slots moved, masters gone.
 */
import { Redis } from "ioredis";
import { freePort, type RedisServer, startRedisServer } from "./redis-server.ts";

const slotCount = 16_384;

export interface ClusterServer extends RedisServer {
  readonly id: string;
  /** Of the cluster's bus. */
  readonly busPort: number;
  readonly client: Redis;
}

/** See the file head. */
export class RedisCluster {
  readonly masters: ClusterServer[] = [];
  /** The replica of the master of the same index; empty without replicas. */
  readonly replicas: ClusterServer[] = [];

  readonly #guard: ClusterGuard | null;

  private constructor(guard: ClusterGuard | null) {
    this.#guard = guard;
  }

  /** @param options `spareCount`: masters without slots; `guard`: speaks TLS only, to those who know the password. */
  static async start(
    options: {
      readonly replicas?: boolean;
      readonly spareCount?: number;
      readonly guard?: ClusterGuard;
    } = {},
  ): Promise<RedisCluster> {
    const cluster = new RedisCluster(options.guard ?? null);
    const masterCount = 3 + (options.spareCount ?? 0);
    try {
      await cluster.#startServers(masterCount, options.replicas ?? false);
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  get urls(): string[] {
    return this.masters.slice(0, 3).map((server) => server.url);
  }

  /** The master that serves `slot`, as the first living server sees it; null while it knows of none. */
  async ownerOf(slot: number): Promise<ClusterServer | null> {
    for (const server of [...this.masters, ...this.replicas]) {
      if (server.client.status !== "ready") continue;
      const lines = String(await server.client.cluster("NODES")).split("\n");
      for (const line of lines) {
        const [id, , flags = "", , , , , , ...slots] = line.split(" ");
        if (!flags.includes("master") || flags.includes("fail")) continue;
        const isOwner = slots.some((range) => {
          const [first = "", last = first] = range.split("-");
          return Number(first) <= slot && slot <= Number(last);
        });
        const owner = [...this.masters, ...this.replicas].find((each) => each.id === id);
        if (isOwner && owner !== undefined) return owner;
      }
      return null;
    }
    return null;
  }

  /** Begins to move a slot: keys that are missing are asked for at `to` from now on. */
  async beginMove(slot: number, from: ClusterServer, to: ClusterServer): Promise<void> {
    await to.client.cluster("SETSLOT", slot, "IMPORTING", from.id);
    await from.client.cluster("SETSLOT", slot, "MIGRATING", to.id);
  }

  /** Moves the keys of a slot that is on its way, at most `count` of them. @returns how many. */
  async moveKeys(slot: number, from: ClusterServer, to: ClusterServer, count = 1000): Promise<number> {
    const keys = await from.client.cluster("GETKEYSINSLOT", slot, count);
    if (keys.length === 0) return 0;
    const auth = this.#guard === null ? [] : ["AUTH", this.#guard.password];
    await from.client.call("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, ...auth, "KEYS", ...keys);
    return keys.length;
  }

  /** Ends the move of a slot, as redis-cli does: the new owner first. */
  async endMove(slot: number, from: ClusterServer, to: ClusterServer): Promise<void> {
    await to.client.cluster("SETSLOT", slot, "NODE", to.id);
    await from.client.cluster("SETSLOT", slot, "NODE", to.id);
    for (const server of this.masters) {
      // Others hear of it by gossip, sooner when told.
      if (server !== from && server !== to)
        await server.client.cluster("SETSLOT", slot, "NODE", to.id).catch(() => {});
    }
  }

  /** Moves a slot with all its keys. */
  async moveSlot(slot: number, to: ClusterServer): Promise<void> {
    const from = await this.ownerOf(slot);
    if (from === null) throw new Error(`nobody serves slot ${slot}`);
    await this.beginMove(slot, from, to);
    while ((await this.moveKeys(slot, from, to)) > 0);
    await this.endMove(slot, from, to);
  }

  async stop(): Promise<void> {
    await Promise.all(
      [...this.masters, ...this.replicas].map(async (server) => {
        server.client.disconnect();
        await server.kill();
      }),
    );
  }

  async #startServers(masterCount: number, withReplicas: boolean): Promise<void> {
    this.masters.push(
      ...(await Promise.all(Array.from({ length: masterCount }, () => startNode(this.#guard)))),
    );
    if (withReplicas)
      this.replicas.push(...(await Promise.all(this.masters.map(() => startNode(this.#guard)))));
    const [first, ...others] = [...this.masters, ...this.replicas];
    if (first === undefined) return;
    for (const [index, { client }] of this.masters.slice(0, 3).entries()) {
      await client.call("CLUSTER", "SET-CONFIG-EPOCH", index + 1);
      await client.call(
        "CLUSTER",
        "ADDSLOTSRANGE",
        Math.round((index * slotCount) / 3),
        Math.round(((index + 1) * slotCount) / 3) - 1,
      );
    }
    for (const { port, busPort } of others) {
      await first.client.call("CLUSTER", "MEET", "127.0.0.1", port, busPort);
    }
    await this.#all((info) => info.includes(`cluster_known_nodes:${others.length + 1}`));
    for (const [index, replica] of this.replicas.entries()) {
      await replica.client.cluster("REPLICATE", this.masters[index]?.id ?? "");
    }
    await this.#all((info) => info.includes("cluster_state:ok"));
    // A master that has not heard by gossip whose replica it has ignores its CLUSTER FAILOVER.
    for (const { client } of [...this.masters, ...this.replicas]) {
      await until(async () => {
        const nodes = String(await client.cluster("NODES"));
        return this.replicas.every(({ id }, index) => {
          const line = nodes.split("\n").find((each) => each.startsWith(id)) ?? "";
          return line.includes("slave") && line.split(" ")[3] === this.masters[index]?.id;
        });
      }, "replicas that everybody knows");
    }
    for (const { client } of this.replicas) {
      await until(async () => (await client.role())[3] === "connected", "a replica that is connected");
    }
  }

  async #all(isSo: (info: string) => boolean): Promise<void> {
    for (const { client } of [...this.masters, ...this.replicas]) {
      await until(async () => isSo(await client.cluster("INFO")), "a whole cluster");
    }
  }
}

/** What a cluster under TLS with a password needs. */
export interface ClusterGuard {
  readonly password: string;
  /** PEM files. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
}

async function startNode(guard: ClusterGuard | null): Promise<ClusterServer> {
  // The bus takes another port, which is to be free too: by default 10,000 above.
  const busPort = await freePort();
  const server = await startRedisServer({
    args: [
      "--cluster-enabled",
      "yes",
      "--cluster-config-file",
      "nodes.conf",
      "--cluster-port",
      String(busPort),
      "--cluster-node-timeout",
      "2000",
      "--cluster-announce-ip",
      "127.0.0.1",
      "--repl-diskless-sync-delay",
      "0",
      ...(guard === null ? [] : guardArguments(guard)),
    ],
    isTls: guard !== null,
  });
  const client = new Redis({
    host: "127.0.0.1",
    port: server.port,
    retryStrategy: () => 100,
    ...(guard === null ? {} : { password: guard.password, tls: { ca: guard.cert } }),
  });
  client.on("error", () => {
    // A test kills the server; the command's own promise tells.
  });
  return { ...server, busPort, id: await client.cluster("MYID"), client };
}

function guardArguments({ password, certFile, keyFile }: ClusterGuard): string[] {
  return Object.entries({
    requirepass: password,
    masterauth: password,
    "tls-cluster": "yes",
    "tls-replication": "yes",
    "tls-auth-clients": "no",
    "tls-cert-file": certFile,
    "tls-key-file": keyFile,
    "tls-ca-cert-file": certFile,
  }).flatMap(([name, value]) => [`--${name}`, value]);
}

/** Asks other processes until they are where they should be. */
export async function until(isSo: () => Promise<boolean>, what: string, timeoutMs = 30_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
