/**
 * The slow twin of utf8-validator.ts: asks of the whole text so far whether any ending could make it valid.
 * At most three continuation bytes can be due, and of those only the first has narrower bounds than 80–BF.
 */
import { isUtf8 } from "node:buffer";

const endings: Uint8Array[] = [new Uint8Array(0)];
for (const first of [0x80, 0x90, 0xa0]) {
  for (const rest of [[], [0x80], [0x80, 0x80]]) endings.push(Uint8Array.from([first, ...rest]));
}

/** True when `bytes` is the beginning of some valid UTF-8 text. */
export function couldBecomeUtf8(bytes: Uint8Array): boolean {
  return endings.some((ending) => isUtf8(Buffer.concat([bytes, ending])));
}
