/**
 * What one connection does in turns of the event loop (base/turn-queue.ts): it decodes what was read, does what its
 * session cannot finish at once, and sends large messages on. What does not fit into a turn waits for the next, and
 * while anything waits nothing is read. Made when there is something to do for the peer.
 */
import { WorkShare, type TurnTaker } from "../base/turn-queue.ts";
import type { Connection } from "./connection.ts";
import { pausedByTurn, type Inbound } from "./inbound.ts";
import type { Outbound } from "./outbound.ts";

/** One per connection that ever did anything. */
export class ConnectionTurns extends WorkShare implements TurnTaker {
  readonly #connection: Connection;
  readonly #in: Inbound;
  readonly #out: Outbound;
  /** What the session has begun and not finished; null while there is nothing. */
  #tasks: (() => void)[] | null = null;

  constructor(connection: Connection, inbound: Inbound, outbound: Outbound) {
    super(connection.shared.turns.burstMs, connection.heardMs, connection.addressWork);
    this.#connection = connection;
    this.#in = inbound;
    this.#out = outbound;
  }

  get workShare(): WorkShare {
    return this;
  }

  /** Something can only be done in a turn. */
  get hasWaiting(): boolean {
    return this.#in.hasUndelivered || this.#out.isSending || this.hasTasks;
  }

  get hasTasks(): boolean {
    return this.#connection.isOpen && this.#tasks !== null && this.#tasks.length > 0;
  }

  /** Runs `task` at once, or when it is its turn. */
  run(task: () => void): void {
    const { turns } = this.#connection.shared;
    const { isPending } = this.#out;
    if (this.hasWaiting || isPending || turns.mustWait(this)) {
      (this.#tasks ??= []).push(task);
      if (isPending) this.#in.pause(pausedByTurn);
      else this.wait();
      return;
    }
    const isBegun = turns.begin(this);
    task();
    if (isBegun && turns.end()) this.wait();
  }

  /** Delivers what was read just now, as far as there is time. What is answered to it goes out in one write. */
  read(chunk: Uint8Array): void {
    const { turns } = this.#connection.shared;
    const isBegun = turns.begin(this);
    this.#out.cork();
    this.#in.read(chunk);
    this.#out.release();
    const isSpent = isBegun && turns.end();
    if (isSpent || this.#in.hasUndelivered) this.wait();
  }

  /** Sends what is queued, as far as there is time. */
  send(): void {
    const { turns } = this.#connection.shared;
    const isBegun = turns.begin(this);
    this.#out.sendOn();
    if (isBegun) turns.end();
  }

  /** Stops reading and joins the queue of turns. */
  wait(): void {
    if (this.#connection.isDone) return;
    this.#in.pause(pausedByTurn);
    this.#connection.shared.turns.wait(this);
  }

  /** For the queue: goes on with what waits. */
  takeTurn(): boolean {
    const connection = this.#connection;
    if (connection.isDone) return false;
    const wasSending = this.#out.isSending;
    this.#out.cork();
    this.#out.sendOn();
    if (wasSending && connection.isWritable) connection.onRoom();
    // Something is done in each turn, however late it began.
    if (!wasSending || !connection.isSpent) this.#goOn();
    this.#out.release();
    connection.watchMessage(Math.trunc(connection.shared.clock.nowMs()));
    if (connection.isDone) return false;
    // What waits for the peer, or for the user, needs no turn.
    if (this.#out.isSending || this.hasTasks) return !this.#out.isPending;
    return this.#in.hasUndelivered && !this.#in.isPausedByUser;
  }

  #goOn(): void {
    const hadTasks = this.hasTasks;
    this.#runTasks();
    if (!hadTasks || !this.#connection.isSpent) this.#in.goOn();
  }

  #runTasks(): void {
    while (this.#connection.isWritable) {
      const run = this.#tasks?.shift();
      if (run === undefined) return;
      run();
      if (this.#connection.isSpent) return;
    }
  }

  /** For the queue: there is nothing to go on with. */
  endWait(): void {
    if (this.#connection.isDone || this.hasWaiting) return;
    this.#tasks = null;
    if (this.#in.unpause(pausedByTurn)) this.#connection.readOn();
  }

  /** Lets go of what waits. */
  drop(): void {
    this.#tasks = null;
    this.#connection.shared.turns.leave(this);
  }
}
