/** What the HTTP API asks of a worker, answered by the broker, the topic rules and `auth`. */
import type { Identity } from "../auth/identity.ts";
import type { PublishKeys } from "../auth/publish-keys.ts";
import { RequestError } from "../base/errors.ts";
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
  /** Whether this worker should be sent traffic. */
  readonly status: () => BrokerStatus;
}

const loopback = /^(?:127\.\d+\.\d+\.\d+|::1|::ffff:127\.\d+\.\d+\.\d+|)$/;

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

  mayPublish({ bearer, remoteAddress, forwarded }: PublishRequestFacts): RequestError | null {
    const { keys } = this.#parts;
    if (keys.configured) {
      if (bearer !== null && keys.accepts(bearer)) return null;
      return new RequestError("unauthorized", "publishing needs a publish key as Authorization: Bearer KEY");
    }
    // A proxy on this machine speaks for peers that are not; an empty address is a unix socket's.
    if (!forwarded && loopback.test(remoteAddress)) return null;
    return new RequestError(
      "forbidden",
      "no publish key is configured (auth.publishKeys), so only this machine may publish",
    );
  }

  async identify(token: string | null): Promise<HttpIdentity> {
    const identity = await this.#identityOf(token);
    return { maySubscribe: (topic) => this.#parts.topics.maySubscribe(identity, topic) };
  }

  status(): BrokerStatus {
    return this.#parts.status();
  }

  async #identityOf(token: string | null): Promise<Identity> {
    const { auth, keys } = this.#parts;
    if (token === null) {
      if (auth.anonymous !== null) return auth.anonymous;
      throw new RequestError("unauthorized", "a token is needed as Authorization: Bearer TOKEN");
    }
    if (auth.anonymous !== null && keys.configured && keys.accepts(token)) return auth.anonymous;
    return auth.verify(token);
  }
}
