/** The Redis that test/setup/redis.ts provides for the whole run. */
import { inject } from "vitest";

declare module "vitest" {
  export interface ProvidedContext {
    redisUrl: string;
  }
}

/** URL of a Redis ≥ 7 that all test files share: use a prefix of your own, never FLUSHALL it. */
export function redisUrl(): string {
  return inject("redisUrl");
}

let prefixCount = 0;

/** A key prefix that no other test uses. */
export function uniquePrefix(): string {
  prefixCount++;
  return `test-${process.pid}-${Date.now().toString(36)}-${prefixCount}:`;
}
