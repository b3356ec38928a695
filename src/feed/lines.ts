/** The lines of a byte sequence, without their ends. */

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/** Calls `take` with each line (LF or CRLF, the last one with or without) and its number from 1. Blank lines count. */
export function forEachLine(bytes: Uint8Array, take: (line: Uint8Array, lineNumber: number) => void): void {
  let start = 0;
  for (let lineNumber = 1; start < bytes.length; lineNumber += 1) {
    const feed = bytes.indexOf(lineFeed, start);
    const end = feed === -1 ? bytes.length : feed;
    const cut = end > start && bytes[end - 1] === carriageReturn ? end - 1 : end;
    take(bytes.subarray(start, cut), lineNumber);
    start = end + 1;
  }
}
