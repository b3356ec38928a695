/** What a hub is told at its beginning, and where its topics come from. */

import type { HubTopic, TopicLog } from "./topic-log.ts";

/** Where topics come from: the broker, through the worker. Never calls back from within these. */
export interface TopicSource {
  /** @param log where its publications go, by `Hub.publish`. */
  open(topic: HubTopic, log: TopicLog): void;
  close(topic: string): void;
}

export interface HubOptions {
  /** Publications that each `every` or `sample` topic keeps for those who fall behind. */
  readonly ringMessagesMax: number;
  /** Bytes of all publications that are kept so. */
  readonly ringBytesMax: number;
  /** What a topic kept had to go for that. */
  readonly onRingEmptied: () => void;
  /** How long a topic that nobody wants stays open, so that page reloads do not flap. */
  readonly lingerMs: number;
  /** How long a request waits for the broker to open its topics. */
  readonly openTimeoutMs: number;
  /** Most bytes that a returning reader is given in one write. */
  readonly catchUpBytesMax: number;
  /** Uniform in [0, 1); tests pass their own. */
  readonly random: () => number;
  /** Asks for a `turn` at `dueMs`, or before. */
  readonly wake: (dueMs: number) => void;
}
