/**
 * How often each limit of the configuration stopped somebody, by the limit's key. Plain integers for the metrics; one
 * object per process, since limits are met in every layer.
 */

/** The keys of `limits`. A test holds the two lists together. */
export const limitNames = [
  "connectionsMax",
  "connectionsPerAddressMax",
  "connectionsPerUserMax",
  "handshakesPerSecMax",
  "handshakesPerAddressPerSecMax",
  "badCredentialsPerAddressPerSecMax",
  "headBytesMax",
  "headTimeoutMs",
  "messageTimeoutMs",
  "topicsPerConnectionMax",
  "topicsPerWorkerMax",
  "messageBytesMax",
  "echoMessageBytesMax",
  "fragmentsPerMessageMax",
  "controlFramesPerSecMax",
  "inboundMessagesPerSecMax",
  "inboundBytesPerSecMax",
  "workMsPerSecMax",
  "workMsPerAddressPerSecMax",
  "commandsPerWorkerPerSecMax",
  "clientPublishesPerSecMax",
  "clientPublishesPerUserPerSecMax",
  "ringBytesTotalMax",
  "pendingBytesMax",
  "pendingAgeMsMax",
  "pendingBytesTotalMax",
  "arrivingBytesTotalMax",
  "echoPendingBytesTotalMax",
  "waitingCommandBytesMax",
  "waitingCommandBytesTotalMax",
  "httpPublishesPerSecMax",
  "httpBodyBytesInFlightMax",
  "httpAnswerBytesTotalMax",
  "httpRequestsInFlightMax",
  "httpRequestsPerAddressPerSecMax",
] as const;

/** A key of `limits`. */
export type LimitName = (typeof limitNames)[number];

class LimitCounters {
  readonly reached = new Map<LimitName, number>(limitNames.map((name) => [name, 0]));

  /** Somebody met the limit and was stopped by it. */
  hit(name: LimitName): void {
    this.reached.set(name, (this.reached.get(name) ?? 0) + 1);
  }
}

/** The process's own. */
export const limitCounters = new LimitCounters();
