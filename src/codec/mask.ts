/**
 * Masking and unmasking, RFC 6455 §5.3: "octet i of the transformed data is the XOR of octet i of the original
 * data with octet at index i modulo 4 of the masking key". In place, at any alignment, from any point of the key.
 *
 * Two loops. Node 20.20, x64, 2 shared cores, payload at all 8 alignments, ns a call, best of 8 runs:
 *
 *   payload bytes                          16   32   64  125  256   1024   65536
 *   bytes, four at a time                  22   33   56   99  198    746   47066
 *   BigUint64Array, view at hand           29   30   34   42   62    197   10572
 *   BigUint64Array, view made first        91   92   97  105  127    262    9675
 *   DataView 32 bit, view at hand          17   21   31   51   97    336   20536
 *   DataView 32 bit, view made first      146  149  157  176  228    471   20969
 *   Int32Array, view at hand               27   31   38   54  102    336   20925
 *
 * DataView wins at most 5 ns over the better of the other two and costs the most to make; Int32Array never wins.
 */
import { byteAt } from "./byte-at.ts";

/** Payloads from here on go eight bytes at a time when the view of this chunk exists already (table above). */
const wordBytesMin = 32;
/** … and from here on when the view must be made first. */
const wordBytesMinFresh = 128;

/**
 * The view of the chunk that was masked last. Frames come many to a chunk, a view costs 60 to 80 ns: it is made
 * once per chunk. It pins one chunk (or frame of a client of ours) in the process, not one per connection.
 */
let viewedBytes: Uint8Array = new Uint8Array(8);
let viewedOffset = viewedBytes.byteOffset;
let words = new BigUint64Array(viewedBytes.buffer);

/** Turns the key (network order) into a word of this machine's order. */
const keyBytes = new DataView(new ArrayBuffer(8));
const keyWord = new BigUint64Array(keyBytes.buffer);

/**
 * XORs `bytes[start, end)` with the masking key, in place.
 * @param key the four key bytes read big-endian (the first on the wire is the most significant); signed or not.
 * @param phase how many payload bytes of the frame came before `start`; only its value modulo 4 matters.
 * Cost: no allocation below 128 bytes or with the same `bytes` as the last call; otherwise one view.
 */
export function xorMask(bytes: Uint8Array, start: number, end: number, key: number, phase: number): void {
  const bytesMin = bytes === viewedBytes ? wordBytesMin : wordBytesMinFresh;
  if (end - start >= bytesMin) xorWords(bytes, start, end, key, phase);
  else xorBytes(bytes, start, end, key, phase);
}

function xorBytes(bytes: Uint8Array, start: number, end: number, key: number, phase: number): void {
  const rotated = rotateKey(key, phase);
  const key0 = rotated >>> 24;
  const key1 = (rotated >>> 16) & 0xff;
  const key2 = (rotated >>> 8) & 0xff;
  const key3 = rotated & 0xff;
  const quadsEnd = end - 3;
  let index = start;
  for (; index < quadsEnd; index += 4) {
    bytes[index] = byteAt(bytes, index) ^ key0;
    bytes[index + 1] = byteAt(bytes, index + 1) ^ key1;
    bytes[index + 2] = byteAt(bytes, index + 2) ^ key2;
    bytes[index + 3] = byteAt(bytes, index + 3) ^ key3;
  }
  if (index < end) bytes[index] = byteAt(bytes, index) ^ key0;
  if (index + 1 < end) bytes[index + 1] = byteAt(bytes, index + 1) ^ key1;
  if (index + 2 < end) bytes[index + 2] = byteAt(bytes, index + 2) ^ key2;
}

/** At least 32 bytes: the bytes up to an 8-byte border of the ArrayBuffer, whole words, the bytes left over. */
function xorWords(bytes: Uint8Array, start: number, end: number, key: number, phase: number): void {
  if (bytes !== viewedBytes) {
    viewedBytes = bytes;
    viewedOffset = bytes.byteOffset;
    words = new BigUint64Array(bytes.buffer, 0, bytes.buffer.byteLength >>> 3);
  }
  const wordsStart = start + (-(start + viewedOffset) & 7);
  xorBytes(bytes, start, wordsStart, key, phase);

  const rotated = rotateKey(key, phase + (wordsStart - start));
  keyBytes.setInt32(0, rotated);
  keyBytes.setInt32(4, rotated);
  const word = wordAt(keyWord, 0);
  const lastWord = (end + viewedOffset) >>> 3;
  for (let index = (wordsStart + viewedOffset) >>> 3; index < lastWord; index += 1) {
    words[index] = wordAt(words, index) ^ word;
  }
  // Whole words do not turn the key: the rest begins at the same phase as the first word.
  xorBytes(bytes, (lastWord << 3) - viewedOffset, end, rotated, 0);
}

/** Like byteAt, for a word. */
function wordAt(words: BigUint64Array, index: number): bigint {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the caller keeps the index inside the array
  return words[index] as bigint;
}

/** The key as it applies `phase` bytes into the payload. */
function rotateKey(key: number, phase: number): number {
  const bits = (phase & 3) << 3;
  // A shift by 32 is a shift by 0 in JavaScript, so bits = 0 gives key | key.
  return (key << bits) | (key >>> (32 - bits));
}
