/**
 * The scenarios, one for each line of the table of goals (docs/benchmarks/README.md). Loads are those of the first
 * measurements that the goals come from; each scenario alone takes at most four minutes with five rounds.
 */
import { bunPeer, floorBatch, floorSend, tapecastEvery, tapecastLatest, wsPeer } from "./own-peers.ts";
import { centrifugoPeer, natsPeer, nchanPeer } from "./foreign-peers.ts";
import type { FigureName, Load } from "./measure.ts";
import type { Peer } from "./peer.ts";
import { basis, goal, manyTopics, oneToAll, variant } from "./scenario-parts.ts";
import type { Scenario } from "./scenario.ts";

const window50 = { name: "tapecast-50", title: "Tapecast, 50 ms window", settings: ["flush.windowMsMax=50"] };

const fanOutColumns: readonly FigureName[] = [
  "usPerDelivery",
  "deliveriesPerCpuSec",
  "serverShare",
  "p50Ms",
  "p99Ms",
  "bytesPerDelivery",
  "deliveriesPerRead",
  "deliveredShare",
  "missing",
  "disordered",
];
const throughputColumns: readonly FigureName[] = [
  "deliveriesPerCpuSec",
  ...fanOutColumns.filter((name) => name !== "deliveriesPerCpuSec"),
];
const latencyColumns: readonly FigureName[] = [
  "p99Ms",
  "p50Ms",
  "usPerDelivery",
  "serverShare",
  "deliveredShare",
];

const p1: Scenario = {
  name: "p1",
  title: "One message to 1,000 sockets, 100 a second: one message per write",
  kind: "fanOut",
  variants: [tapecastEvery, floorSend, bunPeer, wsPeer, natsPeer, nchanPeer, centrifugoPeer].map((peer) =>
    variant(peer, oneToAll),
  ),
  goals: [
    goal("P1", "at most 1.15 × the C floor", "usPerDelivery", 1.15, { against: ["floor"] }),
    goal("P1", "not above Bun", "usPerDelivery", 1, { against: ["bun"] }),
  ],
  columns: fanOutColumns,
  axis: "server CPU for one delivery, µs: less is better",
  reference: "floor",
};

function manyTopicsScenario(
  name: string,
  ratePerSec: number,
  title: string,
  peers: readonly Peer[],
): Scenario {
  const load = { ...manyTopics, ratePerSec };
  const faster = { against: ["bun"], bound: "atLeast" } as const;
  return {
    name,
    title,
    kind: "fanOut",
    variants: [
      variant(tapecastEvery, load),
      variant(tapecastEvery, load, window50),
      ...peers.map((peer) => variant(peer, load)),
    ],
    goals: [
      goal("P2", "at least 1.5 × Bun's deliveries per CPU-second", "deliveriesPerCpuSec", 1.5, faster),
      goal("P2", "p99 at most 30 ms", "p99Ms", 30),
      goal("P2", "with a 50 ms window at least 3 × Bun", "deliveriesPerCpuSec", 3, {
        ...faster,
        of: "tapecast-50",
      }),
      goal("P2", "at least 2 × Bun", "deliveriesPerCpuSec", 2, { ...faster, isStretch: true }),
    ],
    columns: throughputColumns,
    axis: "deliveries per second of server CPU: more is better",
    reference: "bun",
  };
}

const p2Slow = manyTopicsScenario(
  "p2-20k",
  20_000,
  "1,000 topics, 20 per socket, 1,000 sockets, every message: 20,000 messages/s in, 400,000 out",
  [floorBatch, bunPeer, natsPeer, wsPeer, nchanPeer, centrifugoPeer],
);
const p2Fast = manyTopicsScenario(
  "p2-50k",
  50_000,
  "1,000 topics, 20 per socket, 1,000 sockets, every message: 50,000 messages/s in, 1,000,000 out",
  [floorBatch, bunPeer, centrifugoPeer],
);

const p3: Scenario = {
  name: "p3",
  title: "As p2-20k, newest values only: `latest` with intervalMs 250",
  kind: "fanOut",
  variants: [
    variant(tapecastLatest, manyTopics, {
      name: "tapecast",
      title: "Tapecast, latest, 250 ms",
      query: "&interval=250",
    }),
    variant(tapecastEvery, manyTopics, { name: "every", title: "Tapecast, every" }),
  ],
  goals: [goal("P3", "server CPU at most 1/5 of every's", "serverShare", 0.2, { against: ["every"] })],
  columns: ["serverShare", "usPerMessageIn", "p50Ms", "p99Ms", "deliveredShare", "disordered", "redisShare"],
  axis: "server CPU, seconds a second: less is better",
  reference: "every",
};

/** Without filling, which would compress better than quotes do. */
const plainQuotes: Load = { ...manyTopics, fillingBytes: 0 };
const p4: Scenario = {
  name: "p4",
  title: "As p2-20k, batches compressed: ?batch=1 with permessage-deflate",
  kind: "fanOut",
  variants: [
    variant(
      tapecastEvery,
      { ...plainQuotes, deflate: true },
      { title: "Tapecast, batches, deflate", query: "&batch=1" },
    ),
    variant(tapecastEvery, plainQuotes, { name: "batch", title: "Tapecast, batches", query: "&batch=1" }),
    variant(tapecastEvery, plainQuotes, { name: "plain", title: "Tapecast, plain" }),
  ],
  goals: [
    goal("P4", "bytes per update at most 1/4 of plain", "bytesPerDelivery", 0.25, { against: ["plain"] }),
    goal("P4", "CPU at most 1.25 × plain", "usPerDelivery", 1.25, { against: ["plain"] }),
  ],
  columns: [
    "bytesPerDelivery",
    "usPerDelivery",
    "serverShare",
    "p50Ms",
    "p99Ms",
    "deliveriesPerRead",
    "deliveredShare",
  ],
  axis: "bytes on the wire for one update: less is better",
  reference: "plain",
};

const silent: Load = { ...basis, connections: 18_000, topicCount: 1000, topicsPer: 1, ratePerSec: 0 };
const p5: Scenario = {
  name: "p5",
  title: "Idle connections with one topic each, 18,000 of them",
  kind: "idle",
  variants: [tapecastEvery, floorSend, bunPeer, wsPeer].map((peer) => variant(peer, silent)),
  goals: [
    goal("P5", "at most 4.5 KiB of user-space memory each", "kibPerConnection", 4.5),
    goal("P5", "at most 3 KiB", "kibPerConnection", 3, { isStretch: true }),
  ],
  columns: ["kibPerConnection", "rssMib", "openShare"],
  axis: "user-space memory per connection, KiB: less is better",
  reference: "ws",
};

const p6: Scenario = {
  name: "p6-handshakes",
  title: "Handshake and first subscribe, 5,000 in a row",
  kind: "idle",
  variants: [tapecastEvery, floorSend, bunPeer, wsPeer].map((peer) =>
    variant(peer, { ...silent, connections: 5000 }),
  ),
  goals: [
    goal("P6", "at most 70 µs of CPU", "usPerHandshake", 70),
    goal("P6", "at most 40 µs", "usPerHandshake", 40, { isStretch: true }),
  ],
  columns: ["usPerHandshake", "openShare"],
  axis: "server CPU for handshake and subscribe, µs: less is better",
  reference: "ws",
};

/** More than one core can write: 4,000 sockets, 60 times a second. */
const saturating: Load = { ...oneToAll, connections: 4000, ratePerSec: 60 };
const p6Newcomers: Scenario = {
  name: "p6-newcomers",
  title: "1,000 newcomers while fan-out to 4,000 saturates the server: until each has a publication",
  kind: "newcomers",
  variants: [tapecastEvery, bunPeer, wsPeer].map((peer) => variant(peer, saturating)),
  goals: [goal("P6", "all served within 2 s", "newcomersSec", 2)],
  columns: ["newcomersSec", "openShare", "serverShare", "p99Ms", "deliveredShare"],
  axis: "seconds until all newcomers have a publication: less is better",
  reference: "ws",
};

/** Hardly anything goes out: fifty sockets that want a value every five seconds. */
const ingest: Load = { ...manyTopics, connections: 50, ratePerSec: 50_000 };
const p7: Scenario = {
  name: "p7",
  title: "Redis to hub: 50,000 messages/s in, hardly any out",
  kind: "fanOut",
  variants: [
    variant(tapecastLatest, ingest, {
      name: "tapecast",
      title: "Tapecast, latest, 5 s",
      query: "&interval=5000",
    }),
  ],
  goals: [goal("P7", "at most 0.8 µs of CPU for each message", "usPerMessageIn", 0.8)],
  columns: ["usPerMessageIn", "serverShare", "redisShare"],
  axis: "server CPU for one message in, µs: less is better",
  reference: "tapecast",
};

/** ws can do about 112,000 deliveries a second of the first kind and 134,000 of the second on one core: half of that. */
const halfLoads: readonly (readonly [string, string, Load, readonly Peer[]])[] = [
  [
    "p8-one",
    "Latency at half of ws's load: one message to 1,000 sockets, 50 a second",
    { ...oneToAll, ratePerSec: 50 },
    [bunPeer, wsPeer, natsPeer, nchanPeer, centrifugoPeer],
  ],
  [
    "p8-many",
    "Latency at half of ws's load: 1,000 topics, 20 per socket, 3,000 messages/s in",
    { ...manyTopics, ratePerSec: 3000 },
    [bunPeer, wsPeer, natsPeer],
  ],
];
const p8 = halfLoads.map(([name, title, load, peers]): Scenario => ({
  name,
  title,
  kind: "fanOut",
  variants: [tapecastEvery, ...peers].map((peer) => variant(peer, load)),
  goals: [
    goal("P8", "p99 no worse than the best peer's", "p99Ms", 1, { against: peers.map((peer) => peer.name) }),
  ],
  columns: latencyColumns,
  axis: "publish to receipt, p99, ms: less is better",
  reference: "ws",
}));

const hardlyAny: Load = { ...oneToAll, connections: 10, ratePerSec: 50 };
const p8Idle: Scenario = {
  name: "p8-idle",
  title: "Nothing is added when idle: one message to 10 sockets, 50 a second",
  kind: "fanOut",
  variants: [
    variant(tapecastEvery, hardlyAny),
    variant(tapecastEvery, hardlyAny, {
      name: "at-once",
      title: "Tapecast, no window",
      settings: ["flush.windowMsMax=0"],
    }),
    variant(wsPeer, hardlyAny),
    variant(floorSend, hardlyAny),
  ],
  goals: [
    goal("P8", "p50 within 10 % of a server that flushes at once", "p50Ms", 1.1, { against: ["at-once"] }),
  ],
  columns: ["p50Ms", "p99Ms", "serverShare", "deliveredShare"],
  axis: "publish to receipt, p50, ms: less is better",
  reference: "at-once",
};

/** As many deliveries as `oneToAll`. */
const thinlySpread: Load = { ...oneToAll, connections: 10_000, ratePerSec: 10 };
const p9Growth: Scenario = {
  name: "p9-growth",
  title: "Growth: 100,000 deliveries/s to 1,000 and to 10,000 sockets",
  kind: "fanOut",
  variants: [
    variant(tapecastEvery, thinlySpread, { title: "Tapecast, 10,000 sockets" }),
    variant(tapecastEvery, oneToAll, { name: "1000", title: "Tapecast, 1,000 sockets" }),
    // What the kernel alone wants more of.
    variant(floorSend, thinlySpread, { name: "floor-10000", title: "C floor, 10,000 sockets" }),
    variant(floorSend, oneToAll, { name: "floor-1000", title: "C floor, 1,000 sockets" }),
  ],
  goals: [
    goal("P9", "CPU per delivery at most 1.2 × that at 1,000", "usPerDelivery", 1.2, { against: ["1000"] }),
  ],
  columns: fanOutColumns,
  axis: "server CPU for one delivery, µs: less is better",
  reference: "1000",
};

const p9Workers: Scenario = {
  name: "p9-workers",
  title: "Two workers and one, load of p2-20k",
  kind: "fanOut",
  variants: [
    variant(tapecastEvery, manyTopics, { title: "Tapecast, two workers", workers: 2 }),
    // Beside the clients too, as two workers are: what is compared is their number.
    variant(tapecastEvery, manyTopics, { name: "one", title: "Tapecast, one worker", hasAllCores: true }),
    variant(tapecastEvery, manyTopics, {
      name: "pinned",
      title: "Tapecast, one worker on a core of its own",
    }),
  ],
  goals: [
    goal("P9", "two workers' deliveries per CPU-second at least 0.9 × one's", "deliveriesPerCpuSec", 0.9, {
      against: ["one"],
      bound: "atLeast",
    }),
  ],
  columns: throughputColumns,
  axis: "deliveries per second of server CPU: more is better",
  reference: "one",
};

/** Two workers on the cores that the machine has; everything is counted by the swarm. */
const crowd: Scenario = {
  name: "crowd",
  title: "10,000 sockets on 100 topics, two workers: 300 messages/s in, 30,000 out",
  kind: "fanOut",
  variants: [
    variant(
      tapecastEvery,
      { ...basis, connections: 10_000, topicCount: 100, topicsPer: 1, ratePerSec: 300 },
      { title: "Tapecast, two workers", workers: 2 },
    ),
  ],
  goals: [
    goal("P9", "nothing lost of 10,000 sockets on 100 topics", "missing", 0),
    goal("P9", "nothing out of order there", "disordered", 0),
  ],
  columns: ["missing", "disordered", "usPerDelivery", "serverShare", "p50Ms", "p99Ms", "openShare", "rssMib"],
  axis: "publications that were lost or out of order: 0 is right",
  reference: "tapecast",
};

/** Large messages, so that the 4 MB of buffers that the kernel gives each socket are full before counting begins. */
const heavy: Load = { ...oneToAll, connections: 200, fillingBytes: 24_000 };
const patient = ["limits.pendingAgeMsMax=null", "limits.pendingBytesMax=null"];
const p10: Scenario = {
  name: "p10",
  title: "A quarter of 200 readers stalled, 24 KB messages of a `latest` topic, 100 a second",
  kind: "fanOut",
  variants: [
    variant(
      tapecastLatest,
      { ...heavy, stalled: 50 },
      { name: "tapecast", title: "Tapecast, 50 stalled", settings: patient },
    ),
    variant(tapecastLatest, heavy, { name: "all-read", title: "Tapecast, all read", settings: patient }),
  ],
  goals: [goal("P10", "the others' p99 within 10 %", "p99Ms", 1.1, { against: ["all-read"] })],
  columns: ["p99Ms", "p50Ms", "serverShare", "deliveredShare", "rssMib"],
  axis: "publish to receipt of those who read, p99, ms: less is better",
  reference: "all-read",
  showsStalledMemory: true,
};

export const scenarios: readonly Scenario[] = [
  p1,
  p2Slow,
  p2Fast,
  p3,
  p4,
  p5,
  p6,
  p6Newcomers,
  p7,
  ...p8,
  p8Idle,
  p9Growth,
  p9Workers,
  crowd,
  p10,
];
