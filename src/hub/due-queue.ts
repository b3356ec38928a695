/** A binary min-heap of things that are due at a time. Cost: O(log n) for each of `push` and `pop`. */
export class DueQueue<Item> {
  readonly #items: { readonly dueMs: number; readonly item: Item }[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** When the first item is due; Infinity when there is none. */
  get nextMs(): number {
    return this.#items[0]?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  push(dueMs: number, item: Item): void {
    const items = this.#items;
    const added = { dueMs, item };
    let at = items.length;
    items.push(added);
    while (at > 0) {
      const parentIndex = (at - 1) >> 1;
      const parent = items[parentIndex];
      if (parent === undefined || parent.dueMs <= dueMs) break;
      items[at] = parent;
      at = parentIndex;
    }
    items[at] = added;
  }

  /** The first item if it is due by `nowMs`, taken out; else null. */
  pop(nowMs: number): Item | null {
    const items = this.#items;
    const first = items[0];
    if (first === undefined || first.dueMs > nowMs) return null;
    const last = items.pop();
    if (last !== undefined && items.length > 0) this.#sink(last);
    return first.item;
  }

  #sink(moved: { readonly dueMs: number; readonly item: Item }): void {
    const items = this.#items;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      let smallest = items[child];
      if (smallest === undefined) break;
      const right = items[child + 1];
      if (right !== undefined && right.dueMs < smallest.dueMs) {
        child += 1;
        smallest = right;
      }
      if (moved.dueMs <= smallest.dueMs) break;
      items[at] = smallest;
      at = child;
    }
    items[at] = moved;
  }
}
