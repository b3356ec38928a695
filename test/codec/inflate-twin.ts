/**
 * The slow twin of src/codec/inflate.ts: RFC 1951 bit by bit, written from the RFC, without zlib. Reads a message of
 * RFC 7692 §7.2.2 as ours does: behind each final block the next stream begins at the next whole byte.
 */

/** What may come of a message. Both `tooBig` and `isCorrupt`: it is corrupt somewhere behind the limit. */
export interface TwinInflated {
  readonly output: Buffer;
  readonly isTooBig: boolean;
  readonly isCorrupt: boolean;
  readonly hasTooManyFinalBlocks: boolean;
  /** How far back the message reaches: a smaller window could not inflate it. */
  readonly longestDistance: number;
}

const lengthBases = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
]; // prettier-ignore
const lengthBits = [
  0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
]; // prettier-ignore
const distanceBases = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
  8193, 12289, 16385, 24577,
]; // prettier-ignore
const codeLengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** Enough to tell that something is behind a limit, without following a bomb to its end. */
const outputCap = 200_000;

class Corrupt extends Error {}

/** A canonical code: for each length how many symbols have it, and the symbols in order. */
interface Code {
  readonly counts: number[];
  readonly symbols: number[];
}

class Inflater {
  readonly #input: Uint8Array;
  #bit = 0;
  readonly output: number[] = [];
  longestDistance = 0;
  /** Where the present stream's output begins: nothing before it can be referred to. */
  #streamStart = 0;

  constructor(input: Uint8Array) {
    this.#input = input;
  }

  /** Reads one stream. @returns false when the cap was reached. */
  readStream(): boolean {
    this.#streamStart = this.output.length;
    for (;;) {
      const isFinal = this.#bits(1) === 1;
      const kind = this.#bits(2);
      if (kind === 0) this.#readStored();
      else if (kind === 1) this.#readCoded(fixedLiterals, fixedDistances);
      else if (kind === 2) this.#readDynamic();
      else throw new Corrupt();
      if (this.output.length > outputCap) return false;
      if (isFinal) break;
    }
    this.#bit = Math.ceil(this.#bit / 8) * 8;
    return true;
  }

  get isAtEnd(): boolean {
    return this.#bit === this.#input.length * 8;
  }

  #bits(count: number): number {
    let value = 0;
    for (let index = 0; index < count; index += 1) {
      const byte = this.#input[this.#bit >> 3];
      if (byte === undefined) throw new Corrupt();
      value |= ((byte >> (this.#bit & 7)) & 1) << index;
      this.#bit += 1;
    }
    return value;
  }

  #readStored(): void {
    this.#bit = Math.ceil(this.#bit / 8) * 8;
    const length = this.#bits(16);
    if (this.#bits(16) !== (length ^ 0xffff)) throw new Corrupt();
    for (let index = 0; index < length; index += 1) this.output.push(this.#bits(8));
  }

  #readDynamic(): void {
    const literalCount = this.#bits(5) + 257;
    const distanceCount = this.#bits(5) + 1;
    const codeCount = this.#bits(4) + 4;
    if (literalCount > 286 || distanceCount > 30) throw new Corrupt();
    const lengths: number[] = Array.from({ length: 19 }, () => 0);
    for (let index = 0; index < codeCount; index += 1) lengths[codeLengthOrder[index]!] = this.#bits(3);
    const lengthCode = codeOf(lengths, false);
    const all: number[] = [];
    while (all.length < literalCount + distanceCount) {
      const symbol = this.#symbol(lengthCode);
      if (symbol < 16) {
        all.push(symbol);
        continue;
      }
      if (symbol === 16 && all.length === 0) throw new Corrupt();
      const repeated = symbol === 16 ? all.at(-1)! : 0;
      const times =
        symbol === 16 ? 3 + this.#bits(2) : symbol === 17 ? 3 + this.#bits(3) : 11 + this.#bits(7);
      for (let index = 0; index < times; index += 1) all.push(repeated);
    }
    if (all.length !== literalCount + distanceCount || all[256] === 0) throw new Corrupt();
    this.#readCoded(codeOf(all.slice(0, literalCount), true), codeOf(all.slice(literalCount), true));
  }

  #readCoded(literals: Code, distances: Code): void {
    while (this.output.length <= outputCap) {
      const symbol = this.#symbol(literals);
      if (symbol === 256) return;
      if (symbol < 256) {
        this.output.push(symbol);
        continue;
      }
      const base = lengthBases[symbol - 257];
      if (base === undefined) throw new Corrupt();
      const length = base + this.#bits(lengthBits[symbol - 257]!);
      const distanceSymbol = this.#symbol(distances);
      const distanceBase = distanceBases[distanceSymbol];
      if (distanceBase === undefined) throw new Corrupt();
      const distance = distanceBase + this.#bits(Math.max(0, (distanceSymbol >> 1) - 1));
      if (distance > this.output.length - this.#streamStart) throw new Corrupt();
      this.longestDistance = Math.max(this.longestDistance, distance);
      for (let index = 0; index < length; index += 1)
        this.output.push(this.output[this.output.length - distance]!);
    }
  }

  #symbol({ counts, symbols }: Code): number {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length <= 15; length += 1) {
      code |= this.#bits(1);
      const count = counts[length]!;
      if (code - count < first) return symbols[index + (code - first)]!;
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw new Corrupt();
  }
}

/** @param mayBeIncomplete RFC 1951 §3.2.7: "If only one distance code is used, it is encoded using one bit". */
function codeOf(lengths: readonly number[], mayBeIncomplete: boolean): Code {
  const counts = Array.from({ length: 16 }, (_, length) => lengths.filter((each) => each === length).length);
  let left = 1;
  for (let length = 1; length <= 15; length += 1) {
    left = left * 2 - counts[length]!;
    if (left < 0) throw new Corrupt();
  }
  const isSingle = lengths.length === counts[0]! + counts[1]!;
  if (left > 0 && counts[0] !== lengths.length && !(mayBeIncomplete && isSingle)) throw new Corrupt();
  const symbols: number[] = [];
  for (let length = 1; length <= 15; length += 1) {
    for (const [symbol, each] of lengths.entries()) if (each === length) symbols.push(symbol);
  }
  return { counts, symbols };
}

const fixedLiterals = codeOf(
  Array.from({ length: 288 }, (_, symbol) => (symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8)),
  false,
);
/** RFC 1951 §3.2.6: "distance codes 30-31 will never actually occur": they have codes, and no base. */
const fixedDistances = codeOf(
  Array.from({ length: 32 }, () => 5),
  false,
);

/** @param finalBlocksMax final blocks that the message itself may contain. */
export function inflateTwin(
  payload: Uint8Array,
  outputBytesMax: number,
  finalBlocksMax: number,
): TwinInflated {
  const inflater = new Inflater(Buffer.concat([payload, Buffer.from("0000ffff010000ffff", "hex")]));
  let isCorrupt = false;
  let hasTooManyFinalBlocks = false;
  let isCapped = payload.length === 0;
  try {
    for (let streams = 1; !isCapped; streams += 1) {
      isCapped = !inflater.readStream();
      if (isCapped || inflater.isAtEnd) break;
      if (streams > finalBlocksMax) {
        hasTooManyFinalBlocks = true;
        break;
      }
    }
  } catch (error) {
    if (!(error instanceof Corrupt)) throw error;
    isCorrupt = true;
  }
  const isTooBig = inflater.output.length > outputBytesMax;
  const { longestDistance } = inflater;
  const output = Buffer.from(inflater.output);
  return { output, isTooBig, isCorrupt, hasTooManyFinalBlocks, longestDistance };
}
