/**
 * The grammar of topic names and patterns (docs/PROTOCOL.md, "Topics").
 * A name is segments joined by `.`; a segment is letters and digits of any script, `_` and `-`. Names are NFC and
 * at most 255 bytes of UTF-8, so that they are safe as Redis keys and channels, metric-free and comparable as strings.
 * Names that begin with `$` are reserved and therefore never pass. A pattern may use `*` for one segment and `**`
 * for one or more.
 */

/** Longest topic name in bytes of UTF-8. */
export const topicBytesMax = 255;

// Letters with their combining marks (NFC cannot compose every mark of every script), and digits.
const namePattern = /^[\p{L}\p{N}_-][\p{L}\p{M}\p{N}_-]*(?:\.[\p{L}\p{N}_-][\p{L}\p{M}\p{N}_-]*)*$/u;
const asciiName = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;

/** Says what is wrong with a topic name, or null when it is a good one. Never throws, whatever `name` is. */
export function topicProblem(name: unknown): string | null {
  if (typeof name !== "string") return "a topic is a string";
  if (name === "") return "a topic is not empty";
  if (name.length > topicBytesMax) return `a topic has at most ${topicBytesMax} bytes`;
  if (asciiName.test(name)) return null;
  if (name.startsWith("$")) return "names that begin with $ are reserved";
  if (!namePattern.test(name)) {
    return "a topic is segments of letters, digits, _ and - joined by single dots";
  }
  if (name.normalize("NFC") !== name) return "a topic is in Unicode normal form C";
  if (utf8Length(name) > topicBytesMax) return `a topic has at most ${topicBytesMax} bytes`;
  return null;
}

/** Says what is wrong with a topic pattern, or null. `*` and `**` stand for whole segments only. */
export function patternProblem(pattern: unknown): string | null {
  if (typeof pattern !== "string") return "a pattern is a string";
  if (pattern === "") return "a pattern is not empty";
  const name = pattern
    .split(".")
    .map((segment) => (segment === "*" || segment === "**" ? "x" : segment))
    .join(".");
  if (name.includes("*")) return "* and ** stand for whole segments, as in quote.* or quote.**";
  const problem = topicProblem(name);
  return problem === null ? null : problem.replace("a topic", "a pattern");
}

/**
 * Compiles a pattern to a predicate over topic names.
 * Cost of the predicate: at most segments of the pattern times segments of the name. (As a regular expression, twelve
 * `**` backtracked for hours; patterns come from tokens too.)
 */
export function compilePattern(pattern: string): (topic: string) => boolean {
  if (!pattern.includes("*")) return (topic) => topic === pattern;
  const wanted = pattern.split(".");
  return (topic) => segmentsMatch(wanted, topic.split("."));
}

/** Matches from the left; when that fails, only the last `**` takes one segment more: what it leaves is all that counts. */
function segmentsMatch(wanted: readonly string[], segments: readonly string[]): boolean {
  let wantedIndex = 0;
  let index = 0;
  /** Where the last `**` stands, and the end of what it takes. */
  let starIndex = -1;
  let starEnd = 0;
  while (index < segments.length) {
    const each = wanted[wantedIndex];
    if (each === "**" || each === "*" || each === segments[index]) {
      wantedIndex += 1;
      index += 1;
      if (each !== "**") continue;
      starIndex = wantedIndex - 1;
      starEnd = index;
    } else {
      if (starIndex === -1) return false;
      starEnd += 1;
      index = starEnd;
      wantedIndex = starIndex + 1;
    }
  }
  return wantedIndex === wanted.length;
}

/** The segment of a rule's pattern that stands for the subject of the reader's token (`sub`). */
const subjectSegment = "{sub}";

/**
 * As `patternProblem`, for the pattern of a rule, which may have `{sub}` as one segment: `user.{sub}.**`. What stands
 * before it has a fixed length, so that its place in a topic is known.
 */
export function rulePatternProblem(pattern: unknown): string | null {
  if (typeof pattern !== "string") return "a pattern is a string";
  const segments = pattern.split(".");
  const index = segments.indexOf(subjectSegment);
  if (index === -1)
    return pattern.includes("{")
      ? "{sub} stands for a whole segment, as in user.{sub}.**"
      : patternProblem(pattern);
  if (segments.indexOf(subjectSegment, index + 1) !== -1) return "{sub} may stand once";
  if (segments.slice(0, index).includes("**")) return "{sub} stands before **, not behind it";
  return patternProblem(withoutSubject(pattern));
}

/** The number of the segment that `{sub}` is, or null. @param pattern of a rule, well-formed. */
export function subjectIndexOf(pattern: string): number | null {
  const index = pattern.split(".").indexOf(subjectSegment);
  return index === -1 ? null : index;
}

/** For matching, `{sub}` is any one segment. */
function withoutSubject(pattern: string): string {
  return pattern
    .split(".")
    .map((segment) => (segment === subjectSegment ? "*" : segment))
    .join(".");
}

/** A rule as the configuration has it: the first whose pattern matches a topic is the topic's rule. */
export interface TopicRule {
  readonly match: string;
}

/**
 * Finds the rule of a topic: first match wins. Answers are remembered for at most 16,384 topics, since the same
 * names come again and again; a peer that asks for ever new names only empties the memory.
 */
export class TopicRules<Rule extends TopicRule> {
  readonly #rules: readonly { readonly rule: Rule; readonly matches: (topic: string) => boolean }[];
  readonly #remembered = new Map<string, Rule | null>();

  constructor(rules: readonly Rule[]) {
    this.#rules = rules.map((rule) => ({ rule, matches: compilePattern(withoutSubject(rule.match)) }));
  }

  /** The rule of a well-formed topic name, or null when none matches (`unknown_topic`). */
  find(topic: string): Rule | null {
    const remembered = this.#remembered.get(topic);
    if (remembered !== undefined) return remembered;
    const rule = this.#rules.find((each) => each.matches(topic))?.rule ?? null;
    if (this.#remembered.size >= 16_384) this.#remembered.clear();
    this.#remembered.set(topic, rule);
    return rule;
  }
}

/** Bytes of `text` in UTF-8, without a Buffer: this file also runs in the browser. */
function utf8Length(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}
