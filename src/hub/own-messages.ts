/**
 * On a `sample` topic a sender always gets its own message: also one that was left out for the others, and while it lags
 * also one that the log has forgotten by then.
 */
import type { Audience } from "./audience.ts";
import type { Delivery } from "./delivery.ts";
import type { Entry } from "./entry.ts";
import type { Membership, Reader } from "./reader.ts";

export class OwnMessages {
  readonly #readers: ReadonlyMap<string, Reader>;
  readonly #delivery: Delivery;
  readonly #messagesMax: number;
  readonly #schedule: (audience: Audience) => void;

  /** @param messagesMax of its own that are kept for one that lags. @param schedule a flush, after which it has them. */
  constructor(
    readers: ReadonlyMap<string, Reader>,
    delivery: Delivery,
    messagesMax: number,
    schedule: (audience: Audience) => void,
  ) {
    this.#readers = readers;
    this.#delivery = delivery;
    this.#messagesMax = messagesMax;
    this.#schedule = schedule;
  }

  /** Of an entry that is left out: to its sender it is not lost. */
  give(entry: Entry): void {
    const membership = this.#senderOf(entry);
    if (membership === null) return;
    const isLagging = membership.state === "lagging";
    if (!this.#delivery.giveExtra(membership, entry, this.#messagesMax) || isLagging) return;
    const { reader, audience } = membership;
    const { leftOutCorrections } = entry.log;
    leftOutCorrections.set(reader, (leftOutCorrections.get(reader) ?? 0) + 1);
    this.#schedule(audience);
  }

  /** Of an entry that all get: the ring may move past a sender that lags. */
  saveForLagging(entry: Entry): void {
    const membership = this.#senderOf(entry);
    if (membership?.state === "lagging") this.#delivery.giveExtra(membership, entry, this.#messagesMax);
  }

  #senderOf(entry: Entry): Membership | null {
    if (entry.origin === null) return null;
    return this.#readers.get(entry.origin)?.membershipFor(entry.log) ?? null;
  }
}
