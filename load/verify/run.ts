/** One run: starts Redis, the server and, if asked for, the control beside it; publishes; does the faults; closes the books. */
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";

import { createProgress, type Progress } from "../../src/cli/progress.ts";
import { OwnServer } from "../own-server.ts";
import { freePort, Program } from "../peers/processes.ts";
import { CuttingProxy } from "./cutting-proxy.ts";
import { sleep, until, type BrokerKind, type Fault, type FaultWorld } from "./fault.ts";
import { leftovers } from "./leftovers.ts";
import { OwnCluster } from "./own-cluster.ts";
import { OwnRedis } from "./own-redis.ts";
import { OwnSentinels } from "./own-sentinels.ts";
import { RestartingServer, type Life } from "./restarting-server.ts";
import { SeededRandom } from "./seeded-random.ts";
import type { ControlTarget, Store } from "./store.ts";
import { Subject, type ServerProcess, type SubjectPlan } from "./subject.ts";
import type { VerifiedTopic } from "./topic-book.ts";

export interface RunPlan {
  readonly faults: readonly Fault[];
  readonly seconds: number;
  /** From the beginning of a fault to the next, unless it takes longer. */
  readonly faultEverySeconds: number;
  readonly clients: number;
  readonly controlClients: number;
  readonly topics: number;
  readonly ratePerSec: number;
  readonly broker: BrokerKind;
  readonly workers: number;
  readonly seed: number;
  readonly cuts: number;
  readonly withControl: boolean;
  /** More `--set` arguments for the server. */
  readonly settings: readonly string[];
}

/** What a run leaves behind. */
export interface RunOutcome {
  readonly subjects: readonly Subject[];
  /** How long messages were published. */
  readonly publishedMs: number;
  /** Faults that did not do what they should, and what else made the run fail. */
  readonly problems: readonly string[];
}

const deliveries: readonly VerifiedTopic["delivery"][] = ["every", "latest", "every", "sample"];
/** No fault in the first and the last seconds. */
const quietMs = 2000;
/** The last messages are seen through for so long. */
const publishPatienceMs = 30_000;
/** After the last answer everything has this long to arrive, and every client to be back. */
const settleMsMax = 120_000;
/** For the control: what has not come by then never does. */
const controlSettleMs = 3000;
/** Within which a server without clients has freed everything: its topics linger, half-open connections are found out. */
const freedMsMax = 30_000;
const drainTimeoutMs = 5000;
/** On a busy machine a process takes a moment more to end. */
const stopMsMax = drainTimeoutMs + 3000;
/** Makes SIGUSR2 an error that nobody catches. */
const preloadFile = fileURLToPath(new URL("throw-on-signal.mjs", import.meta.url));
const controlFile = fileURLToPath(new URL("control-server.mjs", import.meta.url));

/** @param interrupted ends it early, with what was found so far. */
export async function runVerification(plan: RunPlan, interrupted: AbortSignal): Promise<RunOutcome> {
  const random = new SeededRandom(plan.seed);
  const topics = Array.from({ length: plan.topics }, (_, index): VerifiedTopic => {
    const delivery = deliveries[index % deliveries.length] ?? "every";
    return { name: `${delivery}.${index}`, delivery };
  });
  const redis = plan.broker === "redis" || plan.broker === "memory" ? await redisOf(plan) : null;
  const cluster = plan.broker === "cluster" ? await OwnCluster.start() : null;
  const sentinels = plan.broker === "sentinel" ? await OwnSentinels.start() : null;
  const store: Store | null = redis ?? cluster ?? sentinels;
  const needsNetwork = redis !== null && plan.faults.some(({ name }) => name === "redis-black-hole");
  const redisNetwork = needsNetwork ? await CuttingProxy.start(`http://127.0.0.1:${redis.port}`) : null;
  const subjects: Subject[] = [];
  try {
    const shared = {
      topics,
      proxyEvery: plan.clients > 400 ? 4 : 2,
      ratePerSec: plan.ratePerSec,
      fillBytes: 40,
      runId: randomBytes(4).toString("hex"),
      epochsGoOn: cluster !== null || sentinels !== null,
    };
    const doubt = store?.doubt ?? null;
    const open = async (
      own: Pick<SubjectPlan, "name" | "redisPrefix" | "clientCount" | "sdkEvery">,
      server: ServerProcess,
    ) => {
      subjects.push(await Subject.open({ ...shared, ...own }, server, random, doubt));
    };
    const server = await startServer(plan, brokerSettings(plan, store, redisNetwork));
    await open({ name: "tapecast", redisPrefix: "tape:", clientCount: plan.clients, sdkEvery: 10 }, server);
    if (plan.withControl && store !== null) {
      const target = redisNetwork === null ? store.controlTarget : { port: redisNetwork.port };
      const control = await startControl(target, plan.workers);
      await open(
        { name: "control", redisPrefix: "control:", clientCount: plan.controlClients, sdkEvery: 0 },
        control,
      );
    }
    const world: FaultWorld = {
      redis: plan.broker === "redis" ? redis : null,
      redisNetwork,
      cluster,
      sentinels,
      subjects,
      random,
      cutCount: plan.cuts,
    };
    return await publishUnderFaults(plan, world, plan.broker === "memory" ? null : store, interrupted);
  } finally {
    await Promise.all(subjects.map((subject) => subject.close()));
    redisNetwork?.stop();
    await store?.stop();
  }
}

/** null with the memory broker and no control, which needs one always. */
async function redisOf({ broker, withControl }: RunPlan): Promise<OwnRedis | null> {
  return broker === "redis" || withControl ? await OwnRedis.start() : null;
}

async function publishUnderFaults(
  plan: RunPlan,
  world: FaultWorld,
  store: Store | null,
  interrupted: AbortSignal,
): Promise<RunOutcome> {
  const { subjects } = world;
  const progress = createProgress("seconds", plan.seconds);
  const startMs = performance.now();
  const ticker = setInterval(() => {
    progress.update(Math.min(plan.seconds, Math.round((performance.now() - startMs) / 1000)));
  }, 500);
  for (const subject of subjects) subject.startPublishing(publishPatienceMs);
  const problems = await doFaults(plan, world, startMs, progress, interrupted);
  await Promise.all(subjects.map((subject) => subject.stopPublishing()));
  const publishedMs = performance.now() - startMs;
  progress.note("publishing is over, waiting for what is under way");
  if (store !== null) await audit(subjects, store);
  await Promise.all(
    subjects.map(async ({ name, books, clients }, index) => {
      const isControl = name === "control";
      const areBack = (): boolean => subjects[index]?.connectedCount === clients.length;
      const isSettled = await until(() => areBack() && (isControl || books.isComplete()), settleMsMax);
      if (isControl) await sleep(controlSettleMs);
      const awayCount = clients.length - (subjects[index]?.connectedCount ?? 0);
      // After that they may go again: a rolling restart that took too long is still under way.
      if (!isControl && !isSettled && awayCount > 0)
        problems.push(`${awayCount} clients were not back at the end: what they miss is no loss yet`);
    }),
  );
  for (const subject of subjects) {
    const { server, stopped } = subject;
    subject.leave();
    if (server.adminUrl === null) continue;
    problems.push(...stopped);
    problems.push(...(await leftovers(server.adminUrl, freedMsMax)));
  }
  clearInterval(ticker);
  progress.stop();
  return { subjects, publishedMs, problems };
}

/** Holds what was accepted by Tapecast against what its store has. Of a `latest` topic the store has the newest alone. */
async function audit(subjects: readonly Subject[], store: Store): Promise<void> {
  for (const { name, books } of subjects) {
    if (name === "control") continue;
    for (const [index, topic] of books.topics.entries()) {
      if (topic.delivery === "latest") continue;
      books.audit(index, await store.numbersOf(topic.name), (startMs, endMs) =>
        store.doubt.within(startMs, endMs),
      );
    }
  }
}

/** Faults in random order, each of them as often as the others, until the time is over. */
async function doFaults(
  plan: RunPlan,
  world: FaultWorld,
  startMs: number,
  progress: Progress,
  interrupted: AbortSignal,
): Promise<string[]> {
  const problems: string[] = [];
  const endMs = startMs + plan.seconds * 1000 - quietMs;
  let round: Fault[] = [];
  await sleep(quietMs);
  while (performance.now() < endMs && !interrupted.aborted) {
    if (round.length === 0) round = world.random.some(plan.faults, plan.faults.length);
    const fault = round.pop();
    const beganMs = performance.now();
    if (fault !== undefined) {
      try {
        progress.note(await doFault(plan, fault, world, Math.round((beganMs - startMs) / 1000)));
      } catch (error) {
        const problem = `${fault.name}: ${error instanceof Error ? error.message : String(error)}`;
        problems.push(problem);
        progress.note(problem);
      }
    }
    const nextMs = Math.min(endMs, beganMs + plan.faultEverySeconds * 1000);
    while (performance.now() < nextMs && !interrupted.aborted) await sleep(100);
  }
  return problems;
}

/** @returns what happened, for people. */
async function doFault(
  { faultEverySeconds }: RunPlan,
  fault: Fault,
  world: FaultWorld,
  atSeconds: number,
): Promise<string> {
  const occurrences = world.subjects.map(({ timeline }) => timeline.begin(fault.name, performance.now()));
  try {
    await fault.run(world);
  } finally {
    for (const occurrence of occurrences) occurrence.endMs = performance.now();
  }
  const [own] = world.subjects;
  const [occurrence] = occurrences;
  if (own === undefined || occurrence === undefined) return fault.name;
  // Until the next one is due: whoever is not served by then meets both.
  const isBack = await until(() => own.timeline.isBack(occurrence), faultEverySeconds * 1000);
  const back = isBack
    ? `all ${own.clients.length} clients served again after ${(occurrence.backMs / 1000).toFixed(1)} s`
    : `${own.clients.length - occurrence.clientsBack} clients not served within ${faultEverySeconds} s`;
  return `${String(atSeconds).padStart(4)} s  ${fault.name}: ${back}`;
}

function startServer(plan: RunPlan, broker: readonly string[]): Promise<RestartingServer> {
  return startOnFreePort(async (port) => {
    const settings = [...serverSettings(plan), ...broker, ...plan.settings, `listen.port=${port}`];
    return await OwnServer.start(settings, { NODE_OPTIONS: `--import=${preloadFile}` });
  });
}

async function startOnFreePort(start: (port: number) => Promise<Life>): Promise<RestartingServer> {
  const port = await freePort();
  return await RestartingServer.start(port, () => start(port), stopMsMax);
}

function serverSettings({ workers }: RunPlan): string[] {
  const rules = [
    `{ match: "every.**", delivery: every, ${history(20_000)} }`,
    `{ match: "latest.**", delivery: latest, ${history(1)} }`,
    `{ match: "sample.**", delivery: sample, samplePerSecMax: 1000, ${history(20_000)} }`,
  ];
  return [
    `workers=${workers}`,
    `topics=[${rules.join(", ")}]`,
    // Half-open connections are freed within 8 s instead of 33, so that a run meets it often.
    "heartbeat.intervalMs=5000",
    "heartbeat.timeoutMs=3000",
    `shutdown.drainTimeoutMs=${drainTimeoutMs}`,
    "log.level=fatal",
  ];
}

function brokerSettings(
  { broker }: RunPlan,
  store: Store | null,
  redisNetwork: CuttingProxy | null,
): readonly string[] {
  if (broker === "memory" || store === null) return ["broker.kind=memory"];
  if (redisNetwork === null) return store.serverSettings;
  return ["broker.kind=redis", `broker.redis.url=redis://127.0.0.1:${redisNetwork.port}`];
}

function history(size: number): string {
  return `history: { size: ${size}, ttlMs: 600000 }`;
}

function startControl(target: ControlTarget, workers: number): Promise<RestartingServer> {
  return startOnFreePort(async (port) => {
    const node = [process.execPath, `--import=${preloadFile}`, controlFile];
    const command = [...node, JSON.stringify(target), "control:", String(workers), String(port)];
    const program = new Program("the control", command, null);
    await program.line(/^listening \d+$/u);
    return { pid: program.pid, adminUrl: null, stop: () => program.stop() };
  });
}
