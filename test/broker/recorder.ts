/** A listener that writes down what it is told, and lets a test wait for it. */
import type { ArrivalReceiver } from "../../src/broker/arrival.ts";
import type {
  Broker,
  BrokerListener,
  BrokerStatus,
  BrokerTopic,
  Position,
  Publication,
  Snapshot,
} from "../../src/broker/broker.ts";

/** One call of the listener, in the order of calls. */
export type RecordedEvent =
  | { readonly kind: "opened"; readonly topic: string; readonly snapshot: Snapshot }
  | { readonly kind: "publication"; readonly topic: string; readonly publication: Publication }
  | {
      readonly kind: "gap";
      readonly topic: string;
      readonly position: Position;
      readonly lostCount: number | null;
    }
  | { readonly kind: "epoch"; readonly topic: string; readonly epoch: string }
  | { readonly kind: "status"; readonly status: BrokerStatus };

export class Recorder implements BrokerListener {
  readonly events: RecordedEvent[] = [];
  #waiting: (() => void)[] = [];

  onOpened(topic: string, snapshot: Snapshot): void {
    this.#record({ kind: "opened", topic, snapshot });
  }
  /** Where the publications of a topic go when it is opened; all that is borrowed is copied. */
  receiver(topic: string): ArrivalReceiver {
    return {
      onArrival: ({ seq, data, origin }) =>
        this.onPublication(topic, { seq, data: Buffer.from(data), origin }),
    };
  }
  onPublication(topic: string, publication: Publication): void {
    this.#record({ kind: "publication", topic, publication });
  }
  onGap(topic: string, position: Position, lostCount: number | null): void {
    this.#record({ kind: "gap", topic, position, lostCount });
  }
  onEpoch(topic: string, epoch: string): void {
    this.#record({ kind: "epoch", topic, epoch });
  }
  onStatus(status: BrokerStatus): void {
    this.#record({ kind: "status", status });
  }

  /** Resolves when `found` gives something. Fails after `timeoutMs` with what came instead. */
  async until<Found>(found: () => Found | undefined | false | null, timeoutMs = 8000): Promise<Found> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const result = found();
      if (result !== undefined && result !== false && result !== null) return result;
      const remainingMs = deadlineMs - performance.now();
      if (remainingMs <= 0) {
        const last = this.events.slice(-20).map((event) => describeEvent(event));
        throw new Error(`waited in vain; the last events were: ${last.join("; ")}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, remainingMs);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  of(topic: string): RecordedEvent[] {
    return this.events.filter((event) => event.kind !== "status" && event.topic === topic);
  }

  publications(topic: string): Publication[] {
    return this.events.flatMap((event) =>
      event.kind === "publication" && event.topic === topic ? [event.publication] : [],
    );
  }

  seqs(topic: string): number[] {
    return this.publications(topic).map((publication) => publication.seq);
  }

  texts(topic: string): string[] {
    return this.publications(topic).map((publication) => text(publication.data));
  }

  gaps(topic: string): { position: Position; lostCount: number | null }[] {
    return this.events.flatMap((event) =>
      event.kind === "gap" && event.topic === topic
        ? [{ position: event.position, lostCount: event.lostCount }]
        : [],
    );
  }

  /** The last snapshot of a topic. */
  snapshot(topic: string): Snapshot | undefined {
    const opened = this.events.findLast((event) => event.kind === "opened" && event.topic === topic);
    return opened?.kind === "opened" ? opened.snapshot : undefined;
  }

  #record(event: RecordedEvent): void {
    this.events.push(event);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

/** A broker, started, with the recorder that listens to it. */
export interface Worker {
  readonly broker: Broker;
  readonly recorder: Recorder;
}

/** Opens a topic; what comes of it is recorded. */
export function open({ broker, recorder }: Worker, topic: BrokerTopic): void {
  broker.open(topic, recorder.receiver(topic.name));
}

/** Opens a topic and waits for its snapshot. */
export async function openAndWait(worker: Worker, topic: BrokerTopic): Promise<Snapshot> {
  const before = worker.recorder.events.length;
  open(worker, topic);
  return worker.recorder.until(() => {
    const event = worker.recorder.events
      .slice(before)
      .find((each) => each.kind === "opened" && each.topic === topic.name);
    return event?.kind === "opened" ? event.snapshot : undefined;
  });
}

export function bytes(value: string): Uint8Array {
  return Buffer.from(value);
}

export function text(value: Uint8Array): string {
  return Buffer.from(value).toString();
}

/** 1, 2, … count, from `first` on. */
export function count(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
}

function describeEvent(event: RecordedEvent): string {
  switch (event.kind) {
    case "opened":
      return `opened ${event.topic} at ${event.snapshot.position?.seq ?? "-"}`;
    case "publication":
      return `${event.topic} ${event.publication.seq}`;
    case "gap":
      return `gap ${event.topic} to ${event.position.seq} (${event.lostCount})`;
    case "epoch":
      return `${event.topic} in epoch ${event.epoch}`;
    case "status":
      return event.status.ready ? "ready" : `not ready: ${event.status.reason}`;
  }
}
