/**
 * What others notice of one bad client: the latency of many good ones, a spell without it and a spell with it by turns,
 * on a server with one worker, so that everybody shares an event loop with it. Publishing never stops.
 */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";

import { median } from "../bench/statistics.ts";
import { OwnServer } from "../own-server.ts";
import { AcceptedBooks } from "../publishing/accepted-books.ts";
import { SteadyPublisher } from "../publishing/steady-publisher.ts";
import { numberedTopics } from "../run/scenario.ts";
import { latencyOf, Swarm } from "../swarm/swarm.ts";
import type { BadClientKind } from "./bad-clients.ts";

const entry = fileURLToPath(new URL("bad-client-process.ts", import.meta.url));
/** Its process is gone and its connection is closed; nothing of it is left in the worker's turn. */
const recoverMs = 300;
const topicsPerClient = 2;

export interface NeighboursPlan {
  readonly kinds: readonly BadClientKind[];
  /** Spells without and with. */
  readonly rounds: number;
  /** Of one spell. */
  readonly seconds: number;
  readonly clients: number;
  readonly topics: number;
  readonly ratePerSec: number;
  readonly fillBytes: number;
  /** `--set` of the server. */
  readonly settings: readonly string[];
}

/** Milliseconds. */
export interface Spell {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly deliveries: number;
}

export interface NeighboursFigures {
  readonly kind: string;
  readonly title: string;
  readonly without: readonly Spell[];
  readonly with: readonly Spell[];
  /** Medians of the spells' p99. */
  readonly p99Without: number;
  readonly p99With: number;
  /** The median of what a round's p99 with it was of its p99 without it. */
  readonly ratio: number;
}

/** @param onFigures each kind as it is done. */
export async function measureNeighbours(
  plan: NeighboursPlan,
  onFigures: (figures: NeighboursFigures) => void,
): Promise<NeighboursFigures[]> {
  const server = await OwnServer.start(["workers=1", "limits.handshakesPerSecMax=null", ...plan.settings]);
  const swarm = await Swarm.start(1).catch(async (error: unknown) => {
    await server.stop();
    throw error;
  });
  const runId = randomBytes(4).toString("hex");
  const topics = numberedTopics("trade", "every", runId, plan.topics);
  const books = new AcceptedBooks(topics.length);
  const publisher = new SteadyPublisher(
    {
      url: server.url,
      key: null,
      topics,
      seconds: Number.MAX_SAFE_INTEGER,
      ratePerSec: () => plan.ratePerSec,
      fillBytes: plan.fillBytes,
    },
    books,
  );
  let publishing: Promise<unknown> = Promise.resolve();
  try {
    const topicsOf = Array.from({ length: plan.clients }, (_, client) =>
      Array.from({ length: topicsPerClient }, (_unused, index) => (client + index * 7) % topics.length),
    );
    await swarm.open({ url: server.url, topics, topicsOf, query: "", atOnce: 50, mayReconnect: false });
    publishing = publisher.run();
    // The first seconds are the compiler's.
    await sleep(2000);
    const { hostname: host, port } = new URL(server.url);
    const target = { host, port: Number(port), topics: topics.map(({ name }) => name) };
    const found: NeighboursFigures[] = [];
    for (const kind of plan.kinds) {
      const figures = await measureKind(kind, target, swarm, plan);
      found.push(figures);
      onFigures(figures);
    }
    return found;
  } finally {
    publisher.stop();
    await publishing;
    await swarm.stop();
    await server.stop();
  }
}

async function measureKind(
  kind: BadClientKind,
  target: { readonly host: string; readonly port: number; readonly topics: readonly string[] },
  swarm: Swarm,
  { rounds, seconds }: NeighboursPlan,
): Promise<NeighboursFigures> {
  const without: Spell[] = [];
  const withIt: Spell[] = [];
  for (let round = 0; round < rounds; round++) {
    await sleep(recoverMs);
    without.push(await spell(swarm, seconds));
    const child = fork(entry, [], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const kill = (): void => void child.kill("SIGKILL");
    process.once("exit", kill);
    try {
      await once(child, "message");
      child.send({ kind: kind.name, target });
      await sleep(kind.settleMs);
      withIt.push(await spell(swarm, seconds));
    } finally {
      process.off("exit", kill);
      await end(child);
    }
  }
  return {
    kind: kind.name,
    title: kind.title,
    without,
    with: withIt,
    p99Without: median(without.map(({ p99 }) => p99)),
    p99With: median(withIt.map(({ p99 }) => p99)),
    ratio: median(withIt.map(({ p99 }, round) => p99 / (without[round]?.p99 ?? Number.NaN))),
  };
}

async function spell(swarm: Swarm, seconds: number): Promise<Spell> {
  await swarm.stats();
  await sleep(seconds * 1000);
  const { latencies } = await swarm.stats();
  const { p50, p99, max, count } = latencyOf(latencies).summary();
  return { p50, p99, max, deliveries: count };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
