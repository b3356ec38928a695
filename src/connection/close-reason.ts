/**
 * Why connections end, as a closed list: the labels of metrics and logs. A peer chooses its own close code, so codes
 * that a peer sent never become labels unless RFC 6455 names them.
 */

import { closeCode } from "../codec/close-code.ts";

/** Every reason, in the order of docs/METRICS.md. */
export const closeReasons = [
  "normal",
  "going_away",
  "protocol_error",
  "unsupported_data",
  "no_status",
  "abnormal",
  "invalid_payload",
  "policy_violation",
  "too_big",
  "internal_error",
  "restart",
  "slow_consumer",
  "heartbeat_timeout",
  "history_gap",
  "overloaded",
  "unauthorized",
  "forbidden",
  "token_expired",
  "too_many_errors",
  "connection_limit",
  "flood",
  "other",
] as const;

/** One of `closeReasons`. */
export type CloseReason = (typeof closeReasons)[number];

/**
 * Tapecast's close codes that this layer sends by itself; `protocol` has the whole list and says which of them invite
 * to come back.
 */
export const ownCloseCode = {
  slowConsumer: 4001,
  heartbeatTimeout: 4002,
  overloaded: 4004,
  connectionLimit: 4504,
  flood: 4505,
} as const;

const standardReasons: ReadonlyMap<number, CloseReason> = new Map([
  [closeCode.normal, "normal"],
  [closeCode.goingAway, "going_away"],
  [closeCode.protocolError, "protocol_error"],
  [closeCode.unsupportedData, "unsupported_data"],
  [closeCode.noStatus, "no_status"],
  [closeCode.abnormal, "abnormal"],
  [closeCode.invalidPayload, "invalid_payload"],
  [closeCode.policyViolation, "policy_violation"],
  [closeCode.messageTooBig, "too_big"],
  [closeCode.internalError, "internal_error"],
]);

const ownReasons: ReadonlyMap<number, CloseReason> = new Map([
  [4000, "restart"],
  [ownCloseCode.slowConsumer, "slow_consumer"],
  [ownCloseCode.heartbeatTimeout, "heartbeat_timeout"],
  [4003, "history_gap"],
  [ownCloseCode.overloaded, "overloaded"],
  [4500, "unauthorized"],
  [4501, "forbidden"],
  [4502, "token_expired"],
  [4503, "too_many_errors"],
  [ownCloseCode.connectionLimit, "connection_limit"],
  [ownCloseCode.flood, "flood"],
]);

/** The label of a close code. `isOurs`: we closed; a peer's 4001 says nothing about slow consumers. */
export function closeReasonOf(code: number, isOurs: boolean): CloseReason {
  return standardReasons.get(code) ?? (isOurs ? ownReasons.get(code) : undefined) ?? "other";
}
