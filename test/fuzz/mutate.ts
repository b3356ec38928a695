/** Changes to valid inputs, and the ways to cut them. */
import type { Random } from "./random.ts";

/** Bytes that mean something somewhere: limits of lengths, flags, UTF-8 lead bytes, CR, LF, JSON's own. */
const telling = [
  0x00, 0x01, 0x7d, 0x7e, 0x7f, 0x80, 0x81, 0x88, 0x89, 0xbf, 0xc0, 0xc1, 0xc2, 0xe0, 0xed, 0xf0, 0xf4, 0xf5, 0xff,
  0x0a, 0x0d, 0x20, 0x22, 0x2c, 0x3a, 0x3b, 0x3d, 0x40, 0x5b, 0x5c, 0x5d, 0x7b, 0x2d,
]; // prettier-ignore

/** One to four changes: a byte, a bit, a range taken out, doubled or moved, the end cut off. `bytes` is not changed. */
export function mutate(random: Random, bytes: Buffer): Buffer {
  let result: Buffer = Buffer.from(bytes);
  for (let count = 1 + random.int(4); count > 0; count -= 1) result = change(random, result);
  return result;
}

function change(random: Random, bytes: Buffer): Buffer {
  const at = random.int(bytes.length + 1);
  const end = Math.min(bytes.length, at + 1 + random.int(8));
  switch (random.int(8)) {
    case 0:
      if (at < bytes.length) bytes[at] = random.pick(telling);
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = random.int(256);
      return bytes;
    case 2:
      if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.int(8));
      return bytes;
    case 3:
      return Buffer.concat([bytes.subarray(0, at), Buffer.of(random.pick(telling)), bytes.subarray(at)]);
    case 4:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
    case 5:
      return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
    case 6:
      return Buffer.concat([bytes.subarray(at), bytes.subarray(0, at)]);
    default:
      return bytes.subarray(0, at);
  }
}

/** Where to cut `length` bytes: nowhere, everywhere, or at a few places. Ascending. */
export function randomCuts(random: Random, length: number): number[] {
  const mode = random.int(4);
  if (mode === 0) return [];
  if (mode === 1 && length <= 200)
    return Array.from({ length: Math.max(0, length - 1) }, (_, index) => index + 1);
  const cuts = Array.from({ length: 1 + random.int(6) }, () => random.int(length + 1));
  return cuts.sort((a, b) => a - b);
}

/** The pieces of `bytes` between ascending `cuts`; each is a copy, as each read of a socket is. */
export function piecesOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const borders = [...cuts.filter((cut) => cut <= bytes.length), bytes.length];
  return borders.map((border, index) => Buffer.from(bytes.subarray(borders[index - 1] ?? 0, border)));
}
