/** The times of recordings: whole dates, and moments with a time of day. A time without a zone is UTC. */

/** One moment of a recording. */
export interface RecordedTime {
  /** Milliseconds since 1970 UTC; midnight of a whole date. */
  readonly ms: number;
  /** True when the recording names the date and no time of day. */
  readonly isDate: boolean;
}

const isoDate = /^\d{4}-\d{2}-\d{2}$/;
const isoTime = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?) ?(Z|[+-]\d{2}:?\d{2})?$/;
const englishDate = /^([A-Z][a-z]{2}) (\d{1,2}),? (\d{4})$/;
const epochNumber = /^\d{1,16}(?:\.\d{1,9})?$/;
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A number below this is seconds since 1970, else milliseconds: 10^11 ms is March 1973, 10^11 s the year 5138. */
const millisecondsFrom = 100_000_000_000;

/**
 * Reads `2000-01-31`, `Jan 31 2000`, `2000-01-31T14:30:00.250Z`, `2000-01-31 14:30:00`, or a number of seconds or
 * milliseconds since 1970. Returns null for anything else, for 31 February too.
 */
export function recordedTime(text: string): RecordedTime | null {
  if (isoDate.test(text)) return dateOf(text);
  const english = englishDate.exec(text);
  if (english !== null) {
    const month = months.indexOf(english[1] ?? "") + 1;
    return month === 0
      ? null
      : dateOf(`${english[3] ?? ""}-${twoDigits(month)}-${twoDigits(Number(english[2]))}`);
  }
  const moment = isoTime.exec(text);
  if (moment !== null) {
    if (dateOf(moment[1] ?? "") === null) return null;
    const ms = Date.parse(`${moment[1] ?? ""}T${moment[2] ?? ""}${moment[3] ?? "Z"}`);
    return Number.isNaN(ms) ? null : { ms, isDate: false };
  }
  if (!epochNumber.test(text)) return null;
  const value = Number(text);
  return { ms: value < millisecondsFrom ? value * 1000 : value, isDate: false };
}

/** A whole date as `2000-01-31`. */
export function dateText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function dateOf(text: string): RecordedTime | null {
  const ms = Date.parse(text);
  // Date.parse may take 31 February for 2 March.
  return Number.isNaN(ms) || dateText(ms) !== text ? null : { ms, isDate: true };
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}
