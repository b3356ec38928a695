/** What the scenarios are put together from: the two loads that most of them share, and short ways to write variants and goals. */
import type { FigureName, Load, Variant } from "./measure.ts";
import type { Peer } from "./peer.ts";
import type { Goal } from "./scenario.ts";

/** What most loads have in common: quotes of about 170 bytes, everyone reads. */
export const basis = { fillingBytes: 30, stalled: 0, deflate: false } as const;
/** One message to 1,000 sockets. */
export const oneToAll: Load = { ...basis, connections: 1000, topicCount: 1, topicsPer: 1, ratePerSec: 100 };
/** 1,000 topics, each socket on 20 of them: every message to 20 sockets. */
export const manyTopics: Load = {
  ...basis,
  connections: 1000,
  topicCount: 1000,
  topicsPer: 20,
  ratePerSec: 20_000,
};

interface VariantChanges {
  readonly name?: string;
  readonly title?: string;
  readonly settings?: readonly string[];
  readonly query?: string;
  readonly workers?: number;
  /** By default when there are several workers. */
  readonly hasAllCores?: boolean;
}

/** A server under a load. */
export function variant(peer: Peer, load: Load, changes: VariantChanges = {}): Variant {
  const { name = peer.name, title = peer.title, settings = [], query = "", workers = 1 } = changes;
  const { hasAllCores = workers > 1 } = changes;
  return { name, title, peer, settings, query, workers, hasAllCores, load };
}

type GoalChanges = Partial<Pick<Goal, "of" | "against" | "bound" | "isStretch">>;

/** By default of `tapecast`, at most `limit`, the figure itself. */
export function goal(
  id: string,
  text: string,
  figure: FigureName,
  limit: number,
  changes: GoalChanges = {},
): Goal {
  return {
    id,
    text,
    figure,
    limit,
    of: "tapecast",
    against: [],
    bound: "atMost",
    isStretch: false,
    ...changes,
  };
}
