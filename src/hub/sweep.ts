/**
 * A flush on its way through the members of an audience. It may stop between two members and go on in a later turn,
 * so that reading, accepting and heartbeats are served while a large audience is being written to. Between its slices
 * members may come and go: a member's cursor says whether the sweep has served it.
 */
import type { Entry } from "./entry.ts";
import type { Membership } from "./reader.ts";

export class Sweep {
  /** What is delivered, ascending by `order`. */
  readonly entries: readonly Entry[];
  /** The same, sealed: one buffer for all members. */
  readonly bytes: Buffer;
  /** Whoever has been given everything up to this `order` has been served. */
  readonly order: number;
  /** Whether the kernel took every write at once. */
  isTakenByAll = true;
  #next: number;
  #visited = 0;
  #servedCount = 0;
  #isDisturbed = false;

  /** @param start index of the member to begin with; the way goes downwards and around. */
  constructor(entries: readonly Entry[], bytes: Buffer, order: number, start: number) {
    this.entries = entries;
    this.bytes = bytes;
    this.order = order;
    this.#next = start;
  }

  /** A member has left the list, and another one took its place: it may have been passed over. */
  disturb(): void {
    this.#isDisturbed = true;
  }

  /** Members that `next` has named. */
  get servedCount(): number {
    return this.#servedCount;
  }

  isOwedTo(membership: Membership): boolean {
    return membership.cursor < this.order;
  }

  /** The next member to serve, or null when all are served. Cost: one comparison for each that needs nothing. */
  next(members: readonly Membership[]): Membership | null {
    for (;;) {
      if (this.#visited >= members.length) {
        if (!this.#isDisturbed) return null;
        this.#isDisturbed = false;
        this.#visited = 0;
      }
      if (this.#next < 0 || this.#next >= members.length) this.#next = members.length - 1;
      const membership = members[this.#next];
      if (membership === undefined) return null;
      this.#next -= 1;
      this.#visited += 1;
      if (!this.isOwedTo(membership)) continue;
      this.#servedCount += 1;
      return membership;
    }
  }
}
