/** Tapecast, and the servers that are a file of ours around somebody's WebSocket: the C floor, ws, Bun. All read Redis. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { processTree } from "../bench/proc.ts";
import {
  channelPrefix,
  redisFeed,
  topicPrefix,
  type Peer,
  type PeerWorld,
  type RunningPeer,
  type StartOptions,
} from "./peer.ts";
import { Program } from "./processes.ts";
import { installPackages, peersFolder, run } from "./tools.ts";

const entry = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** Topics as the comparison needs them: live only, because raw PUBLISH is what all servers can be fed with. */
function topicRules(delivery: string): string {
  return `topics=[{"match":"${topicPrefix}**","delivery":"${delivery}"}]`;
}

/** @param delivery of all topics. */
function tapecast(name: string, title: string, delivery: "every" | "latest"): Peer {
  return {
    name,
    title,
    prepare: () => Promise.resolve({ version: "this tree" }),
    async start(world, { settings, query, workers, hasAllCores }) {
      const all = [
        "listen.host=127.0.0.1",
        "listen.port=0",
        "admin.port=0",
        "broker.kind=redis",
        `broker.redis.url=redis://127.0.0.1:${world.redisPort}`,
        `broker.redis.prefix=${channelPrefix}`,
        `workers=${workers}`,
        "limits.handshakesPerSecMax=null",
        "log.level=warn",
        topicRules(delivery),
        ...settings,
      ];
      const command = [process.execPath, entry, "serve", ...all.flatMap((each) => ["--set", each])];
      const cores = hasAllCores ? world.pinning?.all : world.pinning?.server;
      const program = new Program(name, command, cores ?? null);
      const port = Number((await program.line(/^listening http:\/\/[^:]+:(\d+)$/u))[1]);
      return running(program, port, `/ws?topics=%T${query}`, world);
    },
  };
}

/** Whether it is Tapecast, in whatever variant. */
export function isOwn(peer: Peer): boolean {
  return peer === tapecastEvery || peer === tapecastLatest;
}

export const tapecastEvery = tapecast("tapecast", "Tapecast", "every");
export const tapecastLatest = tapecast("tapecast-latest", "Tapecast, latest", "latest");

/** One send for each socket and message. */
export const floorSend = floor("floor", "C floor, one send each", "send");
/** Each socket's messages of a millisecond in one send. */
export const floorBatch = floor("floor-batch", "C floor, 1 ms batches", "batch");

function floor(name: string, title: string, mode: string): Peer {
  return {
    name,
    title,
    prepare: () => Promise.resolve({ version: "load/peers/floor.c" }),
    start: (world, options) => startReader(name, [world.tools.floor, mode], world, options),
  };
}

export const wsPeer: Peer = {
  name: "ws",
  title: "ws",
  async prepare({ note }) {
    const problem = await installPackages(note);
    if (problem !== null) return { absent: problem };
    return { version: `${await versionOf("ws")} on Node ${process.version}` };
  },
  start: (world, options) =>
    startReader("ws", [process.execPath, join(peersFolder, "ws-peer.mjs")], world, options),
};

export const bunPeer: Peer = {
  name: "bun",
  title: "Bun publish",
  async prepare({ note }) {
    const problem = await installPackages(note);
    if (problem !== null) return { absent: problem };
    const binary = bunBinary();
    if (binary === null) return { absent: "the npm package has no program for this machine" };
    const version = await run([binary, "--version"], 10_000);
    return version.ok
      ? { version: version.output.trim() }
      : { absent: `it does not run here: ${version.reason}` };
  },
  start: (world, options) =>
    startReader("bun", [bunBinary() ?? "bun", join(peersFolder, "bun-peer.mjs")], world, options),
};

/** The program itself, past the package's launcher; the one for older processors when there is no other. */
function bunBinary(): string | null {
  const folder = join(peersFolder, "node_modules", "@oven");
  if (!existsSync(folder)) return null;
  const paths = readdirSync(folder)
    .toSorted((a, b) => a.length - b.length)
    .map((name) => join(folder, name, "bin", "bun"));
  return paths.find((path) => existsSync(path)) ?? null;
}

async function versionOf(name: string): Promise<string> {
  const manifest = join(peersFolder, "node_modules", name, "package.json");
  const outcome = await run([process.execPath, "-p", `require(${JSON.stringify(manifest)}).version`], 10_000);
  return outcome.ok ? outcome.output.trim() : "unknown version";
}

async function startReader(
  name: string,
  command: readonly string[],
  world: PeerWorld,
  { topicCount }: StartOptions,
): Promise<RunningPeer> {
  const arguments_ = [String(world.redisPort), channelPrefix + topicPrefix, String(topicCount)];
  const program = new Program(name, [...command, ...arguments_], world.pinning?.server ?? null);
  const port = Number((await program.line(/^listening (\d+)$/u))[1]);
  return running(program, port, "/ws?topics=%T", world);
}

function running(program: Program, port: number, path: string, world: PeerWorld): RunningPeer {
  return {
    port,
    pids: processTree(program.pid),
    path,
    send: null,
    feed: redisFeed(world.redisPort),
    stop: () => program.stop(),
  };
}
