/**
 * When which fault happened, and what clients noticed of it: the longest silence, the time until the last of them got
 * something again, and how late messages came meanwhile to those who kept their connection.
 */
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";

/** Shorter silences say nothing: messages come at a rate. */
const silenceMsMin = 300;

/** One fault, once. */
export interface Occurrence {
  readonly fault: string;
  readonly startMs: number;
  /** When what was hurt was whole again; null: not yet. */
  endMs: number | null;
  /** From its end until the last client got something again. */
  backMs: number;
  clientsBack: number;
  longestGapMs: number;
}

/** Of all occurrences of one fault. */
export interface FaultFigures {
  readonly fault: string;
  readonly times: number;
  /** From its beginning until what it hurt was whole again: median and largest. */
  readonly lastedMsMedian: number;
  readonly lastedMsMax: number;
  /** Milliseconds from the fault's end until every client got something again: median and largest. */
  readonly backMsMedian: number;
  readonly backMsMax: number;
  /** Occurrences after which a client got nothing before the next fault or the end. */
  readonly unfinished: number;
  readonly longestGapMs: number;
  /** Latency to clients that kept their connection, from the fault's start to the next one's. */
  readonly latencyP50Ms: number;
  readonly latencyP99Ms: number;
  readonly latencyMaxMs: number;
}

/** What the timeline keeps of a client. */
export class ClientClock {
  lastArrivalMs = 0;
  /** Occurrences up to this index are over for this client. */
  seen = -1;
  /** When its present connection was made. */
  connectedMs = 0;
}

/** See the file head. */
export class Timeline {
  readonly latencyUs: RecordableHistogram = createHistogram();
  longestGapMs = 0;
  readonly #occurrences: Occurrence[] = [];
  readonly #byFault = new Map<string, RecordableHistogram>();
  #current: RecordableHistogram | null = null;
  readonly #clientCount: number;

  constructor(clientCount: number) {
    this.#clientCount = clientCount;
  }

  begin(fault: string, nowMs: number): Occurrence {
    const occurrence: Occurrence = {
      fault,
      startMs: nowMs,
      endMs: null,
      backMs: 0,
      clientsBack: 0,
      longestGapMs: 0,
    };
    this.#occurrences.push(occurrence);
    this.#current = this.#byFault.get(fault) ?? createHistogram();
    this.#byFault.set(fault, this.#current);
    return occurrence;
  }

  /** Every client got something since it ended. */
  isBack(occurrence: Occurrence): boolean {
    return occurrence.clientsBack >= this.#clientCount;
  }

  /** A publication came live. Cost: a few comparisons and a histogram's bucket. */
  arrived(client: ClientClock, nowMs: number, sentMs: number): void {
    const latencyUs = Math.max(1, Math.round((nowMs - sentMs) * 1000));
    this.latencyUs.record(latencyUs);
    const newest = this.#occurrences.at(-1);
    if (newest !== undefined && client.connectedMs < newest.startMs) this.#current?.record(latencyUs);
    this.recovered(client, nowMs);
  }

  /** What was missed came, which ends a silence as well. */
  recovered(client: ClientClock, nowMs: number): void {
    const gapMs = nowMs - client.lastArrivalMs;
    if (client.lastArrivalMs > 0 && gapMs > silenceMsMin) this.#silence(client.lastArrivalMs, gapMs);
    client.lastArrivalMs = nowMs;
    while (client.seen < this.#occurrences.length - 1) {
      const next = this.#occurrences[client.seen + 1];
      if (next === undefined || next.endMs === null || nowMs < next.endMs) return;
      client.seen++;
      next.clientsBack++;
      next.backMs = Math.max(next.backMs, nowMs - next.endMs);
    }
  }

  figures(): FaultFigures[] {
    return Array.from(this.#byFault, ([fault, latencyUs]) => {
      const all = this.#occurrences.filter((each) => each.fault === fault);
      const back = all
        .filter((each) => this.isBack(each))
        .map(({ backMs }) => backMs)
        .toSorted((a, b) => a - b);
      const lasted = all.map(({ startMs, endMs }) => (endMs ?? startMs) - startMs).toSorted((a, b) => a - b);
      return {
        fault,
        times: all.length,
        lastedMsMedian: Math.round(lasted[Math.floor(lasted.length / 2)] ?? 0),
        lastedMsMax: Math.round(lasted.at(-1) ?? 0),
        backMsMedian: Math.round(back[Math.floor(back.length / 2)] ?? 0),
        backMsMax: Math.round(back.at(-1) ?? 0),
        unfinished: all.length - back.length,
        longestGapMs: Math.round(Math.max(0, ...all.map(({ longestGapMs }) => longestGapMs))),
        latencyP50Ms: inMs(latencyUs.percentile(50)),
        latencyP99Ms: inMs(latencyUs.percentile(99)),
        latencyMaxMs: inMs(latencyUs.max),
      };
    });
  }

  /** A silence belongs to the first fault that began within it, or else to the one before. */
  #silence(fromMs: number, gapMs: number): void {
    this.longestGapMs = Math.max(this.longestGapMs, gapMs);
    let found = this.#occurrences.at(-1);
    for (let index = this.#occurrences.length - 2; index >= 0; index--) {
      const each = this.#occurrences[index];
      if (found === undefined || found.startMs <= fromMs || each === undefined) break;
      if (each.startMs <= fromMs) break;
      found = each;
    }
    if (found !== undefined) found.longestGapMs = Math.max(found.longestGapMs, gapMs);
  }
}

export function inMs(us: number): number {
  return Math.round(us / 100) / 10;
}
