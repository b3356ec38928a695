/**
 * Tapecast's own close codes (docs/PROTOCOL.md, "Close codes"); RFC 6455 §7.4.2 leaves 4000–4999 to applications.
 * The range is the advice: 4000–4499 come back, 4500–4999 do not.
 */
export const closeCodes = {
  restart: 4000,
  slowConsumer: 4001,
  heartbeatTimeout: 4002,
  historyGap: 4003,
  overloaded: 4004,
  unauthorized: 4500,
  forbidden: 4501,
  tokenExpired: 4502,
  tooManyErrors: 4503,
  connectionLimit: 4504,
  flood: 4505,
} as const;

/** Codes of RFC 6455 §7.4.1 and the IANA registry that sessions send. */
export const standardCloseCodes = { policyViolation: 1008, tryAgainLater: 1013 } as const;

/** Whether a client that was closed with `code` should connect again. */
export function mayReconnect(code: number): boolean {
  return !(code >= 4500 && code <= 4999);
}
