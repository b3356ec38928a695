/**
 * The grammar of HTTP field lines that a handshake needs: tokens, lists, whitespace (RFC 9110 §5.6). Everything is
 * linear in its input, since all of it comes from a peer that nobody knows yet.
 */

const tokenPattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// Visible characters, space, tab and the bytes above 0x7F (obs-text), never a control character.
const valuePattern = /^[\t\u0020-\u007e\u0080-\u00ff]*$/;

/** RFC 9110 §5.6.2 `token`. */
export function isToken(text: string): boolean {
  return tokenPattern.test(text);
}

/** Cuts spaces and tabs (OWS, and nothing else that `trim` would cut) at both ends. */
export function trimWhitespace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isWhitespace(text.charCodeAt(start))) start += 1;
  while (end > start && isWhitespace(text.charCodeAt(end - 1))) end -= 1;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

/**
 * The elements of a comma-separated list, whitespace trimmed.
 * RFC 9110 §5.6.1.2: "A recipient MUST parse and ignore a reasonable number of empty list elements".
 */
export function listElements(value: string): string[] {
  const elements: string[] = [];
  for (const part of value.split(",")) {
    const element = trimWhitespace(part);
    if (element !== "") elements.push(element);
  }
  return elements;
}

/** Whether a list contains a token, whatever its case. `token` in lower case. */
export function listContains(value: string, token: string): boolean {
  return (
    value.toLowerCase() === token || listElements(value).some((element) => element.toLowerCase() === token)
  );
}

/**
 * Reads one or more field lines joined by CRLF (without the last CRLF) strictly: a token, a colon directly behind it, a value
 * without control characters. No folding (RFC 9112 §5.2 lets a server reject it), no bare CR or LF.
 * @returns names and values in turn, as in node's `rawHeaders`; null for anything else or more than `linesMax` lines.
 */
export function readFieldLines(text: string, linesMax: number): string[] | null {
  const lines = text.split("\r\n", linesMax + 1);
  if (lines.length > linesMax) return null;
  const fields: string[] = [];
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon === -1) return null;
    const name = line.slice(0, colon);
    const value = trimWhitespace(line.slice(colon + 1));
    if (!isToken(name) || !valuePattern.test(value)) return null;
    fields.push(name, value);
  }
  return fields;
}

function isWhitespace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
