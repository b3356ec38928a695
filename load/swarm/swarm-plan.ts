/** What a swarm is told to do, and what it answers: plain values, they cross process boundaries. */
import type { BooksReport } from "./subscriber-books.ts";

/** What the server promises for a topic (docs/PROTOCOL.md). */
export type Delivery = "latest" | "every" | "sample";

/** A topic of a run. Its place in the plan is its index, which is also the number at the end of its name. */
export interface SwarmTopic {
  readonly name: string;
  readonly delivery: Delivery;
}

export interface SwarmPlan {
  /** `http://host:port`. */
  readonly url: string;
  readonly topics: readonly SwarmTopic[];
  /** By client: the indexes of its topics. */
  readonly topicsOf: readonly (readonly number[])[];
  /** For people: the number of the first client of `topicsOf` in the whole swarm. */
  readonly firstClient: number;
  /** Query of `/ws`, such as `batch=1`; may be empty. */
  readonly query: string;
  /** Connections in the making at the same time, in one process. */
  readonly atOnce: number;
  /** Come back, with `since`, when a connection ends; else an end is a problem. */
  readonly mayReconnect: boolean;
}

/** Which clients something is done to: each `every`th one. */
export interface Share {
  readonly every: number;
}

/** What was accepted of a topic so far. */
export interface AcceptedSummary {
  readonly count: number;
  readonly newest: number;
}

/** The id of the answer that a swarm process gives unasked, once it can be asked. */
export const readyId = 0;

export type SwarmRequest =
  | { readonly kind: "open"; readonly plan: SwarmPlan }
  /** Stops reading from the sockets of the share; their latencies do not count any more. */
  | { readonly kind: "stall"; readonly share: Share }
  | { readonly kind: "resume" }
  /** Cuts the share without a close frame; they come back after up to `spreadMs`. */
  | { readonly kind: "cut"; readonly share: Share; readonly spreadMs: number }
  | { readonly kind: "stats" }
  | { readonly kind: "behind"; readonly accepted: readonly AcceptedSummary[] }
  /** By topic and number: the position that was answered, 0 for a number that was not accepted. */
  | { readonly kind: "books"; readonly seqs: readonly Float64Array[] }
  | { readonly kind: "close" };

/** Since the last time it was asked. */
export interface SwarmStats {
  readonly open: number;
  readonly publications: number;
  readonly frames: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Left out by the server and told. */
  readonly toldLost: number;
  readonly reconnects: number;
  /** Connects that were given up for want of an answer, since the beginning. */
  readonly unansweredSoFar: number;
  /** hdr-histograms, compressed, base64: microseconds from publisher to reader, and from connect to subscribed. */
  readonly latency: string;
  readonly opening: string;
}

/** An answer by kind of request. */
export interface SwarmAnswers {
  readonly open: { readonly opened: number };
  readonly stall: Record<string, never>;
  readonly resume: Record<string, never>;
  readonly cut: { readonly cut: number };
  readonly stats: SwarmStats;
  /** Pairs of client and topic that have not got everything, and clients that are away. */
  readonly behind: { readonly behind: number; readonly problems: readonly string[] };
  readonly books: { readonly report: BooksReport; readonly problems: readonly string[] };
  readonly close: Record<string, never>;
}

/** Shares clients out among processes: consecutive ones, as evenly as can be. */
export function splitClients<Item>(items: readonly Item[], parts: number): (readonly Item[])[] {
  return Array.from({ length: parts }, (_, part) =>
    items.slice(Math.floor((part * items.length) / parts), Math.floor(((part + 1) * items.length) / parts)),
  );
}
