/** Whether a server whose clients have all gone has freed everything that it counts. */
import { Scrape } from "../../src/cli/scrape.ts";
import { sleep } from "./fault.ts";

/** Gauges that are zero when nobody is there. */
export const idleGauges: readonly string[] = [
  "tapecast_connections_open",
  "tapecast_sockets_waiting",
  "tapecast_http_connections_open",
  "tapecast_topics",
  "tapecast_subscriptions",
  "tapecast_audiences",
  "tapecast_lagging_readers",
  "tapecast_broker_topics_open",
  "tapecast_http_requests_in_flight",
];

/**
 * Waits until they are: topics linger for five seconds, half-open connections for the heartbeat, figures for one.
 * @returns what is left, for people; empty when all is well.
 */
export async function leftovers(adminUrl: string, patienceMs: number): Promise<string[]> {
  const deadlineMs = performance.now() + patienceMs;
  for (;;) {
    const scrape = new Scrape(await (await fetch(`${adminUrl}/metrics`)).text());
    const left = idleGauges
      .filter((name) => !scrape.has(name) || scrape.sum(name) !== 0)
      .map((name) => (scrape.has(name) ? `${name} is ${scrape.sum(name)} without a client` : `no ${name}`));
    if (left.length === 0 || performance.now() > deadlineMs) return left;
    await sleep(250);
  }
}
