/**
 * The grammar of Sec-WebSocket-Extensions (RFC 6455 §9.1). Only read here: which offer is accepted, and with what
 * parameters, is permessage-deflate.ts's to decide, and declining every offer is always legal.
 */

import { isToken, trimWhitespace } from "./field-values.ts";

// RFC 9110 §5.6.4. The alternatives share no first character, so matching is linear.
const quotedPattern = /^"((?:[^"\\]|\\.)*)"$/;

/** One offered extension. Order and repetitions are kept: for RFC 7692 a repeated parameter is a reason to decline. */
export interface ExtensionOffer {
  readonly name: string;
  readonly parameters: readonly ExtensionParameter[];
}

/** `value` is null for a parameter without `=`; a quoted value is unquoted. */
interface ExtensionParameter {
  readonly name: string;
  readonly value: string | null;
}

/**
 * Reads the value of the header (several lines joined by commas).
 * @returns the offers in order of preference, or null if the grammar is broken.
 * Cost: linear in the value.
 */
export function parseExtensions(value: string): ExtensionOffer[] | null {
  const offers: ExtensionOffer[] = [];
  for (const element of splitOutsideQuotes(value, ",")) {
    // RFC 9110 §5.6.1.2: empty list elements are ignored.
    if (trimWhitespace(element) === "") continue;
    const offer = parseOffer(element);
    if (offer === null) return null;
    offers.push(offer);
  }
  return offers.length === 0 ? null : offers;
}

function parseOffer(element: string): ExtensionOffer | null {
  const [first = "", ...rest] = splitOutsideQuotes(element, ";");
  const name = trimWhitespace(first);
  if (!isToken(name)) return null;
  const parameters: ExtensionParameter[] = [];
  for (const part of rest) {
    const parameter = parseParameter(part);
    if (parameter === null) return null;
    parameters.push(parameter);
  }
  return { name, parameters };
}

function parseParameter(part: string): ExtensionParameter | null {
  const equals = part.indexOf("=");
  const name = trimWhitespace(equals === -1 ? part : part.slice(0, equals));
  if (!isToken(name)) return null;
  if (equals === -1) return { name, value: null };
  // RFC 6455 §9.1: "When using the quoted-string syntax variant, the value after quoted-string unescaping MUST
  // conform to the 'token' ABNF."
  const value = unquote(trimWhitespace(part.slice(equals + 1)));
  return isToken(value) ? { name, value } : null;
}

/** Takes the quotes and backslashes off; what is not quoted, or quoted badly, comes back as it is. */
function unquote(text: string): string {
  const quoted = quotedPattern.exec(text)?.[1];
  return quoted === undefined ? text : quoted.replaceAll(/\\(.)/g, "$1");
}

/** Splits at a separator outside of quotes. A quote that is never closed reaches to the end, and fails as a token. */
function splitOutsideQuotes(text: string, separator: string): string[] {
  if (!text.includes('"')) return text.split(separator);
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index];
    if (character === '"') quoted = !quoted;
    else if (character === "\\" && quoted) index += 1;
    else if (character === separator && !quoted) {
      parts.push(text.slice(start, index));
      start = index + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}
