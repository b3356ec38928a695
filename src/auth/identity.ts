/** Who a connection is and what it may do. A token's rights are patterns; a topic's rule decides separately. */
import { compilePattern } from "../base/topic.ts";

/** Rights of one connection. */
export interface Identity {
  /** The token's `sub`, or null without one. */
  readonly sub: string | null;
  /** False for a connection without a token. */
  readonly hasToken: boolean;
  /** @param topic a well-formed topic name. Cost: one test per pattern, at most 128. */
  maySubscribe(topic: string): boolean;
  /** As `maySubscribe`. The topic's rule must allow `clientPublish` as well. */
  mayPublish(topic: string): boolean;
  /** When the rights end, in milliseconds since 1970 UTC; null: never. */
  readonly expiresWallMs: number | null;
}

/** The rights of a connection without a token where none is required: everything that the topic rules allow. */
export const anonymousIdentity: Identity = {
  sub: null,
  hasToken: false,
  maySubscribe: () => true,
  mayPublish: () => true,
  expiresWallMs: null,
};

/** The rights that a verified token grants. @param subscribe, publish well-formed patterns. */
export function grantedIdentity(
  sub: string | null,
  subscribe: readonly string[],
  publish: readonly string[],
  expiresWallMs: number,
): Identity {
  return { sub, hasToken: true, maySubscribe: anyOf(subscribe), mayPublish: anyOf(publish), expiresWallMs };
}

function anyOf(patterns: readonly string[]): (topic: string) => boolean {
  const matchers = patterns.map((pattern) => compilePattern(pattern));
  return (topic) => matchers.some((matches) => matches(topic));
}
