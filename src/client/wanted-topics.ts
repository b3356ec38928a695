/**
 * What the page wants and how far it has got: one entry per topic, its position, and the merge of what a resumed
 * subscription brings. Pure: no socket, no timer.
 */
import type { WirePosition } from "../protocol/messages.ts";
import type { StoredMessage, TopicState, Value } from "./server-message.ts";

/** A publication as the page gets it. */
export interface Publication extends Value {
  readonly topic: string;
  /** null on a topic without history, and for a raw Redis PUBLISH. */
  readonly seq: number | null;
  /** True for what was missed during a loss of the connection and came with the resumption. */
  readonly recovered: boolean;
}

/** The answer to a subscription, the first and after every reconnect. */
export interface TopicSnapshot {
  readonly topic: string;
  readonly epoch: string | null;
  readonly seq: number | null;
  /** The topic's value now; null when it has none, and when everything missed follows as publications. */
  readonly value: Value | null;
  /** The rate that the server serves, after rounding; null where it named none. */
  readonly intervalMs: number | null;
  /**
   * null: a first subscription. true: every missed publication follows. false: the server could not say what was
   * missed; `value` is the newest.
   */
  readonly recovered: boolean | null;
  /** How many publications follow as recovered. */
  readonly recoveredCount: number;
}

export interface SubscribeOptions {
  /** The rate of `latest` topics: at most one value per so many milliseconds. */
  readonly intervalMs?: number;
  readonly onPublication?: (publication: Publication) => void;
  readonly onSnapshot?: (snapshot: TopicSnapshot) => void;
  /** The server left publications out: `sampled` (a crowd) or `overrun` (a slow reader of a live-only topic). */
  readonly onLost?: (lost: {
    readonly topic: string;
    readonly count: number;
    readonly reason: string;
  }) => void;
  /** The topic was refused. Temporary refusals are tried again, others are not. */
  readonly onError?: (
    topic: string,
    error: Error & { readonly code: string; readonly temporary: boolean },
  ) => void;
}

/** As the server sends it; see server-message.ts. */
type LivePublication = Pick<Publication, "topic" | "seq"> & {
  readonly epoch: string | null;
  readonly value: Value;
};

interface Wanted {
  options: SubscribeOptions;
  position: WirePosition | null;
}

export class WantedTopics {
  readonly #wanted = new Map<string, Wanted>();

  get names(): string[] {
    return [...this.#wanted.keys()];
  }

  /** Adds the topic, or gives it new options and keeps its position. */
  want(topic: string, options: SubscribeOptions): void {
    const wanted = this.#wanted.get(topic);
    if (wanted === undefined) this.#wanted.set(topic, { options, position: null });
    else wanted.options = options;
  }

  /** @returns false when it was not wanted. */
  forget(topic: string): boolean {
    return this.#wanted.delete(topic);
  }

  options(topic: string): SubscribeOptions | undefined {
    return this.#wanted.get(topic)?.options;
  }

  position(topic: string): WirePosition | null {
    return this.#wanted.get(topic)?.position ?? null;
  }

  /** A live publication: moves the position and tells the page. Ignored when the topic is no longer wanted. */
  publication({ topic, seq, epoch, value }: LivePublication): void {
    const wanted = this.#wanted.get(topic);
    if (wanted === undefined) return;
    if (seq !== null && wanted.position !== null)
      wanted.position = { epoch: epoch ?? wanted.position.epoch, seq };
    wanted.options.onPublication?.({ topic, seq, ...value, recovered: false });
  }

  /**
   * The answer to a subscription: tells the page the snapshot, then each recovered message that it has not had yet.
   * A subscription made again on a live connection may bring messages that came live in the meantime.
   */
  answered(topic: string, state: TopicState): void {
    const wanted = this.#wanted.get(topic);
    if (wanted === undefined) return;
    const missed = state.recovered === true ? unseen(state.messages, wanted.position) : [];
    // Live publications may have passed the snapshot's position while a renewed subscription was on its way. What is
    // recovered goes on from where the page stood, also where that was in the epoch before a failover.
    const isBehind =
      wanted.position !== null && (state.recovered === true || wanted.position.epoch === state.epoch);
    const seq = Math.max(state.seq ?? 0, isBehind ? (wanted.position?.seq ?? 0) : 0);
    wanted.position = state.epoch === null ? null : { epoch: state.epoch, seq };
    const { options } = wanted;
    options.onSnapshot?.({
      topic,
      epoch: state.epoch,
      seq: state.seq,
      value: state.value,
      intervalMs: state.intervalMs,
      recovered: state.recovered,
      recoveredCount: missed.length,
    });
    for (const message of missed) options.onPublication?.({ topic, ...message, recovered: true });
  }
}

function unseen(messages: readonly StoredMessage[], position: WirePosition | null): readonly StoredMessage[] {
  if (position === null) return messages;
  return messages.filter((message) => message.seq > position.seq);
}
