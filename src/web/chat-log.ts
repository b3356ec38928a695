/**
 * The messages of a room in their order, each once, however they arrive: live, as the history read on joining, or
 * recovered after a loss. Pure: the page mirrors it.
 */
import { plainText } from "./plain-text.ts";

/** Longest message and name, in code points. */
export const chatTextLengthMax = 500;
export const chatNameLengthMax = 24;

export interface ChatMessage {
  /** Empty when the publisher gave none. */
  readonly name: string;
  readonly text: string;
  /** Milliseconds since 1970 by the sender's clock, or null. */
  readonly at: number | null;
}

export interface ChatEntry {
  readonly epoch: string | null;
  /** null for a publication outside of the history (raw Redis PUBLISH). */
  readonly seq: number | null;
  readonly message: ChatMessage;
}

/** @returns null for what has no text to show. A bare string is a message without a name. */
export function readChatMessage(data: unknown): ChatMessage | null {
  if (typeof data === "string") return readChatMessage({ text: data });
  if (typeof data !== "object" || data === null) return null;
  const { name, text, at }: { name?: unknown; text?: unknown; at?: unknown } = data;
  if (typeof text !== "string") return null;
  const line = plainText(text, chatTextLengthMax);
  if (line === "") return null;
  return {
    name: typeof name === "string" ? plainText(name, chatNameLengthMax) : "",
    text: line,
    // The range of Date, past which formatting throws.
    at: typeof at === "number" && Math.abs(at) <= 8.64e15 ? at : null,
  };
}

export class ChatLog {
  readonly #capacity: number;
  readonly #entries: ChatEntry[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get entries(): readonly ChatEntry[] {
    return this.#entries;
  }

  /**
   * Adds an entry at its place: within an epoch by `seq`, otherwise at the end.
   * @returns its index, or null when it is there already or older than all that a full log holds. One entry at the
   * front is dropped when `dropped` is true, after the insertion.
   */
  add(entry: ChatEntry): { readonly index: number; readonly dropped: boolean } | null {
    const index = this.#place(entry);
    if (index === null || (index === 0 && this.#entries.length >= this.#capacity)) return null;
    this.#entries.splice(index, 0, entry);
    const dropped = this.#entries.length > this.#capacity;
    if (dropped) this.#entries.shift();
    return { index, dropped };
  }

  #place({ epoch, seq }: ChatEntry): number | null {
    let place = this.#entries.length;
    if (seq === null || epoch === null) return place;
    for (let index = this.#entries.length - 1; index >= 0; index -= 1) {
      const other = this.#entries[index];
      if (other === undefined || other.epoch !== epoch || other.seq === null) continue;
      if (other.seq === seq) return null;
      if (other.seq < seq) return place === this.#entries.length ? place : Math.min(place, index + 1);
      place = index;
    }
    return place;
  }
}
