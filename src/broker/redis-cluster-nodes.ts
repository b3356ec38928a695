/**
 * Who owns which slot: reads CLUSTER NODES as several nodes see it, and decides as Redis Cluster itself does, that of
 * two nodes which claim a slot the one with the higher configuration epoch has it.
 */
import { slotCount } from "./topic-partition.ts";

/** A node's address, also its identity here: a node that comes back on another address is another one. */
export interface NodeAddress {
  readonly host: string;
  readonly port: number;
}

/** One answer to CLUSTER NODES. */
export interface ClusterView {
  readonly nodes: readonly ClusterMember[];
  /** Slots that the answering node is giving away: some of their keys are elsewhere already. */
  readonly migratingSlots: readonly number[];
}

interface ClusterMember {
  readonly address: NodeAddress;
  /** The address in numbers, which redirections name even where we use the host's name. */
  readonly alias: NodeAddress;
  readonly isMaster: boolean;
  /** Thought dead, or not met yet. */
  readonly isAway: boolean;
  readonly epoch: number;
  readonly slotRanges: readonly (readonly [number, number])[];
}

/** What the views agree on. */
export interface SlotMap {
  /** By slot; null where no master serves it. */
  readonly owners: readonly (NodeAddress | null)[];
  /** All masters that are there, with slots or without, each once. */
  readonly masters: readonly NodeAddress[];
  /** Replicas too: whom to ask when all masters that we know are gone. */
  readonly members: readonly NodeAddress[];
  readonly migratingSlots: ReadonlySet<number>;
  /** From the text of an address in numbers to the address that we use. */
  readonly aliases: ReadonlyMap<string, NodeAddress>;
}

/** `host:port`, for people and as key of a map. */
export function addressText({ host, port }: NodeAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Reads an answer to CLUSTER NODES.
 * @param asked address of the node that answered: a node that never met another does not know its own.
 * @param preferHostname with TLS a certificate names a host, not an address.
 */
export function parseClusterNodes(text: string, asked: NodeAddress, preferHostname: boolean): ClusterView {
  const nodes: ClusterMember[] = [];
  const migratingSlots: number[] = [];
  for (const line of text.split("\n")) {
    // <id> <ip:port@cport[,hostname[,…]]> <flags> <master> <ping> <pong> <epoch> <link> <slot> …
    const [, where, flagText, , , , epoch, , ...slots] = line.trim().split(" ");
    if (where === undefined || flagText === undefined || epoch === undefined) continue;
    const flags = flagText.split(",");
    const alias = parseAddress(where, asked);
    if (alias === null || flags.includes("noaddr")) continue;
    const hostname = where.split(",")[1] ?? "";
    const address = preferHostname && hostname !== "" ? { host: hostname, port: alias.port } : alias;
    const slotRanges: [number, number][] = [];
    for (const slot of slots) {
      const migrating = /^\[(\d+)->-/.exec(slot);
      if (migrating !== null) migratingSlots.push(Number(migrating[1]));
      const range = /^(\d+)(?:-(\d+))?$/.exec(slot);
      if (range !== null) slotRanges.push([Number(range[1]), Number(range[2] ?? range[1])]);
    }
    nodes.push({
      address,
      alias,
      isMaster: flags.includes("master"),
      isAway: flags.includes("fail") || flags.includes("handshake"),
      epoch: Number(epoch),
      slotRanges,
    });
  }
  return { nodes, migratingSlots };
}

/** What several nodes see, as one map. A node cut off from the others loses: its claims are of an older epoch. */
export function mergeViews(views: readonly ClusterView[]): SlotMap {
  const owners: (NodeAddress | null)[] = Array.from({ length: slotCount }, () => null);
  const epochs = new Float64Array(slotCount).fill(-1);
  const masters = new Map<string, NodeAddress>();
  const members = new Map<string, NodeAddress>();
  const migratingSlots = new Set<number>();
  const aliases = new Map<string, NodeAddress>();
  for (const view of views) {
    for (const slot of view.migratingSlots) migratingSlots.add(slot);
    for (const { address, alias, isMaster, isAway, epoch, slotRanges } of view.nodes) {
      members.set(addressText(address), address);
      aliases.set(addressText(alias), address);
      if (!isMaster) continue;
      if (!isAway) masters.set(addressText(address), address);
      for (const [first, last] of slotRanges) {
        for (let slot = first; slot <= last && slot < slotCount; slot++) {
          if (epoch <= (epochs[slot] ?? 0)) continue;
          epochs[slot] = epoch;
          owners[slot] = address;
        }
      }
    }
  }
  for (const owner of owners) if (owner !== null) masters.set(addressText(owner), owner);
  return {
    owners,
    masters: [...masters.values()],
    members: [...members.values()],
    migratingSlots,
    aliases,
  };
}

/** Where Redis sends us: `MOVED <slot> <host>:<port>` or `ASK …`. */
export interface Redirection {
  readonly kind: "moved" | "ask";
  readonly slot: number;
  readonly address: NodeAddress;
}

/** @param asked the node that answered: a redirection without a host means the same one. @returns null when it is none. */
export function parseRedirection(message: string, asked: NodeAddress): Redirection | null {
  const match = /^(MOVED|ASK) (\d+) (.*):(\d+)$/.exec(message);
  if (match === null) return null;
  const [, kind, slot, host, port] = match;
  return {
    kind: kind === "ASK" ? "ask" : "moved",
    slot: Number(slot),
    address: { host: host === "" || host === undefined ? asked.host : host, port: Number(port) },
  };
}

function parseAddress(where: string, asked: NodeAddress): NodeAddress | null {
  const endpoint = where.split(/[@,]/, 1)[0] ?? "";
  const colonIndex = endpoint.lastIndexOf(":");
  const port = Number(endpoint.slice(colonIndex + 1));
  if (colonIndex === -1 || !(port > 0)) return null;
  const ip = endpoint.slice(0, colonIndex);
  return { host: ip === "" ? asked.host : ip, port };
}
