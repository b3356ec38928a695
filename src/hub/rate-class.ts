/**
 * Rate classes: the intervals at which readers may take `latest` topics (docs/PROTOCOL.md, "intervalMs"). A closed
 * list, so that the cost of a topic grows with the classes in use and not with its readers.
 */

/** Milliseconds between two deliveries of one topic; 0 is at once. Ascending. */
export const rateClassesMs = [0, 50, 100, 250, 500, 1000, 2000, 5000] as const;

/** The class of a wished interval: rounded up to the next class, at most the slowest. */
export function rateClassOf(intervalMs: number): number {
  for (const classMs of rateClassesMs) if (intervalMs <= classMs) return classMs;
  return rateClassesMs[rateClassesMs.length - 1] ?? 0;
}
