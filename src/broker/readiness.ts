/** Whether a broker can take and give publications, and since when its listener knows. */
import { invariant } from "../base/errors.ts";
import type { BrokerListener, BrokerStatus } from "./broker.ts";

/** One for each broker. */
export class Readiness {
  #status: BrokerStatus = { ready: false, reason: "not started" };
  #listener: BrokerListener | null = null;
  #isStopped = false;

  get status(): BrokerStatus {
    return this.#status;
  }

  /** After `stop`: nothing is told any more. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** @param listener told of every change from now on. */
  start(listener: BrokerListener): void {
    invariant(this.#listener === null, "a broker is started once");
    this.#listener = listener;
  }

  /** @param reason why it is not ready; null: it is. */
  set(reason: string | null): void {
    if (this.#isStopped || this.#listener === null) return;
    const status = { ready: reason === null, reason };
    if (status.ready === this.#status.ready && status.reason === this.#status.reason) return;
    this.#status = status;
    this.#listener.onStatus(status);
  }

  stop(): void {
    this.#isStopped = true;
    this.#status = { ready: false, reason: "stopped" };
  }
}
