/**
 * Tells the readers of a `sample` topic, at most once a second, how many publications were left out. The number is
 * the same for all but those who joined since the last event, or got a message of their own that the others did not.
 */
import { encodeTextFrame } from "../codec/frame-encoder.ts";
import { lostIntervalMs } from "./delivery.ts";
import type { Delivery } from "./delivery.ts";
import type { Reader } from "./reader.ts";
import type { TopicLog } from "./topic-log.ts";

export class LostEvents {
  readonly #delivery: Delivery;

  constructor(delivery: Delivery) {
    this.#delivery = delivery;
  }

  /** Returns true when somebody could not be told now, so that the rest must be told later. */
  tell(log: TopicLog, nowMs: number): boolean {
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
