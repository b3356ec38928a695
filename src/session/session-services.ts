/** What all sessions of a worker share. The worker puts it together; tests fake the parts. */
import type { Identity } from "../auth/identity.ts";
import type { Clock } from "../base/clock.ts";
import type { RequestErrorCode } from "../base/errors.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import type { Broker } from "../broker/broker.ts";
import type { Hub } from "../hub/hub.ts";
import type { TokenBucket } from "../base/token-bucket.ts";
import type { WaitingTotal } from "./command-queue.ts";
import type { TopicAccess } from "./topic-access.ts";
import type { UserLimits } from "./user-limits.ts";

/** What a session needs of a socket, not a socket. */
export interface SessionConnection {
  readonly id: string;
  /** The client's, for what is counted by address; empty for a unix socket. Asked for only when it is needed. */
  readonly remoteAddress: string;
  /** Open, and the kernel has taken all that was written. */
  readonly isWritable: boolean;
  /** permessage-deflate was agreed on, and the peer can inflate what we compress. */
  readonly maySendCompressed: boolean;
  /** Writes encoded frames, kept until taken. False: `onDrained` will follow. */
  write(bytes: Uint8Array): boolean;
  /** Sends a message in a frame of its own; `payload` is kept. As `write`, or with the other answers of this turn. */
  send(isText: boolean, payload: Uint8Array): boolean;
  sendText(text: string): boolean;
  close(code: number, reason: string): void;
  /** Long work should stop, and go on by `inTurn`: others want the event loop too. */
  readonly isSpent: boolean;
  /**
   * Calls `run` at once or, when this connection has had its time, in a later turn, in the order of the calls. Never
   * once it is closed.
   */
  inTurn(run: () => void): void;
  /** What others do for this connection, for about so long, counts as its own work. */
  charge(workMs: number): void;
}

export interface SessionLimits {
  readonly topicsPerConnectionMax: number | null;
  readonly messageBytesMax: number;
  readonly clientPublishesPerSecMax: number | null;
  readonly clientPublishesPerUserPerSecMax: number | null;
  readonly topicsPerWorkerMax: number | null;
  readonly commandsPerWorkerPerSecMax: number | null;
  readonly pendingBytesMax: number;
  readonly waitingCommandBytesMax: number;
}

export interface TokenVerifier {
  /** What a connection without a token may do; null when a token is required. */
  readonly anonymous: Identity | null;
  /** @param address of the client, empty for a unix socket. @throws RequestError */
  verify(token: string, address: string): Promise<Identity>;
}

/** Plain numbers, read by the metrics. */
export class SessionCounters {
  readonly commandsByMethod = {
    subscribe: 0,
    unsubscribe: 0,
    publish: 0,
    history: 0,
    token: 0,
    ping: 0,
    unreadable: 0,
  };
  readonly errorsByCode: Record<RequestErrorCode, number> = {
    bad_request: 0,
    bad_topic: 0,
    unknown_topic: 0,
    unauthorized: 0,
    forbidden: 0,
    limit: 0,
    rate_limited: 0,
    too_large: 0,
    unavailable: 0,
    internal: 0,
  };
  /** Recoveries with `recovered: true`, and those with false. */
  recovered = 0;
  notRecovered = 0;
}

export interface SessionServices {
  readonly hub: Hub;
  readonly broker: Pick<Broker, "publish" | "history" | "refresh">;
  readonly topics: TopicAccess;
  readonly auth: TokenVerifier;
  readonly users: UserLimits;
  /** Commands of all connections together. */
  readonly commandBudget: TokenBucket;
  readonly waiting: WaitingTotal;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly limits: SessionLimits;
  readonly heartbeatMs: number;
  readonly counters: SessionCounters;
  /** Reports an error that is ours, with facts but without payloads and tokens. */
  readonly onUnexpected: (error: unknown) => void;
}
