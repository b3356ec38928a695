/**
 * A backend in memory for the tests of the HTTP API: topics under a few prefixes, a log per topic, keys, and switches
 * for what can go wrong.
 */
import { BrokerError, RequestError } from "../../src/base/errors.ts";
import { topicProblem } from "../../src/base/topic.ts";
import type {
  BrokerStatus,
  BrokerTopic,
  HistoryPage,
  Position,
  Publication,
  PublishOptions,
} from "../../src/broker/broker.ts";
import type { HttpBackend, HttpIdentity, PublishRequestFacts } from "../../src/http/http-backend.ts";

export const epoch = "1795338789954376";

/** One call of `publish`, as the backend saw it. */
export interface PublishCall {
  readonly topic: string;
  readonly data: Uint8Array;
  readonly key: string | undefined;
  readonly arrivedMs: number | undefined;
}

export class FakeBackend implements HttpBackend {
  readonly logs = new Map<string, Publication[]>();
  readonly calls: PublishCall[] = [];
  readonly facts: PublishRequestFacts[] = [];
  readonly keys = new Map<string, Position | null>();
  /** Asked before each publication; what it returns is thrown. */
  failure: (topic: string, callIndex: number) => Error | null = () => null;
  refusal: RequestError | null = null;
  readonly publishesTaken: number[] = [];
  publishesLeft = Number.POSITIVE_INFINITY;
  state: BrokerStatus = { ready: true, reason: null };
  /** When set, `publish` waits for it: a slow broker. */
  gate: Promise<void> | null = null;
  historyLimits: number[] = [];
  historyComplete = true;

  topic(name: unknown): BrokerTopic {
    const problem = topicProblem(name);
    if (problem !== null || typeof name !== "string") throw new RequestError("bad_topic", problem ?? "");
    switch (name.split(".", 1).join()) {
      case "quote":
      case "secret":
        return { name, delivery: "latest", history: { size: 300, ttlMs: 60_000 } };
      case "live":
        return { name, delivery: "sample", history: null };
      default:
        throw new RequestError("unknown_topic", "no rule matches this topic");
    }
  }

  async publish(topic: BrokerTopic, data: Uint8Array, options: PublishOptions): Promise<Position | null> {
    const key = options.idempotencyKey;
    const failure = this.failure(topic.name, this.calls.length);
    this.calls.push({ topic: topic.name, data, key, arrivedMs: options.arrivedMs });
    if (this.gate !== null) await this.gate;
    if (failure !== null) throw failure;
    if (key !== undefined && this.keys.has(`${topic.name} ${key}`))
      return this.keys.get(`${topic.name} ${key}`)!;
    let position: Position | null = null;
    if (topic.history !== null) {
      const log = this.logs.get(topic.name) ?? [];
      log.push({ seq: log.length + 1, data, origin: null });
      this.logs.set(topic.name, log);
      position = { epoch, seq: log.length };
    }
    if (key !== undefined) this.keys.set(`${topic.name} ${key}`, position);
    return position;
  }

  async history(topic: BrokerTopic, since: Position | null, limit: number): Promise<HistoryPage> {
    if (!this.state.ready) throw new BrokerError("connect ECONNREFUSED 10.0.0.5:6379", true);
    this.historyLimits.push(limit);
    const log = this.logs.get(topic.name) ?? [];
    const position = { epoch, seq: log.length };
    if (since === null) return { position, entries: log.slice(-limit), complete: true };
    const complete = since.epoch === epoch && this.historyComplete;
    return { position, entries: log.slice(complete ? since.seq : 0).slice(0, limit), complete };
  }

  mayPublish(facts: PublishRequestFacts): RequestError | null {
    this.facts.push(facts);
    return this.refusal;
  }

  takePublishes(_facts: PublishRequestFacts, count: number): RequestError | null {
    this.publishesTaken.push(count);
    return count > this.publishesLeft ? new RequestError("rate_limited", "too many") : null;
  }

  async identify(token: string | null): Promise<HttpIdentity> {
    if (token === "bad") throw new RequestError("unauthorized", "the token is not valid");
    return { maySubscribe: (topic) => !topic.startsWith("secret.") || token === "good" };
  }

  status(): BrokerStatus {
    return this.state;
  }
}
