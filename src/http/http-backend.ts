/**
 * What the HTTP API needs of the worker: topics, the broker's publish and history, and the answers of `auth`.
 * Declared here because this layer calls it; the worker puts it together, the tests fake it.
 */
import type { RequestError } from "../base/errors.ts";
import type { BrokerStatus, BrokerTopic, HistoryPage, Position, PublishOptions } from "../broker/broker.ts";

/** Facts of a publish request, known before its body is read. */
export interface PublishRequestFacts {
  /** The credentials of `Authorization: Bearer`, or null. Secret: compared in constant time, never logged. */
  readonly bearer: string | null;
  /** The peer's address as the socket has it; empty on a unix socket, `gone` when the peer has already reset. */
  readonly remoteAddress: string;
  /** Whom the peer speaks for: itself, unless it is a trusted proxy. For limits. */
  readonly clientAddress: string;
  /** The peer is one of `listen.trustedProxies`: whatever it sends may come from elsewhere. */
  readonly viaProxy: boolean;
  /** The Host field, or null. */
  readonly host: string | null;
  /** True when a `Forwarded` or `X-Forwarded-*` header says that a proxy stands in between. */
  readonly forwarded: boolean;
}

/** Who asks for a topic's value. */
export interface HttpIdentity {
  maySubscribe(topic: string): boolean;
}

export interface HttpBackend {
  /**
   * The topic of a name that a peer gave, whatever it is.
   * @throws RequestError `bad_topic` or `unknown_topic`
   */
  topic(name: unknown): BrokerTopic;
  /**
   * As Broker.publish: calls for one topic are stored in call order.
   * @throws BrokerError when it cannot be stored, RequestError when it may not be
   */
  publish(topic: BrokerTopic, data: Uint8Array, options: PublishOptions): Promise<Position | null>;
  /** As Broker.history. @throws BrokerError */
  history(topic: BrokerTopic, since: Position | null, limit: number): Promise<HistoryPage>;
  /** Says why this request may not publish (`unauthorized`, `forbidden`, `rate_limited`), or null when it may. */
  mayPublish(facts: PublishRequestFacts): RequestError | null;
  /** Counts the messages of a sender that `mayPublish` let through; `rate_limited` when they are too many, else null. */
  takePublishes(facts: PublishRequestFacts, count: number): RequestError | null;
  /**
   * Who holds this token; null is a request without one.
   * @param clientAddress as in the facts of a publish request.
   * @throws RequestError `unauthorized`, `rate_limited`
   */
  identify(token: string | null, clientAddress: string): Promise<HttpIdentity>;
  /** Whether this worker should be sent traffic; the reason is shown to anybody who asks. */
  status(): BrokerStatus;
}
