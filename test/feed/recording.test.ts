/** docs/CLI.md, replay: what recordings may look like, and what is published of them. */
import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { dateText, recordedTime } from "../../src/feed/recorded-time.ts";
import { parseRecording, readRecording, recordedFiles } from "../../src/feed/recording.ts";

const dayMs = 86_400_000;

function parsed(file: string, text: string): readonly (readonly [number, string, string])[] {
  return parseRecording(file, Buffer.from(text)).publications.map(
    ({ time, topic, data }) => [time.ms, topic, Buffer.from(data).toString()] as const,
  );
}

describe("recorded times", () => {
  it.each([
    ["2000-01-31", Date.UTC(2000, 0, 31), true],
    ["2000-02-29", Date.UTC(2000, 1, 29), true],
    ["Jan 1 2000", Date.UTC(2000, 0, 1), true],
    ["Dec 31, 2009", Date.UTC(2009, 11, 31), true],
    ["2000-01-31T14:30:00Z", Date.UTC(2000, 0, 31, 14, 30), false],
    ["2000-01-31T14:30:00.250+08:00", Date.UTC(2000, 0, 31, 6, 30, 0, 250), false],
    ["2000-01-31 14:30:00", Date.UTC(2000, 0, 31, 14, 30), false],
    ["2000-01-31 14:30", Date.UTC(2000, 0, 31, 14, 30), false],
    ["949329000", 949_329_000_000, false],
    ["949329000250", 949_329_000_250, false],
    ["949329000.5", 949_329_000_500, false],
  ])("%s", (text, ms, isDate) => {
    expect(recordedTime(text)).toEqual({ ms, isDate });
  });

  it.each([
    "",
    "yesterday",
    "2000-02-30",
    "2000-13-01",
    "Foo 1 2000",
    "Feb 30 2000",
    "1/2/2000",
    "2000-01-31T25:00:00Z",
    "-5",
    "1e9",
  ])("%j is none", (text) => {
    expect(recordedTime(text)).toBeNull();
  });
});

describe("CSV", () => {
  it("of many symbols is sorted by time, of equal times in the order of the file", () => {
    const text = "symbol,date,price\nB,Feb 1 2000,2.50\nB,Jan 1 2000,1.10\nA,Jan 1 2000,3\n";
    expect(parsed("x.csv", text)).toEqual([
      [Date.UTC(2000, 0, 1), "quote.B", '{"symbol":"B","price":1.10,"date":"2000-01-01"}'],
      [Date.UTC(2000, 0, 1), "quote.A", '{"symbol":"A","price":3,"date":"2000-01-01"}'],
      [Date.UTC(2000, 1, 1), "quote.B", '{"symbol":"B","price":2.50,"date":"2000-02-01"}'],
    ]);
  });

  it("of one symbol is called by its file, and keeps every digit", () => {
    const text =
      "date,open,high,low,close,adjclose,volume\r\n2000-01-03,1469.250000,1478.000000,1438.359985,1455.219971,1455.2,12345678901234567890\r\n";
    expect(parsed("data/sp500-2000.csv", text)).toEqual([
      [
        Date.UTC(2000, 0, 3),
        "quote.SP500",
        '{"symbol":"SP500","price":1455.219971,"date":"2000-01-03","open":1469.250000,"high":1478.000000,"low":1438.359985,"close":1455.219971,"volume":12345678901234567890}',
      ],
    ]);
  });

  it("may have quoted fields, other names, blank lines and rows without a price", () => {
    const text =
      '"Ticker","Time","Last","Note"\n"A","2000-01-01T00:00:01Z","1.0","a, ""b"""\n\nA,2000-01-01T00:00:02Z,,x\n';
    expect(parsed("x.csv", text)).toEqual([
      [Date.UTC(2000, 0, 1, 0, 0, 1), "quote.A", '{"symbol":"A","price":1.0,"time":"2000-01-01T00:00:01Z"}'],
    ]);
  });

  it.each([
    ["no header that we know", "a,b\n1,2\n", "x.csv:1: no column called date or time"],
    ["no price column", "date,b\n1,2\n", "x.csv:1: no column called price or close"],
    ["a field too many", "date,price\n2000-01-01,1,2\n", "x.csv:2: 3 fields where the header has 2"],
    [
      "a price with a comma",
      'date,price\n2000-01-01,"1,000"\n',
      "x.csv:2: the price is not a decimal number",
    ],
    [
      "a price with a leading zero",
      "date,price\n2000-01-01,01\n",
      "x.csv:2: the price is not a decimal number",
    ],
    ["no number", "date,price\n2000-01-01,NaN\n", "x.csv:2: the price is not a decimal number"],
    ["no date", "date,price\nsoon,1\n", "x.csv:2: neither a date nor a time such as 2000-01-31T14:30:00Z"],
    [
      "a symbol that is no topic",
      "symbol,date,price\n^GSPC,2000-01-01,1\n",
      /^x\.csv:2: the symbol makes no topic/,
    ],
    ["an open quote", 'date,price\n"2000-01-01,1\n', "x.csv:2: a quoted field does not end"],
    ["nothing but a header", "date,price\n", "x.csv: there are no prices in it"],
    ["nothing", "", "x.csv: there are no prices in it"],
  ])("with %s is refused", (_name, text, message) => {
    expect(() => parsed("x.csv", text)).toThrow(message);
  });

  it("that is not UTF-8 is refused", () => {
    expect(() => parseRecording("x.csv", Buffer.from("date,price\n\xff,1\n", "latin1"))).toThrow(
      "x.csv:2: not UTF-8",
    );
  });
});

describe("NDJSON", () => {
  it("names its topic and keeps its data byte for byte, or is a quote as it stands", () => {
    const text =
      '{"topic":"trade.A","time":"2000-01-01T00:00:02Z","data": {"price":1.10, "id":12345678901234567890} }\r\n\n' +
      '{"symbol":"A","price":1.20,"time":946684801000}';
    expect(parsed("x.ndjson", text)).toEqual([
      [946_684_801_000, "quote.A", '{"symbol":"A","price":1.20,"time":946684801000}'],
      [946_684_802_000, "trade.A", '{"price":1.10, "id":12345678901234567890}'],
    ]);
  });

  it.each([
    ["no JSON", "{", "x.jsonl:1: not a JSON object"],
    ["a list", "[]", "x.jsonl:1: not a JSON object"],
    ["no time", '{"topic":"a","data":1}', /^x\.jsonl:1: "time" must be/],
    ["a time that is an object", '{"topic":"a","data":1,"time":{}}', /^x\.jsonl:1: "time" must be/],
    ["a bad topic", '{"topic":"a b","data":1,"time":1}', /^x\.jsonl:1: a topic is segments/],
    ["no topic", '{"data":1,"time":1}', /^x\.jsonl:1: /],
    ["no data", '{"topic":"a","time":1}', 'x.jsonl:1: "data" is missing'],
    ["no price", '{"symbol":"A","time":1}', /^x\.jsonl:1: neither/],
  ])("with %s is refused", (_name, text, message) => {
    expect(() => parsed("x.jsonl", text)).toThrow(message);
  });
});

describe("files", () => {
  it.each([
    ["of no known kind", "package.json", "the name must end with .csv, .ndjson or .jsonl"],
    ["that do not exist", "/nonexistent.csv", "no such file"],
  ])("%s are refused", (_name, file, message) => {
    expect(() => readRecording(file)).toThrow(message);
  });

  it("that come with Tapecast are real prices in time order, digits as recorded", () => {
    const [stocks, index] = recordedFiles.map((file) => readRecording(file));
    expect(stocks?.publications).toHaveLength(560);
    expect(index?.publications).toHaveLength(5105);
    expect(stocks?.recordedMsPerSec).toBe(31 * dayMs);
    expect(index?.recordedMsPerSec).toBe(dayMs);
    expect(new Set(stocks?.publications.map((publication) => publication.topic))).toEqual(
      new Set(["quote.MSFT", "quote.AMZN", "quote.IBM", "quote.GOOG", "quote.AAPL"]),
    );
    for (const recording of [stocks, index]) {
      const times = recording?.publications.map((publication) => publication.time.ms) ?? [];
      expect(times).toEqual([...times].sort((one, other) => one - other));
    }
    // Independent of the reader: every row of the file is there with its price's own digits.
    const rows = readFileSync(recordedFiles[0] ?? "", "utf8")
      .trim()
      .split("\n")
      .slice(1);
    const published = new Set(stocks?.publications.map(({ data }) => Buffer.from(data).toString()));
    for (const row of rows) {
      const [symbol, date = "", price] = row.split(",");
      const day = dateText(recordedTime(date)?.ms ?? 0);
      expect(published).toContain(`{"symbol":"${symbol}","price":${price},"date":"${day}"}`);
    }
  });
});
