/**
 * The negotiation of permessage-deflate (RFC 7692 §5 and §7.1). What is agreed on is always the same: both sides begin
 * every message with an empty window, so that no connection keeps a context and one compressed message can be shared
 * by many. An offer that cannot be met is declined, never refused: the next one is looked at, or none is accepted.
 */

import type { ExtensionOffer } from "./extensions.ts";

/** What was agreed on with one client. */
export interface DeflateAgreement {
  /** The value of Sec-WebSocket-Extensions in the answer. */
  readonly answer: string;
  /** The largest window, as its exponent, that the client can inflate: 8 to 15. */
  readonly serverWindowBits: number;
}

const extensionName = "permessage-deflate";
// RFC 7692 §7.1.2.1: "a decimal integer value without leading zeroes between 8 to 15, inclusive".
const windowBitsPattern = /^(?:[89]|1[0-5])$/;
const windowBitsMax = 15;

/**
 * The first offer that can be accepted, or null.
 * RFC 7692 §7.1: an offer is declined when it "contains an
 * extension parameter not defined for use in an offer", one "with an invalid value" or "multiple extension parameters
 * with the same name".
 * Cost: linear in the offers.
 */
export function negotiateDeflate(offers: readonly ExtensionOffer[]): DeflateAgreement | null {
  for (const offer of offers) {
    const agreement = offer.name === extensionName ? accept(offer) : null;
    if (agreement !== null) return agreement;
  }
  return null;
}

function accept({ parameters }: ExtensionOffer): DeflateAgreement | null {
  const values = new Map<string, string | null>();
  for (const { name, value } of parameters) {
    if (values.has(name) || !isAcceptable(name, value)) return null;
    values.set(name, value);
  }
  // §7.1.1.2: a server may answer client_no_context_takeover to a client that did not offer it. §7.1.2.2: without
  // client_max_window_bits in the answer, the client may use any window; ours for inflating is the largest.
  const answer = `${extensionName}; server_no_context_takeover; client_no_context_takeover`;
  const wanted = values.get("server_max_window_bits") ?? null;
  if (wanted === null) return { answer, serverWindowBits: windowBitsMax };
  // §7.1.2.1: the server accepts the parameter by answering "the same or smaller value".
  return { answer: `${answer}; server_max_window_bits=${wanted}`, serverWindowBits: Number(wanted) };
}

function isAcceptable(name: string, value: string | null): boolean {
  switch (name) {
    case "server_no_context_takeover":
    case "client_no_context_takeover":
      return value === null;
    case "server_max_window_bits":
      return value !== null && windowBitsPattern.test(value);
    case "client_max_window_bits":
      return value === null || windowBitsPattern.test(value);
    default:
      return false;
  }
}
