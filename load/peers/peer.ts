/** What the runner needs of a server that is measured, ours or another. Each server runs for one run and is ended. */
import type { Pinning } from "./processes.ts";
import type { Tools } from "./tools.ts";

/** Where publications go in. */
export interface Feed {
  readonly mode: "redis" | "nats" | "http" | "centrifugo";
  readonly port: number;
  /** Before a topic's number: `tape:tick.` for Redis, `tick.` elsewhere. */
  readonly prefix: string;
  /** For `http`; `%s` is the topic. */
  readonly path: string;
}

/** A running server. */
export interface RunningPeer {
  readonly port: number;
  /** All of its processes. */
  readonly pids: readonly number[];
  /** What the swarm asks for; `%T` are a connection's topics. */
  readonly path: string;
  /** What it says after the handshake, or null. */
  readonly send: string | null;
  readonly feed: Feed;
  stop(): Promise<void>;
}

/** What every server is started with. */
export interface PeerWorld {
  readonly tools: Tools;
  readonly pinning: Pinning | null;
  /** A Redis of this comparison's own. */
  readonly redisPid: number;
  readonly redisPort: number;
}

export interface StartOptions {
  /** Topics are `tick.0` to `tick.{topicCount-1}`. */
  readonly topicCount: number;
  /** `--set` arguments; ours only. */
  readonly settings: readonly string[];
  /** Behind the path's query; ours only. */
  readonly query: string;
  /** Ours only. */
  readonly workers: number;
  /** Ours only: all cores, which it shares with the clients, instead of the server's own. */
  readonly hasAllCores: boolean;
}

export interface Peer {
  readonly name: string;
  readonly title: string;
  /** Fetches or builds what it needs. Its version, or why it cannot be had: then it is listed as absent. */
  prepare(world: { readonly tools: Tools; readonly note: (line: string) => void }): Promise<PeerPresence>;
  start(world: PeerWorld, options: StartOptions): Promise<RunningPeer>;
}

export type PeerPresence = { readonly version: string } | { readonly absent: string };

/** Redis channels are `tape:` and the topic. */
export const channelPrefix = "tape:";
export const topicPrefix = "tick.";

/** The feed of all that read from Redis. */
export function redisFeed(port: number): Feed {
  return { mode: "redis", port, prefix: channelPrefix + topicPrefix, path: "" };
}
