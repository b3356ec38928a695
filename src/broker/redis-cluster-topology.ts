/**
 * Which master serves which partition, now: asks the nodes each second, and at once when one of them redirects us, takes
 * a channel away or is gone. Keeps a `ClusterNode` per master, and tells when a partition has changed hands.
 */
import { Redis } from "ioredis";
import { BrokerError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { BrokerCounters } from "./broker.ts";
import { clusterSeeds, commandTimeoutMs, type RedisBrokerOptions } from "./redis-address.ts";
import { ClusterNode, type ClusterNodeListener, nodeOptions } from "./redis-cluster-node.ts";
import {
  addressText,
  type ClusterView,
  mergeViews,
  type NodeAddress,
  parseClusterNodes,
  parseRedirection,
  type SlotMap,
} from "./redis-cluster-nodes.ts";
import { notClusterReason } from "./redis-connection.ts";
import { partitionPrefix, partitionSlot } from "./topic-partition.ts";

const tickMs = 1000;
/** Between two questions when there is reason to ask: a failover must not be asked about a thousand times. */
const askAgainMs = 50;
/** Nodes asked at once. More than these need not agree: the newest claim of a slot wins. */
const askedMax = 16;
/** How long the others may take once one has answered: a frozen node must not hold up what the living know. */
const othersMs = 250;
/** A node that serves nothing any more is kept for what is still under way. */
const idleKeepMs = 10_000;

export interface TopologyListener extends ClusterNodeListener {
  onOwnerChanged(partition: number, from: ClusterNode | null, to: ClusterNode | null): void;
  /** Once a second while slots are on their way: messages may have gone to the new node, where nobody listens yet. */
  onMigrating(partitions: readonly number[]): void;
  /** Something that `reason` looks at has changed. */
  onStatus(): void;
}

/** See the file head. */
export class ClusterTopology {
  readonly #options: RedisBrokerOptions;
  readonly #listener: TopologyListener;
  readonly #counters: BrokerCounters;
  readonly #log: Log;
  readonly #nodes = new Map<string, ClusterNode>();
  readonly #owners: (ClusterNode | null)[];
  readonly #slots: readonly number[];
  #members: readonly NodeAddress[];
  #aliases: SlotMap["aliases"] = new Map();
  /** When it was first seen that a partition has no owner, or that nobody answers. */
  #blindSinceMs: number | null = performance.now();
  #problem: string | null = "not connected yet";
  /** The data was made with another number of partitions. */
  #mismatch: string | null = null;
  /** The client through which the number of partitions was compared last. */
  #comparedBy: Redis | null = null;
  #comparing: Promise<void> = Promise.resolve();
  #refreshing: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #soonTimer: NodeJS.Timeout | null = null;
  #isStarting = true;
  #stopped = false;
  readonly #waiters = new Set<() => void>();

  /** @param counters its redirections are counted here. */
  constructor(options: RedisBrokerOptions, listener: TopologyListener, counters: BrokerCounters, log: Log) {
    this.#options = options;
    this.#listener = listener;
    this.#counters = counters;
    this.#log = log;
    this.#members = clusterSeeds(options);
    this.#owners = Array.from({ length: options.partitions }, () => null);
    this.#slots = Array.from({ length: options.partitions }, (_, partition) => partitionSlot(partition));
  }

  get nodes(): Iterable<ClusterNode> {
    return this.#nodes.values();
  }

  /** Resolves when the first attempts ended, well or not. */
  async start(): Promise<void> {
    this.#timer = setInterval(() => this.#tick(), tickMs);
    await this.#refresh();
    this.#isStarting = false;
    await this.#comparePartitions();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    if (this.#soonTimer !== null) clearTimeout(this.#soonTimer);
    for (const node of this.#nodes.values()) node.stop();
    this.#wake();
  }

  owner(partition: number): ClusterNode | null {
    return this.#owners[partition] ?? null;
  }

  /** What is wrong, for people; null when every partition has a master that is there. */
  get reason(): string | null {
    if (this.#mismatch !== null) return this.#mismatch;
    if (this.#problem !== null) return this.#problem;
    for (const node of this.#nodes.values()) {
      if (node.partitions.size > 0 && node.reason !== null) return `${node.name}: ${node.reason}`;
    }
    return null;
  }

  /** The owner once its commands' connection is up; null when it is not within `timeoutMs`, or waiting is hopeless. */
  async whenUp(partition: number, timeoutMs: number): Promise<ClusterNode | null> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      if (this.#stopped || this.#mismatch !== null) return null;
      const node = this.owner(partition);
      if (node !== null && node.commands.client !== null) return node;
      const remainingMs = deadlineMs - performance.now();
      if (remainingMs <= 0 || (node === null ? this.#isBlind() : node.commands.isHopeless)) return null;
      await this.#change(remainingMs);
    }
  }

  /** Why a partition cannot be had, as an error for the caller. */
  error(partition: number): BrokerError {
    if (this.#mismatch !== null) return new BrokerError(this.#mismatch, false);
    const node = this.owner(partition);
    if (node === null)
      return new BrokerError(`no connection to Redis: ${this.#problem ?? "stopped"}`, !this.#stopped);
    return node.commands.error();
  }

  /** The node whose commands' connection `client` is. */
  nodeOf(client: Redis): ClusterNode | null {
    for (const node of this.#nodes.values()) if (node.commands.client === client) return node;
    return null;
  }

  /**
   * A node has redirected us. MOVED is believed at once, until the nodes are asked.
   * @returns the node that ASK names, for one attempt; null for MOVED and for what is no redirection.
   */
  redirected(from: ClusterNode, message: string): ClusterNode | null {
    const redirection = parseRedirection(message, from.address);
    if (redirection === null) return null;
    const { kind, slot, address } = redirection;
    const node = this.#nodeAt(this.#aliases.get(addressText(address)) ?? address);
    if (kind === "ask") {
      this.#counters.redirectsAsk++;
      return node;
    }
    this.#counters.redirectsMoved++;
    this.refreshSoon();
    for (let partition = 0; partition < this.#slots.length; partition++) {
      if (this.#slots[partition] === slot) this.#setOwner(partition, node);
    }
    return null;
  }

  refreshSoon(): void {
    this.#soonTimer ??= setTimeout(() => {
      this.#soonTimer = null;
      void this.#refresh();
    }, askAgainMs);
  }

  /** A node's connection came up or went down: wakes those who wait for one. */
  connectionChanged(node: ClusterNode): void {
    if (node.reason !== null && node.partitions.size > 0) this.refreshSoon();
    void this.#comparePartitions();
    this.#wake();
  }

  #tick(): void {
    const nowMs = performance.now();
    for (const node of this.#nodes.values()) {
      node.subscriber.checkAnswers();
      if (nowMs - node.usedMs < idleKeepMs || node.partitions.size > 0) continue;
      node.stop();
      this.#nodes.delete(node.name);
    }
    void this.#refresh().then(() => this.#comparePartitions());
  }

  #refresh(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    this.#refreshing ??= this.#ask().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #ask(): Promise<void> {
    const known = shuffled([...this.#nodes.values()].filter((node) => node.commands.client !== null));
    let views = await firstAnswers(known.slice(0, askedMax).map((node) => this.#askNode(node)));
    if (views.length === 0) {
      const strangers = shuffled([...clusterSeeds(this.#options), ...this.#members]).slice(0, askedMax);
      views = await firstAnswers(strangers.map((address) => this.#askStranger(address)));
    }
    if (this.#stopped) return;
    if (views.length > 0) await this.#apply(mergeViews(views));
    else this.#setProblem(this.#problem ?? "no node of the cluster answers");
  }

  async #askNode({ commands, address }: ClusterNode): Promise<ClusterView> {
    const { client } = commands;
    if (client === null) throw new Error("no connection");
    return this.#view(await client.cluster("NODES"), address);
  }

  /** With a connection of its own: at the start, and when no node that we know is left. */
  async #askStranger(address: NodeAddress): Promise<ClusterView> {
    const client = new Redis(nodeOptions(this.#options, address, "tapecast-topology"));
    let lastError: Error | null = null;
    client.on("error", (error: Error) => {
      lastError = error;
    });
    try {
      await client.connect();
      return this.#view(await client.cluster("NODES"), address);
    } catch (error) {
      const cause = lastError ?? error;
      const message = cause instanceof Error ? cause.message : String(cause);
      const text = message.includes("cluster support disabled") ? notClusterReason : message;
      this.#setProblem(`${addressText(address)}: ${text}`);
      throw error;
    } finally {
      client.disconnect();
    }
  }

  #view(reply: unknown, address: NodeAddress): ClusterView {
    const isTls = nodeOptions(this.#options, address, "").tls !== undefined;
    return parseClusterNodes(String(reply), address, isTls);
  }

  async #apply(map: SlotMap): Promise<void> {
    this.#members = map.members;
    this.#aliases = map.aliases;
    const nowMs = performance.now();
    const started: Promise<void>[] = [];
    for (const address of map.masters) {
      const isNew = !this.#nodes.has(addressText(address));
      const node = this.#nodeAt(address, started);
      node.usedMs = nowMs;
      if (isNew) this.#log.info({ node: node.name }, "a master of the Redis Cluster");
    }
    let orphanCount = 0;
    for (let partition = 0; partition < this.#slots.length; partition++) {
      const address = map.owners[this.#slots[partition] ?? 0] ?? null;
      if (address === null) orphanCount++;
      this.#setOwner(partition, address === null ? null : this.#nodeAt(address, started));
    }
    this.#setProblem(
      orphanCount === 0 ? null : `no master serves ${orphanCount} of ${this.#slots.length} partitions`,
    );
    this.#wake();
    const migrating = this.#slots.flatMap((slot, partition) =>
      map.migratingSlots.has(slot) ? [partition] : [],
    );
    if (migrating.length > 0) this.#listener.onMigrating(migrating);
    // At the start the caller wants to know how the first attempts end. Later, one that hangs must not stop us.
    if (this.#isStarting) await Promise.all(started);
  }

  #setOwner(partition: number, to: ClusterNode | null): void {
    const from = this.owner(partition);
    if (from === to) return;
    this.#owners[partition] = to;
    from?.partitions.delete(partition);
    to?.partitions.add(partition);
    from?.chooseProbe();
    to?.chooseProbe();
    this.#listener.onOwnerChanged(partition, from, to);
    this.#wake();
  }

  #nodeAt(address: NodeAddress, started: Promise<void>[] = []): ClusterNode {
    const name = addressText(address);
    let node = this.#nodes.get(name);
    if (node === undefined) {
      node = new ClusterNode(address, this.#options, this.#listener, this.#log);
      this.#nodes.set(name, node);
      started.push(node.start());
    }
    return node;
  }

  /**
   * The number of partitions is fixed for the life of the data. Whoever is first writes it down; to publish with
   * another one would put topics where the others do not look.
   */
  #comparePartitions(): Promise<void> {
    const client = this.owner(0)?.commands.client ?? null;
    if (client === null || client === this.#comparedBy) return this.#comparing;
    this.#comparedBy = client;
    this.#comparing = this.#compareBy(client);
    return this.#comparing;
  }

  async #compareBy(client: Redis): Promise<void> {
    const key = `${partitionPrefix(this.#options.prefix, 0)}$partitions`;
    const ours = String(this.#options.partitions);
    try {
      await client.setnx(key, ours);
      const theirs = await client.get(key);
      this.#mismatch =
        theirs === null || theirs === ours
          ? null
          : `the data in this cluster has broker.redis.partitions: ${theirs}, the configuration says ${ours}`;
    } catch {
      // Asked again at the next tick: the node may have been on its way out.
      this.#comparedBy = null;
      return;
    }
    if (this.#mismatch !== null)
      this.#log.error({ problem: this.#mismatch }, "the configuration does not fit");
    this.#wake();
    this.#listener.onStatus();
  }

  #setProblem(problem: string | null): void {
    if (problem === null) this.#blindSinceMs = null;
    else this.#blindSinceMs ??= performance.now();
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#listener.onStatus();
  }

  #isBlind(): boolean {
    return this.#blindSinceMs !== null && performance.now() - this.#blindSinceMs > commandTimeoutMs;
  }

  /** Resolves at the next change, or after `timeoutMs`. */
  #change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.#waiters.add(done);
    });
  }

  #wake(): void {
    for (const wake of this.#waiters) wake();
  }
}

/** What came: all answers, or those that were there `othersMs` after the first. */
function firstAnswers<Answer>(questions: readonly Promise<Answer>[]): Promise<Answer[]> {
  return new Promise((resolve) => {
    const answers: Answer[] = [];
    let openCount = questions.length;
    let timer: NodeJS.Timeout | null = null;
    const done = (): void => {
      if (timer !== null) clearTimeout(timer);
      resolve(answers);
    };
    const ended = (): void => {
      openCount--;
      if (openCount === 0) done();
      else if (answers.length > 0) timer ??= setTimeout(done, othersMs);
    };
    if (openCount === 0) done();
    for (const question of questions) {
      question.then(
        (answer) => {
          answers.push(answer);
          ended();
        },
        () => ended(),
      );
    }
  });
}

function shuffled<Item>(items: readonly Item[]): Item[] {
  const result = [...items];
  for (let index = result.length - 1; index > 0; index--) {
    const other = Math.floor(Math.random() * (index + 1));
    const [a, b] = [result[index], result[other]];
    if (a !== undefined && b !== undefined) [result[index], result[other]] = [b, a];
  }
  return result;
}
