/** One row of the ticker board without its looks: the last price, how it moved, and the values seen. */
import { memberTexts } from "../client/json-text.ts";
import { difference, isDecimal, percentChange } from "./decimal.ts";
import { plainText } from "./plain-text.ts";

/** Values kept for the sparkline. */
export const seenValuesMax = 120;

export type Direction = "up" | "down" | "same";

export class Quote {
  /** As published, all its decimals; null before the first price. */
  last: string | null = null;
  /** Against the value before, signed; null while there is none. */
  change: string | null = null;
  percent: string | null = null;
  direction: Direction = "same";
  /** The publisher's own date or time, for show. */
  date: string | null = null;
  readonly seen: number[] = [];

  /**
   * Takes a publication's `data` as text: an object with `price` (else `close`), or a bare number.
   * @returns false when there is no price in it: nothing has changed then.
   */
  take(dataText: string): boolean {
    const members = memberTexts(dataText);
    const price = numberText(members.get("price") ?? members.get("close") ?? dataText.trim());
    if (price === null) return false;
    if (this.last !== null) {
      this.change = difference(price, this.last);
      this.percent = percentChange(price, this.last);
      this.direction = directionOf(this.change);
    }
    this.last = price;
    const date = members.get("date") ?? members.get("time");
    this.date = date === undefined ? null : plainText(unquoted(date), 24);
    this.seen.push(Number(price));
    if (this.seen.length > seenValuesMax) this.seen.shift();
    return true;
  }
}

/** With a sign for rises too, and a minus of a digit's width. */
export function signed(text: string): string {
  if (text.startsWith("-")) return `\u2212${text.slice(1)}`;
  return /[1-9]/.test(text) ? `+${text}` : text;
}

function directionOf(change: string | null): Direction {
  if (change === null || !/[1-9]/.test(change)) return "same";
  return change.startsWith("-") ? "down" : "up";
}

/** A JSON number's own text; some feeds quote their prices to keep the decimals. */
function numberText(jsonText: string): string | null {
  const text = unquoted(jsonText);
  return isDecimal(text) ? text : null;
}

function unquoted(jsonText: string): string {
  if (!jsonText.startsWith('"')) return jsonText;
  const value: unknown = JSON.parse(jsonText);
  return String(value);
}
