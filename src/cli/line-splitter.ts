/** Cuts a stream of bytes into lines without ever holding more than one line. */

/** One line without its end. */
export interface InputLine {
  /** From 1, blank lines counted. */
  readonly number: number;
  /** null: longer than the limit; its bytes were let go. */
  readonly bytes: Uint8Array | null;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/** See the file head. LF or CRLF; the last line may have no end. */
export async function* splitInput(
  input: AsyncIterable<Uint8Array>,
  lineBytesMax: number,
): AsyncGenerator<InputLine, void, undefined> {
  let parts: Uint8Array[] = [];
  let bytes = 0;
  let number = 1;
  const finish = (): InputLine => {
    const line = bytes > lineBytesMax ? null : withoutReturn(Buffer.concat(parts));
    const finished = { number, bytes: line };
    parts = [];
    bytes = 0;
    number += 1;
    return finished;
  };
  for await (const chunk of input) {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(lineFeed, start);
      const part = chunk.subarray(start, end === -1 ? chunk.length : end);
      bytes += part.length;
      if (bytes <= lineBytesMax) parts.push(part);
      else parts = [];
      if (end === -1) break;
      yield finish();
      start = end + 1;
    }
  }
  if (bytes > 0) yield finish();
}

function withoutReturn(line: Buffer): Uint8Array {
  return line.at(-1) === carriageReturn ? line.subarray(0, -1) : line;
}
