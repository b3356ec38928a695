/**
 * Topics as the configuration's rules describe them: the one place that turns a name from outside into a topic, for
 * sessions and the HTTP API alike.
 */
import { RequestError } from "../base/errors.ts";
import { topicProblem, TopicRules } from "../base/topic.ts";
import type { HubTopic } from "../hub/topic-log.ts";

/** A rule of the configuration, as far as sessions read it. */
export interface SessionRule {
  readonly match: string;
  readonly delivery: "latest" | "every" | "sample";
  /** null unless `sample`. */
  readonly samplePerSecMax: number | null;
  readonly history: { readonly size: number; readonly ttlMs: number } | null;
  readonly clientPublish: boolean;
}

/** A topic with its rule applied. Serves the hub and the broker. */
export interface RuledTopic extends HubTopic {
  readonly clientPublish: boolean;
}

export class TopicAccess {
  readonly #rules: TopicRules<SessionRule>;
  readonly #needsToken: boolean;

  /** @param needsToken whether nothing can be read without one. */
  constructor(rules: readonly SessionRule[], needsToken: boolean) {
    this.#rules = new TopicRules(rules);
    this.#needsToken = needsToken;
  }

  /** The topic of a name, whatever a peer gave as one. @throws RequestError `bad_topic` or `unknown_topic` */
  topic(name: unknown): RuledTopic {
    const problem = topicProblem(name);
    if (problem !== null || typeof name !== "string") {
      throw new RequestError("bad_topic", problem ?? "a topic is a string");
    }
    const rule = this.#rules.find(name);
    if (rule === null) throw new RequestError("unknown_topic", "no rule of this server matches this topic");
    return {
      name,
      delivery: rule.delivery,
      samplePerSecMax: rule.samplePerSecMax ?? 0,
      history: rule.history,
      clientPublish: rule.clientPublish,
      sharesCompression: !rule.clientPublish && !this.#needsToken,
    };
  }
}
