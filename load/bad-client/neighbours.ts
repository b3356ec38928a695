/**
 * What others notice of one bad client: the latency of many good ones, a spell without it and a spell with it by turns,
 * on a server with one worker, so that everybody shares an event loop with it. Publishing never stops. The bad client's
 * process runs all the time and at the lowest priority: on a machine of its own it would take nothing from the others.
 * What is left of that is seen in the control, the same client at another server that nobody else uses.
 */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import { constants, setPriority } from "node:os";
import { fileURLToPath } from "node:url";

import { OwnServer } from "../own-server.ts";
import { AcceptedBooks } from "../publishing/accepted-books.ts";
import { SteadyPublisher } from "../publishing/steady-publisher.ts";
import { numberedTopics } from "../run/scenario.ts";
import { latencyOf, Swarm } from "../swarm/swarm.ts";
import type { BadClientKind, BadClientTarget } from "./bad-clients.ts";

const entry = fileURLToPath(new URL("bad-client-process.ts", import.meta.url));
/** Its process is there, or gone and its connection closed; nothing of that is left in the worker's turn. */
const recoverMs = 500;
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
  /** Whether each round also has a spell with the bad client at a server of its own. */
  readonly hasControl: boolean;
  /** `--set` of the server. */
  readonly settings: readonly string[];
}

/** Milliseconds. */
export interface Spell {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly deliveries: number;
  /** Histograms (latency.ts). */
  readonly latencies: readonly string[];
}

export interface NeighboursFigures {
  readonly kind: string;
  readonly title: string;
  readonly without: readonly Spell[];
  readonly with: readonly Spell[];
  /** With the bad client elsewhere; empty without `hasControl`. */
  readonly control: readonly Spell[];
  /** Of all deliveries of all rounds: a spell has too few late ones for a p99 of its own that could be trusted. */
  readonly p99Without: number;
  readonly p99With: number;
  /** NaN without `hasControl`. */
  readonly p99Control: number;
  /** What p99 with it is of p99 without it, and the least and the most of single rounds. */
  readonly ratio: number;
  readonly ratioMin: number;
  readonly ratioMax: number;
}

/** @param onFigures each kind as it is done. */
export async function measureNeighbours(
  plan: NeighboursPlan,
  onFigures: (figures: NeighboursFigures) => void,
): Promise<NeighboursFigures[]> {
  const settings = ["workers=1", "limits.handshakesPerSecMax=null", ...plan.settings];
  const server = await OwnServer.start(settings);
  const servers = [server];
  const stopServers = async (): Promise<void> => {
    await Promise.all(servers.map((each) => each.stop()));
  };
  const swarm = await Swarm.start(1).catch(async (error: unknown) => {
    await stopServers();
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
    if (plan.hasControl) servers.push(await OwnServer.start(settings));
    const placeAt = ({ url }: OwnServer): BadClientTarget => {
      const { hostname: host, port } = new URL(url);
      return { host, port: Number(port), topics: topics.map(({ name }) => name) };
    };
    const [, second] = servers;
    const places = { target: placeAt(server), elsewhere: second === undefined ? null : placeAt(second) };
    const found: NeighboursFigures[] = [];
    for (const kind of plan.kinds) {
      const figures = await measureKind(kind, places, swarm, plan);
      found.push(figures);
      onFigures(figures);
    }
    return found;
  } finally {
    publisher.stop();
    await publishing;
    await swarm.stop();
    await stopServers();
  }
}

interface Places {
  readonly target: BadClientTarget;
  readonly elsewhere: BadClientTarget | null;
}

async function measureKind(
  kind: BadClientKind,
  { target, elsewhere }: Places,
  swarm: Swarm,
  { rounds, seconds }: NeighboursPlan,
): Promise<NeighboursFigures> {
  const without: Spell[] = [];
  const withIt: Spell[] = [];
  const control: Spell[] = [];
  for (let round = 0; round < rounds; round++) {
    // By turns the bad client comes first.
    const spells = [() => measureBeside(null), () => measureBeside(target)];
    if (round % 2 === 1) spells.reverse();
    for (const measure of spells) await measure();
    if (elsewhere !== null) await measureBeside(elsewhere);
  }
  const [p99Without, p99With, p99Control] = [without, withIt, control].map(p99Of);
  const ratios = withIt.map(({ p99 }, round) => p99 / (without[round]?.p99 ?? Number.NaN));
  return {
    kind: kind.name,
    title: kind.title,
    without,
    with: withIt,
    control,
    p99Without: p99Without ?? Number.NaN,
    p99With: p99With ?? Number.NaN,
    p99Control: p99Control ?? Number.NaN,
    ratio: (p99With ?? Number.NaN) / (p99Without ?? Number.NaN),
    ratioMin: Math.min(...ratios),
    ratioMax: Math.max(...ratios),
  };

  /** A spell with the bad client's process; null: it does nothing. */
  async function measureBeside(place: BadClientTarget | null): Promise<void> {
    const child = fork(entry, [], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const kill = (): void => void child.kill("SIGKILL");
    process.once("exit", kill);
    try {
      await once(child, "message");
      setPriority(child.pid ?? 0, constants.priority.PRIORITY_LOW);
      await sleep(recoverMs);
      if (place !== null) {
        child.send({ kind: kind.name, target: place });
        await sleep(kind.settleMs);
      }
      const into = place === null ? without : place === target ? withIt : control;
      into.push(await spell(swarm, seconds));
    } finally {
      process.off("exit", kill);
      await end(child);
      await sleep(recoverMs);
    }
  }
}

function p99Of(spells: readonly Spell[]): number {
  if (spells.length === 0) return Number.NaN;
  return latencyOf(spells.flatMap(({ latencies }) => latencies)).summary().p99;
}

async function spell(swarm: Swarm, seconds: number): Promise<Spell> {
  await swarm.stats();
  await sleep(seconds * 1000);
  const { latencies } = await swarm.stats();
  const { p50, p99, max, count } = latencyOf(latencies).summary();
  return { p50, p99, max, deliveries: count, latencies };
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
