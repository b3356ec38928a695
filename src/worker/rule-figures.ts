/**
 * What the hub's open topics say of each rule of the configuration: how many there are, how much comes, and how fresh
 * it is. Looks through all topics when asked, which is once a second for the metrics; nothing is counted on the way of
 * a publication but what its topic's log counts.
 */
import { TopicRules } from "../base/topic.ts";
import type { TopicLog } from "../hub/topic-log.ts";
import { ruleLabelsMax } from "../metrics/catalogue.ts";
import type { RuleSources } from "../metrics/worker-metrics.ts";

/** A topic without a publication for this long counts as quiet. */
const quietMs = 60_000;
/** Answers are kept for so long: one snapshot asks several times. */
const keptMs = 200;
/** A topic's rate is averaged over about this long. */
const rateMs = 10_000;
/** Of all rules that have no series of their own. */
const otherRule = "other";

interface Seen {
  readonly figures: Figures;
  publications: number;
  ratePerSec: number;
}

interface Figures {
  readonly rule: string;
  topics: number;
  quietTopics: number;
  publications: number;
  newestAgeMs: number | null;
}

export class RuleFigures {
  readonly #rules: TopicRules<{ readonly match: string }>;
  readonly #byRule = new Map<string, Figures>();
  /** Keeps no log alive. */
  readonly #seen = new WeakMap<TopicLog, Seen>();
  #readMs = Number.NEGATIVE_INFINITY;

  constructor(rules: readonly { readonly match: string }[]) {
    this.#rules = new TopicRules(rules);
    for (const { match } of rules) {
      const rule = this.#byRule.size < ruleLabelsMax || this.#byRule.has(match) ? match : otherRule;
      this.#byRule.set(rule, { rule, topics: 0, quietTopics: 0, publications: 0, newestAgeMs: null });
    }
  }

  /** Publications a second of a topic, averaged over about ten seconds; 0 until it was looked at twice. */
  ratePerSec(log: TopicLog): number {
    return this.#seen.get(log)?.ratePerSec ?? 0;
  }

  /** The figures of every rule. Cost: some 100 ns for each topic; the pattern of a topic is looked for once. */
  read(logs: Iterable<TopicLog>, nowMs: number): readonly RuleSources[] {
    if (nowMs - this.#readMs < keptMs) return [...this.#byRule.values()];
    const passedMs = nowMs - this.#readMs;
    this.#readMs = nowMs;
    for (const figures of this.#byRule.values()) {
      figures.topics = 0;
      figures.quietTopics = 0;
      figures.newestAgeMs = null;
    }
    for (const log of logs) this.#count(log, nowMs, passedMs);
    return [...this.#byRule.values()];
  }

  #count(log: TopicLog, nowMs: number, passedMs: number): void {
    const seen = this.#seen.get(log) ?? this.#see(log);
    if (seen === null) return;
    const { figures } = seen;
    figures.topics += 1;
    const came = log.publications - seen.publications;
    figures.publications += came;
    seen.publications = log.publications;
    // An infinite time, before the first look, weighs everything and gives a rate of 0.
    seen.ratePerSec += ((came * 1000) / passedMs - seen.ratePerSec) * Math.min(1, passedMs / rateMs);
    const ageMs = nowMs - log.publishedMs;
    if (ageMs > quietMs) figures.quietTopics += 1;
    if (log.publications > 0)
      figures.newestAgeMs = Math.max(0, Math.min(ageMs, figures.newestAgeMs ?? ageMs));
  }

  #see(log: TopicLog): Seen | null {
    const match = this.#rules.find(log.topic.name)?.match;
    const figures =
      match === undefined ? undefined : (this.#byRule.get(match) ?? this.#byRule.get(otherRule));
    if (figures === undefined) return null;
    const seen = { figures, publications: 0, ratePerSec: 0 };
    this.#seen.set(log, seen);
    return seen;
  }
}
