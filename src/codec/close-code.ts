/**
 * Close codes of RFC 6455 §7.4.1 and the IANA "WebSocket Close Code Number Registry", and which of them may
 * stand in a close frame that a peer sends. The codes of our own protocol (4000 and up) live with the protocol.
 */

/** Close codes by name. `noStatus`, `abnormal` and `tlsHandshake` never travel on the wire. */
export const closeCode = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  unsupportedData: 1003,
  noStatus: 1005,
  abnormal: 1006,
  invalidPayload: 1007,
  policyViolation: 1008,
  messageTooBig: 1009,
  mandatoryExtension: 1010,
  internalError: 1011,
  serviceRestart: 1012,
  tryAgainLater: 1013,
  badGateway: 1014,
  tlsHandshake: 1015,
} as const;

/** True when `code` may stand in a close frame: 1000–1003, 1007–1014 and 3000–4999. */
export function isReceivableCloseCode(code: number): boolean {
  // RFC 6455 §7.4.2: "Status codes in the range 0-999 are not used." 1000–2999 are "reserved for definition by
  // this protocol, its future revisions, and extensions"; 3000–3999 are for libraries, 4000–4999 for private use.
  if (code >= 3000) return code <= 4999;
  // RFC 6455 §7.4.1, of 1005, 1006 and 1015: "MUST NOT be set as a status code in a Close control frame by an
  // endpoint". 1004 has no meaning yet; 1012–1014 were added to the IANA registry after the RFC.
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}
