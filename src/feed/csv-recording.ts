/**
 * Recordings in CSV (RFC 4180): a header line, one column of dates or times, one of prices, perhaps one of symbols.
 * Each row becomes `{"symbol","price","date",…}` on `quote.<symbol>`; numbers keep the digits of the file.
 */
import { isUtf8 } from "node:buffer";

import { topicProblem } from "../base/topic.ts";
import { forEachLine } from "./lines.ts";
import type { RecordedPublication } from "./recording.ts";
import { RecordingError } from "./recording-error.ts";
import { dateText, recordedTime } from "./recorded-time.ts";

/** Columns that are published as numbers under their own name, when they are there. */
const numberColumns = ["open", "high", "low", "close", "volume"];

// RFC 8259 §6.
const jsonNumber = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

interface Columns {
  readonly time: number;
  readonly price: number;
  /** -1: the file is of one symbol. */
  readonly symbol: number;
  readonly numbers: readonly { readonly name: string; readonly index: number }[];
  readonly count: number;
}

/** The rows as publications, in the order of the file. Rows without a price are left out. @throws RecordingError */
export function csvRecords(file: string, bytes: Uint8Array): RecordedPublication[] {
  const fileSymbol = symbolOfFile(file);
  const records: RecordedPublication[] = [];
  let columns: Columns | null = null;
  forEachLine(bytes, (line, lineNumber) => {
    if (line.length === 0) return;
    const place = `${file}:${lineNumber}`;
    const fields = fieldsOf(lineText(line, place), place);
    if (columns === null) {
      columns = columnsOf(fields, place);
      return;
    }
    const record = recordOf(fields, columns, fileSymbol, place);
    if (record !== null) records.push(record);
  });
  return records;
}

/** `sp500-2000.csv` is of SP500: the file's name up to the first character that no topic segment has, or a hyphen. */
function symbolOfFile(file: string): string {
  const name = file.split(/[/\\]/u).at(-1) ?? "";
  return (/^[\p{L}\p{N}_]+/u.exec(name)?.[0] ?? "").normalize("NFC").toUpperCase();
}

function columnsOf(header: readonly string[], place: string): Columns {
  const names = header.map((name) => name.trim().toLowerCase());
  const find = (...wanted: readonly string[]): number => {
    const name = wanted.find((each) => names.includes(each));
    return name === undefined ? -1 : names.indexOf(name);
  };
  const time = find("time", "timestamp", "datetime", "date");
  const price = find("price", "close", "last");
  if (time === -1) throw new RecordingError(`${place}: no column called date or time`);
  if (price === -1) throw new RecordingError(`${place}: no column called price or close`);
  const numbers = numberColumns.map((name) => ({ name, index: names.indexOf(name) }));
  return {
    time,
    price,
    symbol: find("symbol", "ticker"),
    numbers: numbers.filter((column) => column.index !== -1),
    count: names.length,
  };
}

function recordOf(
  fields: readonly string[],
  columns: Columns,
  fileSymbol: string,
  place: string,
): RecordedPublication | null {
  if (fields.length !== columns.count) {
    throw new RecordingError(`${place}: ${fields.length} fields where the header has ${columns.count}`);
  }
  const price = (fields[columns.price] ?? "").trim();
  if (price === "" || price === "null") return null;
  if (!jsonNumber.test(price)) throw new RecordingError(`${place}: the price is not a decimal number`);
  const timeText = (fields[columns.time] ?? "").trim();
  const time = recordedTime(timeText);
  if (time === null)
    throw new RecordingError(`${place}: neither a date nor a time such as 2000-01-31T14:30:00Z`);
  const symbol = columns.symbol === -1 ? fileSymbol : (fields[columns.symbol] ?? "").trim();
  const topic = `quote.${symbol}`;
  const problem = topicProblem(topic);
  if (problem !== null) throw new RecordingError(`${place}: the symbol makes no topic: ${problem}`);
  const members = [`"symbol":${JSON.stringify(symbol)}`, `"price":${price}`];
  members.push(time.isDate ? `"date":"${dateText(time.ms)}"` : `"time":${JSON.stringify(timeText)}`);
  for (const { name, index } of columns.numbers) {
    const text = (fields[index] ?? "").trim();
    if (jsonNumber.test(text)) members.push(`"${name}":${text}`);
  }
  return { time, topic, data: Buffer.from(`{${members.join(",")}}`) };
}

function lineText(line: Uint8Array, place: string): string {
  if (!isUtf8(line)) throw new RecordingError(`${place}: not UTF-8`);
  return Buffer.from(line.buffer, line.byteOffset, line.length).toString("utf8");
}

/** The fields of one line. A quoted field may hold commas and doubled quotes; line ends within quotes are refused. */
function fieldsOf(line: string, place: string): readonly string[] {
  if (!line.includes('"')) return line.split(",");
  const fields: string[] = [];
  let at = 0;
  while (at <= line.length) {
    if (line[at] !== '"') {
      const comma = line.indexOf(",", at);
      const end = comma === -1 ? line.length : comma;
      fields.push(line.slice(at, end));
      at = end + 1;
      continue;
    }
    const quoted = /"((?:[^"]|"")*)"(?:,|$)/uy;
    quoted.lastIndex = at;
    const match = quoted.exec(line);
    if (match === null) throw new RecordingError(`${place}: a quoted field does not end`);
    fields.push((match[1] ?? "").replaceAll('""', '"'));
    at = quoted.lastIndex;
    if (!match[0].endsWith(",")) break;
  }
  return fields;
}
