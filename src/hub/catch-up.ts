/**
 * What a lagging reader is sent when its socket has room again: a read of the logs from its cursor. For `latest` the
 * newest value only, for `sample` a fair part and a count, for `every` all of it or the word that it is gone.
 * Costs O(the reader's topics), never O(messages missed).
 */
import { encodeTextFrame } from "../codec/frame-encoder.ts";
import { seesPositions, type Entry } from "./entry.ts";
import type { Membership } from "./reader.ts";
import type { TopicLog } from "./topic-log.ts";

export interface CatchUpSlice {
  /** Ascending by `order`. */
  readonly entries: readonly Entry[];
  /** `lost` events. */
  readonly events: readonly Uint8Array[];
  /** Everything up to this `order` is delivered, told, replaced by something newer, or in a count still to be told. */
  readonly cursor: number;
  readonly conflated: number;
  readonly overruns: number;
}

/**
 * The next part, at most about `bytesMax` (a single larger entry goes alone). Updates what the membership has
 * accounted for. null: entries of an `every` topic are out of reach, or a topic began a new epoch, and the reader
 * must be closed.
 * @param isLostDue whether the reader may be told what it missed of its `sample` topics. Else it is told later.
 */
export function catchUpSlice(
  membership: Membership,
  order: number,
  bytesMax: number,
  isLostDue: boolean,
): CatchUpSlice | null {
  const found: Entry[] = [];
  const { variant } = membership.audience;
  for (const log of membership.audience.topics.keys()) {
    const isEvicted = log.evictedOrder > membership.cursor;
    if (isEvicted && log.topic.delivery === "every" && log.topic.history !== null) return null;
    if (log.epochOrder > membership.cursor && seesPositions(variant)) return null;
    log.entriesAfter(membership.cursor, found);
  }
  if (membership.extras !== null) found.push(...membership.extras);
  found.sort((left, right) => left.order - right.order);
  // An own message may be in the ring too.
  const candidates = found.filter((entry, index) => entry !== found[index - 1]);

  let bytes = 0;
  let count = 0;
  for (const entry of candidates) {
    bytes += entry.bytes(variant).length;
    if (bytes > bytesMax && count > 0) break;
    count += 1;
  }
  const isWhole = count === candidates.length;
  if (!isWhole) candidates.length = count;
  const cursor = isWhole ? order : (candidates.at(-1)?.order ?? order);
  if (membership.extras !== null) {
    membership.extras = isWhole ? null : membership.extras.filter((entry) => entry.order > cursor);
  }
  const entries = thinSamples(candidates, membership.reader.id);
  return account(membership, candidates, entries, { cursor, isWhole, isLostDue });
}

/** Settles for each topic how many arrivals up to the cursor were not delivered. */
function account(
  membership: Membership,
  candidates: readonly Entry[],
  entries: readonly Entry[],
  part: { readonly cursor: number; readonly isWhole: boolean; readonly isLostDue: boolean },
): CatchUpSlice | null {
  const delivered = new Map<TopicLog, number>();
  for (const { log } of entries) delivered.set(log, (delivered.get(log) ?? 0) + 1);
  const reached = new Map<TopicLog, number>();
  for (const { log, position } of candidates) reached.set(log, position);

  const { cursor, isWhole, isLostDue } = part;
  const events: Uint8Array[] = [];
  let conflated = 0;
  let overruns = 0;
  const accounted = membership.accounted;
  for (const [log, before] of accounted ?? []) {
    const given = delivered.get(log) ?? 0;
    const { delivery, name } = log.topic;
    if (delivery === "sample" && !(isWhole && isLostDue)) {
      // What is missing stays unaccounted for, so that it is told once and at its time.
      accounted?.set(log, before + given);
      continue;
    }
    const upTo = isWhole ? log.arrived : (reached.get(log) ?? before);
    const missed = upTo - before - given;
    accounted?.set(log, upTo);
    if (missed <= 0) continue;
    if (delivery === "latest") {
      conflated += missed;
      continue;
    }
    if (delivery === "every") overruns += missed;
    const reason = delivery === "every" ? "overrun" : "sampled";
    const event = membership.reader.sink.lostEvent(name, missed, reason);
    if (event !== null) events.push(encodeTextFrame(event));
    // A reader that cannot be told of a loss on an `every` topic (/raw) is closed instead.
    else if (delivery === "every") return null;
  }
  return { entries, events, cursor, conflated, overruns };
}

/** Leaves at most one second's worth of each `sample` topic, evenly spread; own messages always stay. */
function thinSamples(candidates: readonly Entry[], readerId: string): readonly Entry[] {
  const counts = new Map<TopicLog, number>();
  for (const { log } of candidates) {
    if (log.topic.delivery === "sample") counts.set(log, (counts.get(log) ?? 0) + 1);
  }
  if (counts.size === 0) return candidates;
  const seen = new Map<TopicLog, number>();
  return candidates.filter((entry) => {
    const { log } = entry;
    const count = counts.get(log) ?? 0;
    const max = log.topic.samplePerSecMax;
    if (log.topic.delivery !== "sample" || count <= max || entry.origin === readerId) return true;
    const index = seen.get(log) ?? 0;
    seen.set(log, index + 1);
    // Exactly `max` of `count` indices pass, evenly spread.
    return Math.floor(((index + 1) * max) / count) > Math.floor((index * max) / count);
  });
}
