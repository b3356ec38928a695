/** Whether a worker may open one more topic. Each costs a log here and a subscription at the broker. */
import { RequestError } from "../base/errors.ts";
import { limitCounters } from "../base/limit-counters.ts";
import type { SessionServices } from "./session-services.ts";

/**
 * False, and counted, when the topic is not open and one more would be too many.
 * @param wanted topics that are about to be opened with it.
 */
export function hasRoom({ hub, limits }: SessionServices, name: string, wanted = 0): boolean {
  const max = limits.topicsPerWorkerMax;
  if (max === null || hub.counters.topics + wanted < max || hub.find(name) !== null) return true;
  limitCounters.hit("topicsPerWorkerMax");
  return false;
}

/** @throws RequestError `limit`. See hasRoom. */
export function requireRoom(services: SessionServices, name: string, wanted: number): void {
  if (hasRoom(services, name, wanted)) return;
  throw new RequestError("limit", "this server has as many topics open as it may have");
}
