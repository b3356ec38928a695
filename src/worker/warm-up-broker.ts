/** A broker without anything behind it: topics that are open at once, and publications that its owner makes up. */
import { Arrival, type ArrivalReceiver } from "../broker/arrival.ts";
import type { Broker, BrokerListener, BrokerStatus, BrokerTopic } from "../broker/broker.ts";
import { newBrokerCounters } from "../broker/counters.ts";
import { BrokerError } from "../base/errors.ts";

/** For `warmUp`. Live topics only; nothing can be published through it. */
export class WarmUpBroker implements Broker {
  readonly counters = newBrokerCounters();
  readonly #arrival: Arrival;
  readonly #receivers = new Map<string, ArrivalReceiver>();
  #listener: BrokerListener | null = null;

  /** @param data the JSON of every publication. */
  constructor(data: Buffer) {
    this.#arrival = new Arrival(data, 0);
  }

  /** Gives each open topic a publication. */
  publishToAll(nowMs: number): void {
    this.#arrival.receivedMs = nowMs;
    for (const receiver of this.#receivers.values()) receiver.onArrival(this.#arrival);
  }

  start(listener: BrokerListener): Promise<void> {
    this.#listener = listener;
    return Promise.resolve();
  }

  status(): BrokerStatus {
    return { ready: true, reason: null };
  }

  lagMs(): number | null {
    return null;
  }

  open({ name }: BrokerTopic, receiver: ArrivalReceiver): void {
    this.#receivers.set(name, receiver);
    setImmediate(() => {
      if (this.#receivers.has(name)) this.#listener?.onOpened(name, { position: null, entries: [] });
    });
  }

  close(topic: string): void {
    this.#receivers.delete(topic);
  }

  publish(): Promise<never> {
    return refuse();
  }

  history(): Promise<never> {
    return refuse();
  }

  refresh(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }
}

function refuse(): Promise<never> {
  return Promise.reject(new BrokerError("nothing is stored by a broker that has nothing behind it", false));
}
