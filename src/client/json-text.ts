/**
 * Finds the source text of values inside JSON that JSON.parse has already accepted. JSON.parse turns `189.30` into
 * 189.3 and loses the digits of large integers; a page that shows a price as it was published needs the text.
 * Deliberately no validator: on anything but valid JSON the answers are meaningless, though it always ends.
 */

/**
 * The members of a JSON object with their values' source text, for the last of duplicate names as JSON.parse has it.
 * Empty for a value that is no object. Cost: one pass over `text`, one substring per member.
 */
export function memberTexts(text: string): Map<string, string> {
  const members = new Map<string, string>();
  let at = skipSpace(text, 0);
  if (text[at] !== "{") return members;
  at = skipSpace(text, at + 1);
  while (at < text.length && text[at] === '"') {
    const nameEnd = stringEnd(text, at);
    const valueStart = skipSpace(text, skipSpace(text, nameEnd) + 1);
    const valueEnd = skipValue(text, valueStart);
    members.set(unquoted(text.slice(at, nameEnd)), text.slice(valueStart, valueEnd));
    at = skipSpace(text, skipSpace(text, valueEnd) + 1);
  }
  return members;
}

/** The source texts of a JSON array's elements, in order. Empty for a value that is no array. */
export function elementTexts(text: string): string[] {
  const elements: string[] = [];
  let at = skipSpace(text, 0);
  if (text[at] !== "[") return elements;
  at = skipSpace(text, at + 1);
  while (at < text.length && text[at] !== "]") {
    const end = skipValue(text, at);
    elements.push(text.slice(at, end));
    at = skipSpace(text, skipSpace(text, end) + 1);
  }
  return elements;
}

function unquoted(quoted: string): string {
  if (!quoted.includes("\\")) return quoted.slice(1, -1);
  try {
    return String(JSON.parse(quoted));
  } catch {
    // No JSON: any answer will do, as the head of this file says.
    return quoted;
  }
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && " \t\n\r".includes(text.charAt(at))) at += 1;
  return at;
}

/** @returns the index after the closing quote of the string that begins at `from`. */
function stringEnd(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at + 1;
}

/** @returns the index after the value that begins at `from`. Iterative: depth costs no stack. */
function skipValue(text: string, from: number): number {
  let at = from;
  let depth = 0;
  while (at < text.length) {
    const character = text.charAt(at);
    if (character === '"') {
      at = stringEnd(text, at);
      if (depth === 0) return at;
      continue;
    }
    if (character === "{" || character === "[") depth += 1;
    else if (character === "}" || character === "]") {
      if (depth === 0) return at;
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && ", \t\n\r".includes(character)) return at;
    at += 1;
  }
  return at;
}
