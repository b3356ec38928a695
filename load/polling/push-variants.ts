/** Push by Tapecast, measured: every change at once, and at most once a second like the pollers. */
import { OwnServer } from "../own-server.ts";
import { AcceptedBooks } from "../publishing/accepted-books.ts";
import { SteadyPublisher } from "../publishing/steady-publisher.ts";
import { ProcessSampler } from "../run/process-sampler.ts";
import { settled, deliveryProblems } from "../run/settling.ts";
import { Timeline } from "../run/timeline.ts";
import { Swarm } from "../swarm/swarm.ts";
import type { VariantWishes } from "./polling-variants.ts";
import { segmentsSent, type Variant } from "./variant.ts";

export interface PushWishes extends VariantWishes {
  /** `--set` of a server of its own, or one that runs. */
  readonly server:
    | { readonly settings: readonly string[]; readonly redis: string | null }
    | { readonly url: string; readonly pid: number };
  readonly processes: number;
  readonly settleSec: number;
}

/** @param query of `/ws`. */
export async function pushVariant(
  name: string,
  label: string,
  query: string,
  wishes: PushWishes,
): Promise<Variant> {
  const {
    users,
    topics,
    ratePerSec,
    fillBytes,
    seconds,
    interrupted,
    processes,
    settleSec,
    server: given,
  } = wishes;
  const own = "settings" in given ? await OwnServer.start(given.settings) : null;
  const { url, pid } = "settings" in given ? { url: own?.url ?? "", pid: own?.pid ?? 0 } : given;
  const swarm = await Swarm.start(processes);
  let timeline: Timeline | null = null;
  try {
    if ("settings" in given && given.redis !== null) await own?.ready(given.redis);
    const all = topics.map((_, index) => index);
    const topicsOf = Array.from({ length: users }, () => all);
    await swarm.open({ url, topics, topicsOf, query, atOnce: 50, mayReconnect: false });
    await swarm.stats();
    const books = new AcceptedBooks(topics.length);
    const publisher = new SteadyPublisher(
      { url, key: null, topics, seconds, ratePerSec: () => ratePerSec, fillBytes },
      books,
    );
    interrupted.addEventListener("abort", () => publisher.stop());
    const segments = segmentsSent();
    timeline = new Timeline(swarm, new ProcessSampler(pid), (second) => wishes.onSecond(second));
    await publisher.run();
    await timeline.stop();
    const { elapsedSec } = timeline;
    const segmentCount = segmentsSent() - segments;
    const problems = await settled(swarm, books, { mayReconnect: false, settleSec }, interrupted);
    const { report } = await swarm.books(books.seqs());
    return {
      name,
      label,
      elapsedSec,
      requests: users,
      connections: users,
      payloadBytes: timeline.sum(({ bytesRead, bytesWritten }) => bytesRead + bytesWritten),
      segments: segmentCount,
      cpuSec: timeline.cpuSec ?? 0,
      residentMib: Math.max(...timeline.residentMibs),
      changesSeen: timeline.sum(({ publications }) => publications),
      age: timeline.latency.summary(),
      everySecond: timeline.everySecond(),
      problems: [...problems, ...deliveryProblems(report, books.accepted)],
    };
  } finally {
    timeline?.abandon();
    await swarm.stop();
    await own?.stop();
  }
}
