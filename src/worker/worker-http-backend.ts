/** What the HTTP API asks of a worker, answered by the broker, the topic rules and `auth`. */
import type { Identity } from "../auth/identity.ts";
import type { PublishKeys } from "../auth/publish-keys.ts";
import type { CredentialGuard } from "../auth/credential-guard.ts";
import { RequestError } from "../base/errors.ts";
import type { Clock } from "../base/clock.ts";
import { isLoopback, limitKeyOf } from "../base/ip-address.ts";
import { namesThisMachine } from "../base/this-machine.ts";
import type { KeyedBuckets } from "../base/keyed-buckets.ts";
import { limitCounters } from "../base/limit-counters.ts";
import type {
  Broker,
  BrokerStatus,
  BrokerTopic,
  HistoryPage,
  Position,
  PublishOptions,
} from "../broker/broker.ts";
import type { HttpBackend, HttpIdentity, PublishRequestFacts } from "../http/http-backend.ts";
import type { TokenVerifier } from "../session/session-services.ts";
import type { TopicAccess } from "../session/topic-access.ts";

export interface HttpBackendParts {
  readonly broker: Broker;
  readonly topics: TopicAccess;
  readonly keys: PublishKeys;
  readonly auth: TokenVerifier;
  readonly guard: CredentialGuard;
  /** `limits.httpPublishesPerSecMax`, for each sender. */
  readonly publishes: KeyedBuckets;
  readonly clock: Clock;
  /** Whether this worker should be sent traffic. */
  readonly status: () => BrokerStatus;
}

export class WorkerHttpBackend implements HttpBackend {
  readonly #parts: HttpBackendParts;

  constructor(parts: HttpBackendParts) {
    this.#parts = parts;
  }

  topic(name: unknown): BrokerTopic {
    return this.#parts.topics.topic(name);
  }

  publish(topic: BrokerTopic, data: Uint8Array, options: PublishOptions): Promise<Position | null> {
    return this.#parts.broker.publish(topic, data, options);
  }

  history(topic: BrokerTopic, since: Position | null, limit: number): Promise<HistoryPage> {
    return this.#parts.broker.history(topic, since, limit);
  }

  mayPublish(facts: PublishRequestFacts): RequestError | null {
    const { keys } = this.#parts;
    if (keys.configured) return this.#keyProblem(facts);
    if (isThisMachine(facts)) return null;
    return new RequestError(
      "forbidden",
      "no publish key is configured (auth.publishKeys), so only this machine may publish, by an address of its own",
    );
  }

  takePublishes({ bearer, clientAddress }: PublishRequestFacts, count: number): RequestError | null {
    const { keys, publishes, clock } = this.#parts;
    // Peers of a unix socket are one sender: they have no address.
    const sender = keys.configured ? `key ${bearer ?? ""}` : `address ${limitKeyOf(clientAddress)}`;
    if (publishes.take(sender, count, clock.nowMs())) return null;
    limitCounters.hit("httpPublishesPerSecMax");
    return new RequestError(
      "rate_limited",
      "more messages a second than limits.httpPublishesPerSecMax allows",
    );
  }

  async identify(token: string | null, clientAddress: string): Promise<HttpIdentity> {
    const identity = await this.#identityOf(token, clientAddress);
    return { maySubscribe: (topic) => this.#parts.topics.maySubscribe(identity, topic) };
  }

  status(): BrokerStatus {
    return this.#parts.status();
  }

  #keyProblem({ bearer, clientAddress }: PublishRequestFacts): RequestError | null {
    const { keys, guard } = this.#parts;
    try {
      guard.check(clientAddress);
    } catch (error) {
      if (error instanceof RequestError) return error;
      throw error;
    }
    if (bearer !== null && keys.accepts(bearer)) return null;
    if (bearer !== null) guard.failed(clientAddress);
    return new RequestError("unauthorized", "publishing needs a publish key as Authorization: Bearer KEY");
  }

  async #identityOf(token: string | null, clientAddress: string): Promise<Identity> {
    const { auth, keys, guard } = this.#parts;
    if (token === null) {
      if (auth.anonymous !== null) return auth.anonymous;
      throw new RequestError("unauthorized", "a token is needed as Authorization: Bearer TOKEN");
    }
    if (auth.anonymous !== null && keys.configured) {
      // Here too, or keys could be guessed by reading.
      guard.check(clientAddress);
      if (keys.accepts(token)) return auth.anonymous;
    }
    return auth.verify(token, clientAddress);
  }
}

/**
 * Whether a request comes from a program on this machine. A proxy on this machine speaks for peers that are not; an
 * empty address is a unix socket's.
 */
function isThisMachine({ remoteAddress, forwarded, viaProxy, host }: PublishRequestFacts): boolean {
  if (forwarded || viaProxy) return false;
  return remoteAddress === "" || (isLoopback(remoteAddress) && namesThisMachine(host));
}
