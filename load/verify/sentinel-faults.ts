/** Faults of a Redis behind sentinels: a failover by hand, and a master that dies. */
import { eventually, type Fault, type FaultWorld } from "./fault.ts";
import type { OwnRedis } from "./own-redis.ts";
import type { OwnSentinels } from "./own-sentinels.ts";

/** See the file head. */
export const sentinelFaults: readonly Fault[] = [
  sentinelFault("sentinel-failover", "a failover by hand (SENTINEL FAILOVER)", async (sentinels, old) => {
    // It refuses until it knows the replica well enough, which it asks every ten seconds, and gives up where the replica
    // does not say within five that it was promoted: then it has to be asked again. While it is at it, it refuses.
    await eventually(async () => {
      if ((await sentinels.master()) !== old) return true;
      await sentinels.beginFailover();
      return false;
    }, "another master");
  }),
  sentinelFault(
    "sentinel-master-kill",
    "the master killed (SIGKILL); the sentinels promote its replica, and it comes back as one",
    async (sentinels, old) => {
      await old.kill();
      await changedFrom(old, sentinels);
      // Nobody has told it: for some seconds it believes that it is the master, until a sentinel demotes it.
      await old.up();
    },
  ),
  {
    name: "sentinel-links-kill",
    title: "every connection to both servers killed (CLIENT KILL)",
    brokers: ["sentinel"],
    run: async (world) => {
      for (const server of storeOf(world).servers) {
        await server.ask(async (client) => {
          for (const type of ["pubsub", "normal"]) await client.call("CLIENT", "KILL", "TYPE", type);
        });
      }
    },
  },
];

async function changedFrom(old: OwnRedis, sentinels: OwnSentinels): Promise<void> {
  await eventually(async () => (await sentinels.master()) !== old, "another master");
}

/** What the old master answered last, and what it takes until it knows that it is none, may be gone. */
function sentinelFault(
  name: string,
  title: string,
  hurt: (sentinels: OwnSentinels, master: OwnRedis) => Promise<void>,
): Fault {
  return {
    name,
    title,
    brokers: ["sentinel"],
    run: async (world) => {
      const sentinels = storeOf(world);
      const master = await sentinels.master();
      sentinels.doubt.begin("failed over");
      try {
        await hurt(sentinels, master);
        await sentinels.whole();
      } finally {
        sentinels.doubt.end();
      }
    },
  };
}

function storeOf({ sentinels }: FaultWorld): OwnSentinels {
  if (sentinels === null) throw new Error("this fault needs --broker sentinel");
  return sentinels;
}
