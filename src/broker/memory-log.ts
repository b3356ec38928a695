/**
 * One topic's log in the primary's memory: the twin of a Redis stream under tape-functions.lua. Knows no clock and no
 * connection; time is handed in.
 */
import type { Position } from "./broker.ts";
import type { LogEntry, LogPart, LogRead } from "./log-read.ts";

interface StoredEntry extends LogEntry {
  readonly storedMs: number;
}

/** About what a log and an entry take beside the data itself. */
const logBytes = 512;
const entryBytes = 128;

/** See the file head. */
export class MemoryLog {
  readonly epoch: string;
  #bytes = logBytes;
  #seq = 0;
  /** Oldest first, without holes, from `#firstIndex` on. */
  #entries: StoredEntry[] = [];
  #firstIndex = 0;
  #usedMs: number;
  /** How long the log outlives its last use. */
  #keepMs: number;

  /** @param keepMs how long it lives unused, as long as nothing has been published. */
  constructor(epoch: string, nowMs: number, keepMs: number) {
    this.epoch = epoch;
    this.#usedMs = nowMs;
    this.#keepMs = keepMs;
  }

  /** Memory held, about. */
  get bytes(): number {
    return this.#bytes;
  }

  get position(): Position {
    return { epoch: this.epoch, seq: this.#seq };
  }

  /** @param data kept. */
  append(
    data: Uint8Array,
    origin: string | null,
    history: { readonly size: number; readonly ttlMs: number },
    nowMs: number,
  ): Position {
    this.#seq++;
    this.#bytes += entryBytes + data.length;
    this.#entries.push({ seq: this.#seq, data, origin, storedMs: nowMs });
    while (this.#entries.length - this.#firstIndex > history.size) this.#dropFirst();
    this.#usedMs = nowMs;
    // As for Redis: the log outlives its entries, or an idle topic would change its epoch for nothing.
    this.#keepMs = Math.max(this.#keepMs, 2 * history.ttlMs + 3_600_000);
    return this.position;
  }

  /** A topic that is open or read lives on. */
  touch(nowMs: number): void {
    this.#usedMs = nowMs;
  }

  isExpired(nowMs: number): boolean {
    return nowMs - this.#usedMs > this.#keepMs;
  }

  /** As `tape_read`: see there. Nothing of it is ever lost, so a jump is the newest. */
  read({ mode, since, limit, ttlMs }: LogPart, nowMs: number): LogRead {
    const isSameLife = since !== null && since.epoch === this.epoch && since.seq <= this.#seq;
    let start = this.#firstIndex;
    let end = this.#entries.length;
    if (mode === "repair" || (mode === "since" && isSameLife)) {
      // No holes: the index of an entry follows from its seq.
      if (isSameLife) start = Math.max(start, end - (this.#seq - since.seq));
      end = Math.min(end, start + limit);
    } else {
      start = Math.max(start, end - limit);
    }
    const entries: LogEntry[] = [];
    for (const { seq, data, origin, storedMs } of this.#entries.slice(start, end)) {
      if (ttlMs === 0 || nowMs - storedMs < ttlMs) entries.push({ seq, data, origin });
    }
    return { position: this.position, entries };
  }

  /** Frees entries older than their topic's `ttlMs`: what no read would return. */
  dropOlderThan(oldestMs: number): void {
    for (;;) {
      const first = this.#entries[this.#firstIndex];
      if (first === undefined || first.storedMs >= oldestMs) return;
      this.#dropFirst();
    }
  }

  #dropFirst(): void {
    const first = this.#entries[this.#firstIndex];
    if (first !== undefined) {
      this.#bytes -= entryBytes + (first.data?.length ?? 0);
      // Its place stays for a while, its data must not.
      this.#entries[this.#firstIndex] = { ...first, data: null };
    }
    this.#firstIndex++;
    // `shift` on a long array copies it: the dead front goes when it is the larger half.
    if (this.#firstIndex * 2 < this.#entries.length) return;
    this.#entries = this.#entries.slice(this.#firstIndex);
    this.#firstIndex = 0;
  }
}
