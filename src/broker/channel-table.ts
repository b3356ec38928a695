/**
 * Things by the name of their channel, found by the bytes of a message without making a string of them. All names lie
 * in one block of memory and all links in another, so that a search in thousands of them stays within the processor's
 * caches; that is most of what it costs (docs/adr/0007-from-redis-to-the-hub.md).
 */
import { Buffer } from "node:buffer";

/** Each node's numbers in `#nodes`. */
const nodeHash = 0;
const nodeStart = 1;
const nodeLength = 2;
/** The next node of the same head, or of the free ones. */
const nodeNext = 3;
const nodeNumbers = 4;

const nodesMin = 64;
const none = -1;

export class ChannelTable<Item> {
  /** Of this process alone: nobody can choose topics whose names all fall under one head. */
  readonly #seed = Math.floor(Math.random() * 0x1_0000_0000) | 0;
  /** First node by the lower bits of the hash. Its length is a power of two, and the number of nodes. */
  #heads = new Int32Array(nodesMin).fill(none);
  #nodes = new Int32Array(nodesMin * nodeNumbers);
  /** By node. */
  #items: (Item | null)[] = [];
  #free = none;
  #size = 0;
  #names = new Uint8Array(nodesMin * 32);
  #namesEnd = 0;
  /** Bytes of `#names` before `#namesEnd` that belong to no node. */
  #namesUnused = 0;

  get size(): number {
    return this.#size;
  }

  /** The item of the name that lies in `bytes`, or null. Cost: no allocation. */
  find(bytes: Uint8Array, start: number, end: number): Item | null {
    const at = this.#find(bytes, start, end, this.#hash(bytes, start, end));
    // Items of found nodes are there.
    return at === none ? null : (this.#items[at] as Item);
  }

  get(name: string): Item | null {
    const bytes = Buffer.from(name);
    return this.find(bytes, 0, bytes.length);
  }

  /** @param name not in the table. */
  add(name: string, item: Item): void {
    const bytes = Buffer.from(name);
    if (this.#free === none && this.#items.length === this.#heads.length) this.#grow();
    if (this.#namesEnd + bytes.length > this.#names.length) this.#makeRoom(bytes.length);
    let at = this.#free;
    if (at === none) at = this.#items.length;
    else this.#free = this.#nodes[at * nodeNumbers + nodeNext] as number;
    this.#items[at] = item;
    this.#names.set(bytes, this.#namesEnd);
    const hash = this.#hash(bytes, 0, bytes.length);
    this.#nodes.set([hash, this.#namesEnd, bytes.length, none], at * nodeNumbers);
    this.#namesEnd += bytes.length;
    this.#link(at);
    this.#size += 1;
  }

  delete(name: string): void {
    const bytes = Buffer.from(name);
    const hash = this.#hash(bytes, 0, bytes.length);
    const at = this.#find(bytes, 0, bytes.length, hash);
    if (at === none) return;
    const nodes = this.#nodes;
    const next = nodes[at * nodeNumbers + nodeNext] as number;
    const head = hash & (this.#heads.length - 1);
    if (this.#heads[head] === at) this.#heads[head] = next;
    else {
      let before = this.#heads[head] as number;
      while (nodes[before * nodeNumbers + nodeNext] !== at)
        before = nodes[before * nodeNumbers + nodeNext] as number;
      nodes[before * nodeNumbers + nodeNext] = next;
    }
    nodes[at * nodeNumbers + nodeNext] = this.#free;
    this.#free = at;
    this.#items[at] = null;
    this.#namesUnused += bytes.length;
    this.#size -= 1;
  }

  /** All items, in no order. */
  values(): Item[] {
    return this.#items.filter((item) => item !== null);
  }

  clear(): void {
    this.#heads.fill(none);
    this.#items = [];
    this.#free = none;
    this.#size = 0;
    this.#namesEnd = 0;
    this.#namesUnused = 0;
  }

  /** The node of a name, or `none`. */
  #find(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const nodes = this.#nodes;
    // Within bounds: a head for each value of the masked bits.
    let at = this.#heads[hash & (this.#heads.length - 1)] as number;
    while (at !== none) {
      const node = at * nodeNumbers;
      if (nodes[node + nodeHash] === hash && nodes[node + nodeLength] === end - start) {
        const name = nodes[node + nodeStart] as number;
        if (isSame(this.#names, name, bytes, start, end)) return at;
      }
      at = nodes[node + nodeNext] as number;
    }
    return none;
  }

  /** FNV-1a of 32 bits (http://www.isthe.com/chongo/tech/comp/fnv), its upper bits mixed into the lower ones. */
  #hash(bytes: Uint8Array, start: number, end: number): number {
    let hash = this.#seed;
    for (let at = start; at < end; at += 1) hash = Math.imul(hash ^ (bytes[at] as number), 0x0100_0193);
    return hash ^ (hash >>> 15);
  }

  #link(at: number): void {
    const head = (this.#nodes[at * nodeNumbers + nodeHash] as number) & (this.#heads.length - 1);
    this.#nodes[at * nodeNumbers + nodeNext] = this.#heads[head] as number;
    this.#heads[head] = at;
  }

  /** Twice as many nodes. All are in use. */
  #grow(): void {
    const nodes = new Int32Array(this.#nodes.length * 2);
    nodes.set(this.#nodes);
    this.#nodes = nodes;
    this.#heads = new Int32Array(this.#heads.length * 2).fill(none);
    for (let at = 0; at < this.#items.length; at += 1) this.#link(at);
  }

  /** Moves the names together, into a block that is large enough for as many again. */
  #makeRoom(bytes: number): void {
    const used = this.#namesEnd - this.#namesUnused;
    const names = new Uint8Array(2 * (used + bytes));
    let end = 0;
    for (const [at, item] of this.#items.entries()) {
      if (item === null) continue;
      const node = at * nodeNumbers;
      const start = this.#nodes[node + nodeStart] as number;
      const length = this.#nodes[node + nodeLength] as number;
      names.set(this.#names.subarray(start, start + length), end);
      this.#nodes[node + nodeStart] = end;
      end += length;
    }
    this.#names = names;
    this.#namesEnd = end;
    this.#namesUnused = 0;
  }
}

function isSame(
  names: Uint8Array,
  nameStart: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): boolean {
  let name = nameStart;
  for (let at = start; at < end; at += 1, name += 1) if (names[name] !== bytes[at]) return false;
  return true;
}
