/** Faults of a Redis Cluster: slots that move, masters demoted by hand, masters killed. */
import { eventually, sleep, type Fault, type FaultWorld } from "./fault.ts";
import type { ClusterNode, OwnCluster } from "./own-cluster.ts";

/** See the file head. */
export const clusterFaults: readonly Fault[] = [
  clusterFault("slot-move", "the slot of a topic moved to another master", async (cluster, world) => {
    const [topic] = world.random.some(world.subjects[0]?.books.topics ?? [], 1);
    if (topic === undefined) return;
    const slot = cluster.slotOf(topic.name);
    const from = await cluster.ownerOf(slot);
    const others = (await cluster.masters()).filter(({ id }) => id !== from.id);
    const [to] = world.random.some(others, 1);
    if (to === undefined) throw new Error("no other master");
    await moveSlot(cluster, slot, from, to, world.random.int(0, 500));
  }),
  clusterFault("cluster-failover", "a master demoted by hand (CLUSTER FAILOVER)", async (cluster, world) => {
    const [master] = world.random.some(await cluster.masters(), 1);
    const replica = master === undefined ? null : await cluster.replicaOf(master);
    if (replica === null) throw new Error("no replica to take over");
    let askedMs = Number.NEGATIVE_INFINITY;
    await eventually(async () => {
      return await replica.redis.ask(async (client) => {
        if ((await client.role())[0] === "master") return true;
        // It gives up after 5 s on a busy machine, and is to be asked again.
        if (performance.now() - askedMs > 6000) {
          askedMs = performance.now();
          await client.cluster("FAILOVER");
        }
        return false;
      });
    }, "the replica to take over");
    await cluster.whole();
  }),
  clusterFault(
    "cluster-master-kill",
    "a master killed (SIGKILL); its replica takes over, and it comes back as a replica",
    async (cluster, world) => {
      const [master] = world.random.some(await cluster.masters(), 1);
      if (master === undefined) throw new Error("no master");
      cluster.doubt.begin("failed over");
      try {
        await master.redis.kill();
        await eventually(async () => {
          const masters = await cluster.masters();
          return masters.length === 3 && !masters.includes(master);
        }, "the replica to take over");
        await master.redis.up();
        await cluster.whole();
      } finally {
        cluster.doubt.end();
      }
    },
  ),
  clusterFault(
    "cluster-links-kill",
    "every connection to every node killed (CLIENT KILL)",
    async (cluster) => {
      await Promise.all(
        cluster.nodes.map(({ redis }) =>
          redis.ask(async (client) => {
            for (const type of ["pubsub", "normal"]) await client.call("CLIENT", "KILL", "TYPE", type);
          }),
        ),
      );
    },
  ),
];

/** As `redis-cli --cluster reshard` does it. @param pauseMs half-way, while its keys are on both sides. */
async function moveSlot(
  cluster: OwnCluster,
  slot: number,
  from: ClusterNode,
  to: ClusterNode,
  pauseMs: number,
): Promise<void> {
  await to.redis.ask((client) => client.cluster("SETSLOT", slot, "IMPORTING", from.id));
  await from.redis.ask(async (client) => {
    await client.cluster("SETSLOT", slot, "MIGRATING", to.id);
    await sleep(pauseMs);
    for (;;) {
      const keys = await client.cluster("GETKEYSINSLOT", slot, 20);
      if (keys.length === 0) return;
      await client.call("MIGRATE", "127.0.0.1", to.redis.port, "", 0, 5000, "KEYS", ...keys);
    }
  });
  // The new owner first; others hear of it by gossip, sooner when told. A replica takes it from its master alone.
  const masters = await cluster.masters();
  for (const { redis } of [to, from, ...masters.filter((each) => each !== to && each !== from)])
    await redis.ask((client) => client.cluster("SETSLOT", slot, "NODE", to.id));
}

function clusterFault(
  name: string,
  title: string,
  hurt: (cluster: OwnCluster, world: FaultWorld) => Promise<unknown>,
): Fault {
  return {
    name,
    title,
    brokers: ["cluster"],
    run: async (world) => {
      if (world.cluster === null) throw new Error(`${name} needs --broker cluster`);
      await hurt(world.cluster, world);
    },
  };
}
