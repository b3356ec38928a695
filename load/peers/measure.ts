/** One run of one server: started, loaded, counted, ended. What comes out is plain figures. */
import { type Peer, type PeerWorld, type RunningPeer } from "./peer.ts";
import { Program } from "./processes.ts";
import { swarmOpen, swarmResult, type SwarmOpen, type SwarmResult } from "./swarm-lines.ts";

/** What figures there are. null: this run has none. */
export interface Figures {
  readonly usPerDelivery: number | null;
  readonly deliveriesPerCpuSec: number | null;
  /** CPU seconds of the server in a second. */
  readonly serverShare: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly bytesPerDelivery: number | null;
  /** Publications in one read of the swarm: about those in one write. */
  readonly deliveriesPerRead: number | null;
  /** Of what was published, what arrived in time: below 0.98 the server did not keep up. */
  readonly deliveredShare: number | null;
  /** Numbers that were jumped over, out of order or doubled, all connections together. */
  readonly missing: number | null;
  readonly disordered: number | null;
  readonly rssMib: number | null;
  readonly redisShare: number | null;
  readonly swarmShare: number | null;
  /** Server CPU for each message that came in. */
  readonly usPerMessageIn: number | null;
  readonly kibPerConnection: number | null;
  readonly usPerHandshake: number | null;
  /** From the first connect until each newcomer had a publication. */
  readonly newcomersSec: number | null;
  readonly openShare: number | null;
}

export type FigureName = keyof Figures;

const none: Figures = {
  usPerDelivery: null,
  deliveriesPerCpuSec: null,
  serverShare: null,
  p50Ms: null,
  p99Ms: null,
  bytesPerDelivery: null,
  deliveriesPerRead: null,
  deliveredShare: null,
  missing: null,
  disordered: null,
  rssMib: null,
  redisShare: null,
  swarmShare: null,
  usPerMessageIn: null,
  kibPerConnection: null,
  usPerHandshake: null,
  newcomersSec: null,
  openShare: null,
};

/** Who subscribes to what, and what is published. */
export interface Load {
  readonly connections: number;
  readonly topicCount: number;
  /** Each connection's: connection i has those from i × topicsPer on. */
  readonly topicsPer: number;
  /** Messages a second, over all topics at random. */
  readonly ratePerSec: number;
  /** Added to a quote of about 170 bytes. */
  readonly fillingBytes: number;
  /** Of the connections, how many never read. */
  readonly stalled: number;
  /** Offer compression; every tenth connection inflates. */
  readonly deflate: boolean;
}

/** One of the servers that a scenario compares, with its load. */
export interface Variant {
  readonly name: string;
  readonly title: string;
  readonly peer: Peer;
  readonly settings: readonly string[];
  readonly query: string;
  readonly workers: number;
  readonly hasAllCores: boolean;
  readonly load: Load;
}

export interface Timing {
  readonly warmupSec: number;
  readonly seconds: number;
}

/** More than this many connections do not all come from one address: it has 28,000 ports. */
const connectionsPerSource = 5000;
/** What a browser says. */
export const deflateOffer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
const openTimeoutMs = 90_000;
/** Connections that come and go before memory and handshakes are counted, so that code is compiled and pools exist. */
const rehearsalConnections = 1000;
const settleSec = 2;
const newcomerCount = 1000;
const newcomersWaitSec = 20;

/** Publications to subscribers, at a steady rate. */
export async function measureFanOut(world: PeerWorld, variant: Variant, timing: Timing): Promise<Figures> {
  return withServer(world, variant, async (server) => {
    const swarm = startSwarm(world, server, variant.load, variant.load.connections, timing, []);
    try {
      const open = await opened(swarm);
      const publisher = startPublisher(world, server, variant.load, timing);
      try {
        const result = await counted(swarm, timing);
        return fanOutFigures(variant.load, timing, {
          open,
          result,
          ratePerSec: await publishedPerSec(publisher),
        });
      } finally {
        await publisher.stop();
      }
    } finally {
      await swarm.stop(true);
    }
  });
}

/** Connections that are opened and left alone. */
export async function measureIdle(world: PeerWorld, variant: Variant, timing: Timing): Promise<Figures> {
  return withServer(world, variant, async (server) => {
    const { load } = variant;
    const rehearsal = startSwarm(world, server, load, rehearsalConnections, timing, []);
    await opened(rehearsal);
    await rehearsal.stop(true);
    await sleep(500);
    const swarm = startSwarm(world, server, load, load.connections, timing, [
      "--open-settle",
      String(settleSec),
    ]);
    try {
      const { open, serverCpuSec, rssKb, rssBeforeKb } = await opened(swarm);
      return {
        ...none,
        openShare: open / load.connections,
        kibPerConnection: (rssKb - rssBeforeKb) / open,
        usPerHandshake: (serverCpuSec * 1e6) / open,
        rssMib: rssKb / 1024,
      };
    } finally {
      await swarm.stop(true);
    }
  });
}

/** A thousand newcomers while the fan-out to the others goes on. */
export async function measureNewcomers(world: PeerWorld, variant: Variant, timing: Timing): Promise<Figures> {
  return withServer(world, variant, async (server) => {
    const { load } = variant;
    const long = { ...timing, seconds: timing.seconds + newcomersWaitSec };
    const crowd = startSwarm(world, server, load, load.connections, timing, []);
    let newcomers: Program | null = null;
    try {
      const open = await opened(crowd);
      const publisher = startPublisher(world, server, load, long);
      try {
        const result = counted(crowd, timing);
        await sleep(timing.warmupSec * 1000);
        const extra = ["--until-first", "1", "--open-wait", String(newcomersWaitSec)];
        newcomers = startSwarm(world, server, load, newcomerCount, timing, extra);
        const [found, arrived] = await Promise.all([result, opened(newcomers)]);
        const ratePerSec = await publishedPerSec(publisher);
        const figures = fanOutFigures(load, timing, { open, result: found, ratePerSec });
        return { ...figures, newcomersSec: arrived.seconds, openShare: arrived.open / newcomerCount };
      } finally {
        await publisher.stop();
      }
    } finally {
      await newcomers?.stop(true);
      await crowd.stop(true);
    }
  });
}

async function withServer(
  world: PeerWorld,
  variant: Variant,
  use: (server: RunningPeer) => Promise<Figures>,
): Promise<Figures> {
  const { settings, query, workers, hasAllCores, load } = variant;
  const { topicCount } = load;
  const server = await variant.peer.start(world, { settings, query, workers, hasAllCores, topicCount });
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

function startSwarm(
  world: PeerWorld,
  server: RunningPeer,
  load: Load,
  connections: number,
  timing: Timing,
  more: readonly string[],
): Program {
  const options: readonly (readonly [string, string | number])[] = [
    ["--port", server.port],
    ["--path", server.path],
    ["--topics", `tick.,${load.topicCount},${load.topicsPer}`],
    ["--connections", connections],
    ["--sources", Math.ceil(connections / connectionsPerSource)],
    ["--stalled", load.stalled],
    ["--servers", server.pids.join(",")],
    ["--apart", world.redisPid],
    ["--warmup", timing.warmupSec],
    ["--duration", timing.seconds],
  ];
  const command = [world.tools.swarm, ...options.flatMap(([name, value]) => [name, String(value)])];
  if (server.send !== null) command.push("--send", server.send);
  if (load.deflate) command.push("--header", deflateOffer, "--sample", "10");
  return new Program("swarm", [...command, ...more], world.pinning?.clients ?? null);
}

function startPublisher(world: PeerWorld, server: RunningPeer, load: Load, timing: Timing): Program {
  const { mode, port, prefix, path } = server.feed;
  // Ended when the swarm has counted; the bound is for when nobody is left to do so.
  const seconds = timing.warmupSec + timing.seconds + 30;
  const command = [
    world.tools.publisher,
    mode,
    port,
    load.ratePerSec,
    seconds,
    load.topicCount,
    prefix,
    load.fillingBytes,
    path,
  ];
  return new Program("publisher", command.map(String), world.pinning?.clients ?? null);
}

async function opened(swarm: Program): Promise<SwarmOpen> {
  return swarmOpen(await swarm.line(/^.*"event":"open".*$/u, openTimeoutMs));
}

async function counted(swarm: Program, timing: Timing): Promise<SwarmResult> {
  swarm.say("go");
  const timeoutMs = (timing.warmupSec + timing.seconds) * 1000 + 30_000;
  return swarmResult(await swarm.line(/^.*"event":"result".*$/u, timeoutMs));
}

/** Ends it. What it managed, which on a busy machine is less than what it was told. */
async function publishedPerSec(publisher: Program): Promise<number> {
  const report = publisher.line(/"event":"published","sent":(\d+),"seconds":([\d.]+)/u);
  await publisher.stop();
  const [, sent, seconds] = await report;
  return Number(sent) / Number(seconds);
}

interface Counted {
  readonly open: SwarmOpen;
  readonly result: SwarmResult;
  readonly ratePerSec: number;
}

function fanOutFigures(load: Load, timing: Timing, { open, result, ratePerSec }: Counted): Figures {
  const { seconds, serverUserSec, serverSystemSec } = result;
  const cpuSec = serverUserSec + serverSystemSec;
  // Of compressed messages only the sampled connections' are inflated and counted.
  const scale = result.compressedFrames > 0 ? load.connections / result.sampledConnections : 1;
  const deliveries = result.compressedFrames > 0 ? result.sampledMessages * scale : result.messages;
  const expected =
    (ratePerSec * seconds * (load.connections - load.stalled) * load.topicsPer) / load.topicCount;
  const counted = deliveries > 0;
  return {
    ...none,
    usPerDelivery: counted ? (cpuSec * 1e6) / deliveries : null,
    deliveriesPerCpuSec: counted && cpuSec > 0 ? deliveries / cpuSec : null,
    serverShare: cpuSec / seconds,
    p50Ms: counted ? result.p50Us / 1000 : null,
    p99Ms: counted ? result.p99Us / 1000 : null,
    bytesPerDelivery: counted ? result.bytes / deliveries : null,
    deliveriesPerRead: result.reads > 0 ? deliveries / result.reads : null,
    deliveredShare: deliveries / expected,
    missing: result.missing,
    disordered: result.disordered,
    rssMib: result.serverRssKb / 1024,
    redisShare: result.apartCpuSec / seconds,
    swarmShare: result.swarmCpuSec / (seconds + timing.warmupSec),
    usPerMessageIn: (cpuSec * 1e6) / (ratePerSec * seconds),
    openShare: open.open / load.connections,
  };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
