/**
 * Recordings in NDJSON, one object per line: `{"topic","time","data"}`, whose `data` is published byte for byte, or a
 * quote `{"symbol","price","time",…}`, which is published as it stands on `quote.<symbol>`. `date` may stand for `time`.
 */
import { type Extent, objectMembers } from "../base/json-scanner.ts";
import { topicProblem } from "../base/topic.ts";
import { forEachLine } from "./lines.ts";
import type { RecordedPublication } from "./recording.ts";
import { RecordingError } from "./recording-error.ts";
import { recordedTime } from "./recorded-time.ts";

/** The lines as publications, in the order of the file. Blank lines are left out. @throws RecordingError */
export function ndjsonRecords(file: string, bytes: Uint8Array): RecordedPublication[] {
  const records: RecordedPublication[] = [];
  forEachLine(bytes, (line, lineNumber) => {
    if (isBlank(line)) return;
    records.push(recordOf(line, `${file}:${lineNumber}`));
  });
  return records;
}

function recordOf(line: Uint8Array, place: string): RecordedPublication {
  const members = objectMembers(line);
  if (members === null) throw new RecordingError(`${place}: not a JSON object`);
  const time = recordedTime(scalarText(line, members.get("time") ?? members.get("date")));
  if (time === null) {
    throw new RecordingError(
      `${place}: "time" must be a date, a time such as 2000-01-31T14:30:00Z, or a number`,
    );
  }
  const symbol = scalarText(line, members.get("symbol"));
  const topic = members.has("topic") ? scalarText(line, members.get("topic")) : `quote.${symbol}`;
  const problem = topicProblem(topic);
  if (problem !== null) throw new RecordingError(`${place}: ${problem}`);
  if (!members.has("topic") && !members.has("price")) {
    throw new RecordingError(`${place}: neither "topic" and "data" nor "symbol" and "price"`);
  }
  const data = members.get("data");
  if (members.has("topic") && data === undefined) throw new RecordingError(`${place}: "data" is missing`);
  return { time, topic, data: data === undefined ? line : line.subarray(data.start, data.end) };
}

/** A string's text, or a number's digits; empty for anything else. */
function scalarText(line: Uint8Array, extent: Extent | undefined): string {
  if (extent === undefined) return "";
  const text = Buffer.from(line.buffer, line.byteOffset + extent.start, extent.end - extent.start).toString(
    "utf8",
  );
  if (!text.startsWith('"')) return text;
  const value: unknown = JSON.parse(text);
  return typeof value === "string" ? value : "";
}

function isBlank(line: Uint8Array): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x09);
}
