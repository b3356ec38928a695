/** Finds what somebody who mistyped a key meant. */

/** The name nearest to `name` by edit distance, or null when none is near. Cost: names × length²; for messages only. */
export function nearest(name: string, names: readonly string[]): string | null {
  if (name.length > 100) return null;
  let best: string | null = null;
  // Half of a short name is another name: `foo` is not meant to be `log`.
  let bestDistance = Math.min(Math.floor(name.length / 2), Math.max(2, Math.floor(name.length / 5))) + 1;
  for (const each of names) {
    const distance = editDistance(name.toLowerCase(), each.toLowerCase());
    if (distance >= bestDistance) continue;
    best = each;
    bestDistance = distance;
  }
  return best;
}

/** Levenshtein's distance, row by row. */
function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const replaced = (previous[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[to.length] ?? 0;
}
