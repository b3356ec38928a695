/** From a read of the log to the page that a caller of `history` gets. */
import type { HistoryPage, Position, Publication } from "./broker.ts";
import type { LogRead } from "./log-read.ts";

/** Leaves out what cannot be had, and says whether the entries begin right after `since` with none missing. */
export function historyPage(read: LogRead, since: Position | null): HistoryPage {
  const entries: Publication[] = [];
  for (const { seq, data, origin } of read.entries) {
    if (data !== null) entries.push({ seq, data, origin });
  }
  return {
    position: read.position,
    entries,
    complete: since === null || isComplete(read, entries, since),
  };
}

function isComplete(
  { position, commonSeq }: LogRead,
  entries: readonly Publication[],
  since: Position,
): boolean {
  const isSameLog = position.epoch === since.epoch || (commonSeq ?? -1) >= since.seq;
  if (!isSameLog || position.seq < since.seq) return false;
  if (entries.length === 0) return position.seq === since.seq;
  return entries.every((entry, index) => entry.seq === since.seq + 1 + index);
}
