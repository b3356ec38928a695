/**
 * Tells the readers of a `sample` topic, at most once a second, how many publications were left out. The number is
 * the same for all but those who joined since the last event, or got a message of their own that the others did not.
 */
import { encodeTextFrame } from "../codec/frame-encoder.ts";
import { lostIntervalMs } from "./delivery.ts";
import type { Delivery } from "./delivery.ts";
import type { HubCounters } from "./hub-counters.ts";
import type { Reader } from "./reader.ts";
import type { TopicLog } from "./topic-log.ts";

export class LostEvents {
  readonly #counters: HubCounters;
  readonly #delivery: Delivery;
  readonly #after: (delayMs: number, action: (nowMs: number) => void) => void;
  readonly #write: (action: () => boolean) => boolean;

  /** @param write runs what writes, while nobody joins or leaves an audience. */
  constructor(
    counters: HubCounters,
    delivery: Delivery,
    after: (delayMs: number, action: (nowMs: number) => void) => void,
    write: (action: () => boolean) => boolean,
  ) {
    this.#counters = counters;
    this.#delivery = delivery;
    this.#after = after;
    this.#write = write;
  }

  /** So many publications are given to nobody. */
  leaveOut(log: TopicLog, count: number): void {
    this.#counters.sampledOut += count;
    log.leftOut += count;
    this.schedule(log);
  }

  /** Somebody must be told. */
  schedule(log: TopicLog): void {
    if (log.isLostScheduled) return;
    log.isLostScheduled = true;
    this.#after(lostIntervalMs, (nowMs) => {
      log.isLostScheduled = false;
      const isRestLeft = this.#write(() => this.#tell(log, nowMs));
      if (isRestLeft) this.schedule(log);
    });
  }

  /** Returns true when somebody could not be told now, so that the rest must be told later. */
  #tell(log: TopicLog, nowMs: number): boolean {
    let isRestLeft = false;
    const { leftOut } = log;
    const corrections = new Map(log.leftOutCorrections);
    log.leftOut = 0;
    log.leftOutCorrections.clear();
    for (const { audience } of log.audiences) {
      const frames = new Map<number, Uint8Array | null>();
      for (const membership of audience.members.concat(audience.joining)) {
        const { reader } = membership;
        const count = leftOut - (corrections.get(reader) ?? 0);
        if (count <= 0 || reader.isRemoved) continue;
        if (!reader.sink.isWritable || nowMs - reader.lostToldAloneMs < lostIntervalMs) {
          // Not told now: the next event tells this too.
          log.leftOutCorrections.set(reader, -count);
          isRestLeft = true;
          continue;
        }
        const frame = frames.get(count) ?? encodeLost(reader, log, count);
        frames.set(count, frame);
        reader.lostToldMs = nowMs;
        if (frame !== null) this.#delivery.writeEvent(reader, frame);
      }
    }
    return isRestLeft;
  }
}

/** null for a reader that cannot be told. */
function encodeLost(reader: Reader, log: TopicLog, count: number): Uint8Array | null {
  const event = reader.sink.lostEvent(log.topic.name, count, "sampled");
  return event === null ? null : encodeTextFrame(event);
}
