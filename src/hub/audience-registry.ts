/**
 * Finds the audience of a topic set. Sets are compared by an XOR hash first (a topic changes it in O(1)), then topic
 * by topic, so a collision costs time and never mixes audiences.
 */
import { Audience } from "./audience.ts";
import type { Variant } from "./entry.ts";
import type { TopicLog } from "./topic-log.ts";

/** Its multiples spread evenly over [0, 1), however many there are (Weyl 1916). */
const goldenRatio = 0.618_033_988_749_895;

export class AudienceRegistry {
  readonly #byHash = new Map<number, Audience[]>();
  #created = 0;

  /** An audience of exactly `topics`, made if there is none. */
  findOrCreate(variant: Variant, classMs: number, topics: ReadonlySet<TopicLog>): Audience {
    let hash = 0;
    for (const log of topics) hash = (hash ^ log.hash) >>> 0;
    const found = this.#find(variant, classMs, hash, topics);
    if (found !== null) return found;
    this.#created += 1;
    const audience = new Audience(variant, classMs, (this.#created * goldenRatio) % 1);
    for (const log of topics) audience.addTopic(log);
    this.register(audience);
    return audience;
  }

  /** Another registered audience with the same topics, or null. */
  findTwin(audience: Audience): Audience | null {
    return this.#find(audience.variant, audience.classMs, audience.hash, audience.topics);
  }

  register(audience: Audience): void {
    const key = keyOf(audience.variant, audience.classMs, audience.hash);
    const others = this.#byHash.get(key);
    if (others === undefined) this.#byHash.set(key, [audience]);
    else others.push(audience);
    audience.isRegistered = true;
  }

  /** Takes it out before its set changes. */
  unregister(audience: Audience): void {
    if (!audience.isRegistered) return;
    audience.isRegistered = false;
    const key = keyOf(audience.variant, audience.classMs, audience.hash);
    const others = this.#byHash.get(key) ?? [];
    const rest = others.filter((other) => other !== audience);
    if (rest.length === 0) this.#byHash.delete(key);
    else this.#byHash.set(key, rest);
  }

  #find(
    variant: Variant,
    classMs: number,
    hash: number,
    topics: { readonly size: number; keys(): Iterable<TopicLog> },
  ): Audience | null {
    const candidates = this.#byHash.get(keyOf(variant, classMs, hash));
    if (candidates === undefined) return null;
    for (const candidate of candidates) {
      let isSame =
        candidate.variant === variant &&
        candidate.classMs === classMs &&
        candidate.topics.size === topics.size;
      for (const log of topics.keys()) {
        if (!isSame) break;
        isSame = candidate.topics.has(log);
      }
      if (isSame) return candidate;
    }
    return null;
  }
}

/** A small integer: the cheapest key that a Map can have. 2,654,435,761 spreads neighbouring classes (Knuth 6.4). */
function keyOf(variant: Variant, classMs: number, hash: number): number {
  return hash ^ Math.imul(classMs, 2_654_435_761) ^ variant.length;
}
