/**
 * A publication on its way from a broker to the hub, where it lies in what was read. One object for all that come by one
 * connection, filled in anew for each: 50,000 a second need no object, no view and no clock of their own.
 */

/** Borrowed until return, its bytes too. */
export class Arrival {
  bytes: Buffer;
  /** The JSON begins here. */
  start: number;
  /** Exclusive. */
  end: number;
  /** Position within the topic's epoch; 0 when it has none. */
  seq = 0;
  origin: string | null = null;
  /** When it was read, in the time of performance.now: one clock read for all of one read. */
  receivedMs: number;

  constructor(bytes: Buffer, receivedMs: number) {
    this.bytes = bytes;
    this.start = 0;
    this.end = bytes.length;
    this.receivedMs = receivedMs;
  }

  /** The JSON. Cost: a view. */
  get data(): Buffer {
    return this.bytes.subarray(this.start, this.end);
  }
}

/** Where the publications of one topic go. */
export interface ArrivalReceiver {
  onArrival(arrival: Arrival): void;
}
