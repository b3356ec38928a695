/** The part of a document between two markers, which a program writes. */

const begin = "<!-- begin: npm run conformance -- --write -->";
const end = "<!-- end -->";

/** @throws Error when the document has not both markers, in this order. */
export function replacePart(document: string, part: string): string {
  const [start, stop] = borders(document);
  return `${document.slice(0, start)}\n\n${part}\n\n${document.slice(stop)}`;
}

/** What stands between the markers, without the space around it. */
export function partOf(document: string): string {
  const [start, stop] = borders(document);
  return document.slice(start, stop).trim();
}

function borders(document: string): [start: number, stop: number] {
  const start = document.indexOf(begin) + begin.length;
  const stop = document.indexOf(end, start);
  if (!document.includes(begin) || stop === -1) throw new Error(`the document has no ${begin} … ${end}`);
  return [start, stop];
}
