/** The end of a run: the last publications arrive, and the books are judged. */
import type { AcceptedBooks } from "../publishing/accepted-books.ts";
import type { BooksReport } from "../swarm/subscriber-books.ts";
import type { Swarm } from "../swarm/swarm.ts";

/**
 * Waits until all have everything. Returns the problems of connections, if ends of them are problems.
 * @param settleSec after the last answer the last publications have this long to arrive, and who is away to come back.
 */
export async function settled(
  swarm: Swarm,
  books: AcceptedBooks,
  { mayReconnect, settleSec }: { readonly mayReconnect: boolean; readonly settleSec: number },
  interrupted: AbortSignal,
): Promise<string[]> {
  const deadlineMs = performance.now() + settleSec * 1000;
  for (;;) {
    const { behind, problems } = await swarm.behind(books.summaries());
    const lost = mayReconnect ? [] : problems.map((problem) => `connection lost: ${problem}`);
    if (behind === 0 || lost.length > 0 || interrupted.aborted || performance.now() > deadlineMs) return lost;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** What breaks the promise of a topic. A run in which nothing was accepted has shown nothing. */
export function deliveryProblems(report: BooksReport, accepted: number): string[] {
  if (accepted === 0) return ["nothing was accepted, so nothing was checked"];
  if (report.expected === 0) return ["nothing was due to any subscriber, so nothing was checked"];
  const { missing, duplicates, reordered, moved } = report;
  return [
    [missing, "accepted messages are missing"],
    [duplicates, "messages came twice"],
    [reordered, "messages came out of order"],
    [moved, "messages came at another position than was answered"],
  ].flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}`]));
}
