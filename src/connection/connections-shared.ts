/** What the connections of a worker share. `Connections` is it; a connection needs no more of `Connections` than this. */

import type { Clock } from "../base/clock.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import type { TurnQueue } from "../base/turn-queue.ts";
import type { MessageReaders } from "../codec/message-readers.ts";
import type { ByteTotal } from "./byte-total.ts";
import type { ConnectionCounters } from "./connection-counters.ts";
import type { Connection } from "./connection.ts";
import type { ScratchBuffers } from "./scratch-buffers.ts";

export interface ConnectionsShared {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly counters: ConnectionCounters;
  readonly pending: ByteTotal<Connection>;
  /** Of messages that are not whole. */
  readonly arriving: ByteTotal<Connection>;
  /** For those of whom a message is on its way. */
  readonly readers: MessageReaders;
  /** For what goes out. */
  readonly scratch: ScratchBuffers;
  /** Where work waits that does not fit into a turn. */
  readonly turns: TurnQueue;
  /** The socket of `connection` is gone. */
  forget(connection: Connection): void;
}
