/**
 * The Redis Functions of tape-functions.lua, seen from here: loading the library, calling it, reading its answers,
 * and what Redis's errors mean for the caller.
 */
import { asBuffer } from "../base/byte-string.ts";
import { readFileSync } from "node:fs";
import type { Redis } from "ioredis";
import { isJson } from "../base/json-scanner.ts";
import type { BrokerTopic, Position } from "./broker.ts";
import { parsePosition } from "./bus-envelope.ts";
import { UnusableRedisError } from "./redis-connection.ts";
import type { LogEntry, LogPart, LogRead } from "./log-read.ts";

// From src/broker and from dist/broker alike: the library is text and is not compiled.
const library = readFileSync(new URL("../../src/broker/tape-functions.lua", import.meta.url), "utf8");
const libraryVersion = Number(/^local VERSION = (\d+)$/m.exec(library)?.[1]);

/**
 * How long an empty log lives that was made because somebody asked for its epoch. Clients choose the names they ask
 * for, so this bounds what they can make Redis keep; logs of open topics are touched long before.
 */
export const emptyLogKeepMs = 120_000;

/** Loads the library where it is missing or older than ours. @throws UnusableRedisError when that cannot be. */
export async function ensureLibrary(client: Redis): Promise<void> {
  const loadedVersion = await versionOf(client);
  if (loadedVersion !== null && loadedVersion >= libraryVersion) return;
  try {
    await client.call("FUNCTION", "LOAD", ...(loadedVersion === null ? [] : ["REPLACE"]), library);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (message.startsWith("NOPERM")) {
      throw new UnusableRedisError(`the Redis user may not load functions: ${message}`);
    }
    // Two workers at once: the other was first.
    if (message.includes("already exists") && (await versionOf(client)) !== null) return;
    throw new UnusableRedisError(`the Redis Functions cannot be loaded: ${message}`);
  }
}

/** Stores and publishes. `idempotencyKey` is a whole key name, or null for none; `keepIdempotencyMs` how long it is remembered. */
export async function callPublish(
  client: Redis,
  topic: BrokerTopic & { readonly history: NonNullable<BrokerTopic["history"]> },
  names: { readonly log: string; readonly idempotencyKey: string | null },
  message: { readonly data: Uint8Array; readonly origin: string; readonly keepIdempotencyMs: number },
): Promise<Position> {
  const { size, ttlMs } = topic.history;
  const keys = names.idempotencyKey === null ? [names.log] : [names.log, names.idempotencyKey];
  const reply = await client.call(
    "FCALL",
    "tape_publish",
    keys.length,
    ...keys,
    asBuffer(message.data),
    size,
    ttlMs,
    message.origin,
    message.keepIdempotencyMs,
    1,
  );
  const position = parsePosition(String(reply));
  if (position === null)
    throw new Error("tape_publish returned no position: is the name taken by another library?");
  return position;
}

/** Before a command to the node that ASK named: it serves the next command though the slot is not its own yet. */
export function sendAsking(client: Redis): void {
  // Should it fail, so does the command behind it, and that one is looked at.
  client.asking().catch(() => {});
}

/** Reads a part of a log. @param ttlMs 0: entries of any age. */
export async function callRead(
  client: Redis,
  log: string,
  part: LogPart,
  messageBytesMax: number,
): Promise<LogRead> {
  const since = part.since === null ? ["", "", 3] : [part.since.epoch, part.since.seq, 1];
  const reply = await client.callBuffer(
    "FCALL",
    "tape_read",
    1,
    log,
    emptyLogKeepMs,
    part.limit,
    part.ttlMs,
    part.mode,
    ...since,
  );
  const values: unknown[] = Array.isArray(reply) ? reply : [];
  const position = parsePosition(`${String(values[0])}-${String(values[1])}`);
  if (position === null)
    throw new Error("tape_read returned no position: is the name taken by another library?");
  // An older library, under a user who may not load ours, says nothing of a link: entries begin at 2.
  const headCount = 2 + ((values.length + 1) % 3);
  const link = headCount === 3 ? String(values[2]) : null;
  const commonSeq = link === null || part.since === null ? null : Number(link);
  const formers = link === null || part.since !== null ? [] : formersOf(link);
  const entries: LogEntry[] = [];
  for (let index = headCount; index + 2 < values.length; index += 3) {
    const data = values[index + 1];
    const origin = String(values[index + 2]);
    const isValid = Buffer.isBuffer(data) && data.length <= messageBytesMax && isJson(data);
    entries.push({
      seq: Number(String(values[index])),
      // A copy: the reply's buffers are views of whole chunks of the socket.
      data: isValid ? Buffer.from(data) : null,
      origin: origin === "" ? null : origin,
    });
  }
  return { position, entries, commonSeq, formers };
}

/** `epoch-seq,epoch-seq`, perhaps none. */
function formersOf(links: string): Position[] {
  return links
    .split(",")
    .map(parsePosition)
    .filter((position) => position !== null);
}

/** What an error of a command means for whoever sent it. */
export type CommandFailure =
  /** The connection is gone; whether Redis did it is unknown. */
  | "connection"
  /** No answer in time; whether Redis did it is unknown. */
  | "timeout"
  /** Redis was started anew without our library. */
  | "library"
  /** Redis cannot do it now, and said so before doing anything. */
  | "busy"
  /** This server will not do it: a failover made it a replica. */
  | "replica"
  /** In a cluster: another node has the key, see `parseRedirection`. Nothing was done. */
  | "elsewhere"
  /** In a cluster: the slot is on its way, one key is here and one there. Nothing was done. */
  | "torn"
  /** Repeating cannot help. */
  | "refused";

/** Classifies what a command rejected with. */
export function failureOf(error: unknown): CommandFailure {
  const message = error instanceof Error ? error.message : "";
  if (message === "Command timed out") return "timeout";
  if (message.includes("Function not found")) return "library";
  if (/READONLY|^UNBLOCKED/.test(message)) return "replica";
  if (/^(MOVED|ASK) /.test(message)) return "elsewhere";
  if (message.startsWith("TRYAGAIN")) return "torn";
  if (/^(LOADING|BUSY|MASTERDOWN|NOREPLICAS|CLUSTERDOWN|MISCONF|OOM)|OOM command not allowed/.test(message))
    return "busy";
  if (error instanceof Error && error.name === "ReplyError") return "refused";
  return "connection";
}

/** Version of the library that is loaded, null when none is. */
async function versionOf(client: Redis): Promise<number | null> {
  try {
    return Number(await client.call("FCALL_RO", "tape_version", 0));
  } catch (error) {
    if (failureOf(error) === "library") return null;
    throw error;
  }
}
