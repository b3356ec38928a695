/** Connections on every worker: which one takes a connection is for the workers to settle among themselves. */
import type { Server } from "./server.ts";
import { until } from "./until.ts";

/**
 * Opens one after the other until each of two workers has at least `perWorker` of them.
 * @param atLeast how many there must be altogether.
 */
export async function onBothWorkers<Opened>(
  server: Server,
  open: () => Promise<Opened>,
  atLeast: number,
  perWorker = 1,
): Promise<Opened[]> {
  const name = "tapecast_connections_opened_total";
  const before = (await server.metrics()).byWorker(name);
  const opened: Opened[] = [];
  await until("both workers to have new connections", async () => {
    do opened.push(await open());
    while (opened.length < atLeast);
    let gained: number[] = [];
    // Their figures come once a second.
    await until("the workers to have told of them", async () => {
      const now = (await server.metrics()).byWorker(name);
      gained = Array.from(now, ([worker, count]) => count - (before.get(worker) ?? 0));
      return gained.reduce((total, count) => total + count, 0) >= opened.length;
    });
    return gained.length === 2 && gained.every((count) => count >= perWorker);
  });
  return opened;
}
