/** A Redis with a replica and three sentinels of the run's own, on loopback. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";

import { freePort, Program } from "../peers/processes.ts";
import { eventually } from "./fault.ts";
import { OwnRedis } from "./own-redis.ts";
import { type ControlTarget, DoubtfulTimes, numbersIn, type Store } from "./store.ts";

/** Under which the sentinels know the master. */
const name = "tape";
const sentinelCount = 3;
/** A master that is silent for so long is dead. */
const downAfterMs = 1000;

interface Sentinel {
  readonly port: number;
  readonly program: Program;
}

/** See the file head. */
export class OwnSentinels implements Store {
  readonly servers: readonly OwnRedis[];
  readonly doubt = new DoubtfulTimes();
  readonly #sentinels: Sentinel[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), "tapecast-verify-"));

  private constructor(servers: readonly OwnRedis[]) {
    this.servers = servers;
  }

  /** @throws CliError without a redis-server on the PATH. */
  static async start(): Promise<OwnSentinels> {
    const quick = ["--repl-diskless-sync-delay", "0"];
    const master = await OwnRedis.start(quick);
    const replica = await OwnRedis.start(quick);
    const store = new OwnSentinels([master, replica]);
    try {
      await replica.ask((client) => client.replicaof("127.0.0.1", master.port));
      // A sentinel looks only every ten seconds: the replica is to be there at its first look.
      await store.#replicaKeepsUp();
      for (let index = 0; index < sentinelCount; index++) await store.#startSentinel(master.port);
      await store.whole();
      return store;
    } catch (error) {
      await store.stop();
      throw error;
    }
  }

  get serverSettings(): readonly string[] {
    const urls = this.#sentinels.map(({ port }) => `redis://127.0.0.1:${port}`).join(", ");
    return [
      "broker.kind=redis",
      "broker.redis.mode=sentinel",
      `broker.redis.sentinelName=${name}`,
      `broker.redis.urls=[${urls}]`,
    ];
  }

  get controlTarget(): ControlTarget {
    return { sentinelPorts: this.#sentinels.map(({ port }) => port), sentinelName: name };
  }

  async numbersOf(topic: string): Promise<ReadonlySet<number>> {
    const master = await this.master();
    return await master.ask((client) => numbersIn(client, `tape:log:${topic}`));
  }

  /** As the first sentinel knows it. */
  async master(): Promise<OwnRedis> {
    const address = await this.#askSentinel(0, (client) =>
      client.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name),
    );
    const port = Number((address as readonly string[])[1]);
    const master = this.servers.find((each) => each.port === port);
    if (master === undefined) throw new Error(`the sentinels name a stranger on port ${port}`);
    return master;
  }

  /** Begins a failover by hand. False: the sentinel does not know the replica well enough, or is at one. */
  async beginFailover(): Promise<boolean> {
    const begin = this.#askSentinel(0, (client) => client.call("SENTINEL", "FAILOVER", name));
    return (await begin.catch(() => "refused")) === "OK";
  }

  /** Waits until all sentinels agree on the master, know each other, and the replica keeps up. */
  async whole(): Promise<void> {
    for (let index = 0; index < sentinelCount; index++) {
      await eventually(async () => {
        const text = await this.#askSentinel(index, (client) => client.call("SENTINEL", "CKQUORUM", name));
        return String(text).startsWith(`OK ${sentinelCount} `);
      }, "sentinels that know each other");
    }
    await this.#replicaKeepsUp();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#sentinels.map(({ program }) => program.stop(true)));
    await Promise.all(this.servers.map((server) => server.stop()));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #replicaKeepsUp(): Promise<void> {
    await eventually(async () => {
      const roles = await Promise.all(this.servers.map((each) => each.ask((client) => client.role())));
      const replica = roles.find(([role]) => role === "slave");
      return roles.some(([role]) => role === "master") && replica?.[3] === "connected";
    }, "a master and a replica that keeps up");
  }

  async #startSentinel(masterPort: number): Promise<void> {
    const port = await freePort();
    // A sentinel rewrites its configuration.
    const file = join(this.#folder, `sentinel-${port}.conf`);
    const lines = [
      `port ${port}`,
      "bind 127.0.0.1",
      `sentinel monitor ${name} 127.0.0.1 ${masterPort} 2`,
      `sentinel down-after-milliseconds ${name} ${downAfterMs}`,
      `sentinel failover-timeout ${name} 5000`,
    ];
    writeFileSync(file, lines.join("\n"));
    const program = new Program("a sentinel", ["redis-server", file, "--sentinel"], null, this.#folder);
    this.#sentinels.push({ port, program });
    await program.line(/Sentinel ID is/u);
  }

  async #askSentinel<Result>(index: number, command: (client: Redis) => Promise<Result>): Promise<Result> {
    const port = this.#sentinels[index]?.port ?? 0;
    const client = new Redis(port, "127.0.0.1", { lazyConnect: true, retryStrategy: () => null });
    client.on("error", () => undefined);
    try {
      await client.connect();
      return await command(client);
    } finally {
      client.disconnect();
    }
  }
}
