/**
 * All connections of a worker and what they share: the wheel of their deadlines, the tick that turns it, the counters.
 */

import { systemClock, type Clock } from "../base/clock.ts";
import { limitCounters } from "../base/limit-counters.ts";
import { TimerWheel } from "../base/timer-wheel.ts";
import { TurnQueue } from "../base/turn-queue.ts";
import { MessageReaders } from "../codec/message-readers.ts";
import { ConnectionCounters } from "./connection-counters.ts";
import { ConnectionIds } from "./connection-ids.ts";
import type { ConnectionOptions } from "./connection-options.ts";
import { ByteTotal } from "./byte-total.ts";
import { Connection } from "./connection.ts";
import type { ConnectionsShared } from "./connections-shared.ts";
import { ScratchBuffers } from "./scratch-buffers.ts";
import type { Transport } from "./transport.ts";

/**
 * Deadlines of one turn of the event loop: a thousand frozen readers that are ended at once, or ten thousand pings, take
 * a tenth of a second of work together, and the others are served in between.
 */
const wheelBudgetMs = 1;

/** One per worker. Nothing has a deadline before `start`. */
export class Connections implements ConnectionsShared {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly counters = new ConnectionCounters();
  readonly pending: ByteTotal<Connection>;
  readonly arriving: ByteTotal<Connection>;
  readonly readers = new MessageReaders();
  readonly scratch = new ScratchBuffers();
  readonly turns: TurnQueue;
  readonly #ids = new ConnectionIds();
  readonly #all = new Set<Connection>();
  readonly #turnWheel: () => void;
  #interval: NodeJS.Timeout | null = null;
  #onEmpty: (() => void)[] = [];

  /**
   * @param pendingBytesTotalMax what all connections together may have pending.
   * @param arrivingBytesTotalMax what all together may hold of what came and is not delivered.
   * @param workMsPerSecMax how much of the worker's time each may take while others are active.
   */
  constructor(
    clock: Clock = systemClock,
    pendingBytesTotalMax = Number.POSITIVE_INFINITY,
    arrivingBytesTotalMax = Number.POSITIVE_INFINITY,
    workMsPerSecMax: number | null = null,
  ) {
    this.clock = clock;
    this.pending = new ByteTotal({
      bytesMax: pendingBytesTotalMax,
      limit: "pendingBytesTotalMax",
      bytesOf: (connection) => connection.pendingBytes,
      end: (connection) => connection.shed(),
      counters: this.counters,
    });
    this.arriving = new ByteTotal({
      bytesMax: arrivingBytesTotalMax,
      limit: "arrivingBytesTotalMax",
      bytesOf: (connection) => connection.arrivingBytes,
      end: (connection) => connection.refuseMessage(),
    });
    this.turns = new TurnQueue(clock, workMsPerSecMax);
    this.turns.onShareSpent = (isOfAddress) =>
      limitCounters.hit(isOfAddress ? "workMsPerAddressPerSecMax" : "workMsPerSecMax");
    this.wheel = new TimerWheel(clock);
    this.#turnWheel = () => {
      if (this.wheel.advance(this.clock.nowMs(), wheelBudgetMs)) setImmediate(this.#turnWheel);
    };
  }

  /** Every connection whose socket is not closed yet. Do not keep it: it is the live set. */
  get all(): ReadonlySet<Connection> {
    return this.#all;
  }

  /** Begins to watch deadlines. The timer does not keep the process alive. */
  start(): void {
    // By way of setImmediate, so that what lies unread in the sockets is read first: when the loop stood still, it is
    // not the peers that were silent.
    this.#interval ??= setInterval(() => setImmediate(this.#turnWheel), this.wheel.tickMs).unref();
  }

  /** Stops watching, and ends every socket that is left. */
  stop(): void {
    if (this.#interval !== null) clearInterval(this.#interval);
    this.#interval = null;
    this.terminateAll();
  }

  /**
   * Takes an upgraded socket.
   * @param transport in no one else's hands.
   * @param options kept; one object for all connections of an endpoint.
   * @param greeting the 101; written at `start`, with whatever was written until then.
   */
  adopt(transport: Transport, options: ConnectionOptions, greeting: Uint8Array): Connection {
    const connection = new Connection(this.#ids.next(), transport, options, this);
    if (greeting.length > 0) connection.write(greeting);
    this.#all.add(connection);
    this.counters.opened += 1;
    this.counters.open += 1;
    if (options.allowCompressed === true) this.counters.deflateAgreed += 1;
    return connection;
  }

  /** Ends every socket without a word. */
  terminateAll(): void {
    for (const connection of this.#all) connection.terminate();
  }

  /** Resolves when no socket is left. */
  async empty(): Promise<void> {
    if (this.#all.size > 0) await new Promise<void>((resolve) => this.#onEmpty.push(resolve));
  }

  /** For the connection. */
  forget(connection: Connection): void {
    if (this.#all.delete(connection)) this.counters.open -= 1;
    if (this.#all.size === 0) for (const resolve of this.#onEmpty.splice(0)) resolve();
  }
}
