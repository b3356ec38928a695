/**
 * Topics as the configuration's rules describe them: the one place that turns a name from outside into a topic, and
 * that says who may read or publish it, for sessions and the HTTP API alike.
 */
import type { Identity } from "../auth/identity.ts";
import { RequestError } from "../base/errors.ts";
import { subjectIndexOf, topicProblem, TopicRules } from "../base/topic.ts";
import type { HubTopic } from "../hub/topic-log.ts";

/** Who may: `docs/CONFIGURATION.md`, `topics[].subscribe`. */
export type RuleAudience = "anyone" | "token" | "granted" | "nobody";

/** A rule of the configuration, as far as sessions read it. */
export interface SessionRule {
  readonly match: string;
  readonly delivery: "latest" | "every" | "sample";
  /** null unless `sample`. */
  readonly samplePerSecMax: number | null;
  readonly history: { readonly size: number; readonly ttlMs: number } | null;
  /** null: what the token says; without one, everything. */
  readonly subscribe: RuleAudience | null;
  readonly clientPublish: boolean;
  readonly publish: RuleAudience | null;
}

/** A rule with what its pattern says of subjects. */
interface KnownRule extends SessionRule {
  /** Which segment of the topic must be the token's subject; null: none. */
  readonly subjectIndex: number | null;
}

/** A topic with its rule applied. Serves the hub and the broker. */
export interface RuledTopic extends HubTopic {
  readonly clientPublish: boolean;
}

export class TopicAccess {
  readonly #rules: TopicRules<KnownRule>;
  readonly #needsToken: boolean;

  /** @param needsToken whether nothing can be read without one. */
  constructor(rules: readonly SessionRule[], needsToken: boolean) {
    this.#rules = new TopicRules(
      rules.map((rule) => ({ ...rule, subjectIndex: subjectIndexOf(rule.match) })),
    );
    this.#needsToken = needsToken;
  }

  /** The topic of a name, whatever a peer gave as one. @throws RequestError `bad_topic` or `unknown_topic` */
  topic(name: unknown): RuledTopic {
    const problem = topicProblem(name);
    if (problem !== null || typeof name !== "string") {
      throw new RequestError("bad_topic", problem ?? "a topic is a string");
    }
    const rule = this.#ruleOf(name);
    return {
      name,
      delivery: rule.delivery,
      samplePerSecMax: rule.samplePerSecMax ?? 0,
      history: rule.history,
      clientPublish: rule.clientPublish,
      sharesCompression: !rule.clientPublish && !this.#needsToken && isOpen(rule),
    };
  }

  /**
   * Whether a topic may be subscribed to and its history be read.
   * @param identity null: a token is required and has not come.
   * @param name of `topic`.
   */
  maySubscribe(identity: Identity | null, name: string): boolean {
    const rule = this.#ruleOf(name);
    return isAllowed(identity, rule.subscribe, rule, name, () => identity?.maySubscribe(name) === true);
  }

  /** @throws RequestError `unauthorized` when a token could help, `forbidden` when not. Otherwise as `maySubscribe`. */
  requireSubscribe(identity: Identity | null, name: string): void {
    if (!this.maySubscribe(identity, name)) throw refusalFor(identity, this.#ruleOf(name).subscribe);
  }

  /** As `requireSubscribe`, for publishing over WebSocket. */
  requirePublish(identity: Identity | null, name: string): void {
    const rule = this.#ruleOf(name);
    const isGood = isAllowed(identity, rule.publish, rule, name, () => identity?.mayPublish(name) === true);
    if (!isGood) throw refusalFor(identity, rule.publish);
    if (!rule.clientPublish) throw new RequestError("forbidden", "clients may not publish on this topic");
  }

  #ruleOf(name: string): KnownRule {
    const rule = this.#rules.find(name);
    if (rule === null) throw new RequestError("unknown_topic", "no rule of this server matches this topic");
    return rule;
  }
}

/** The one decision about rights. Least first: what no line allows is refused. */
function isAllowed(
  identity: Identity | null,
  audience: RuleAudience | null,
  rule: KnownRule,
  name: string,
  isGranted: () => boolean,
): boolean {
  if (identity === null || audience === "nobody") return false;
  if (rule.subjectIndex !== null) {
    if (identity.sub === null || name.split(".")[rule.subjectIndex] !== identity.sub) return false;
    return audience === "granted" ? isGranted() : true;
  }
  if (audience === "anyone") return true;
  if (audience === "token") return identity.hasToken;
  if (audience === "granted") return identity.hasToken && isGranted();
  return isGranted();
}

function refusalFor(identity: Identity | null, audience: RuleAudience | null): RequestError {
  if (identity === null) return new RequestError("unauthorized", "a token is needed first");
  if (audience === "nobody") return new RequestError("forbidden", "this is not open to clients");
  if (!identity.hasToken) return new RequestError("unauthorized", "this topic needs a token");
  return new RequestError("forbidden", "the token does not allow this");
}

/** Whether nothing that a reader of the topic is must be kept secret from the next. */
function isOpen(rule: KnownRule): boolean {
  return rule.subjectIndex === null && (rule.subscribe === null || rule.subscribe === "anyone");
}
