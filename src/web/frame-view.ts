/** A dissected frame in the page: all its bytes in one line, a table of its fields, the payload byte by byte. */
import { make } from "./elements.ts";
import { characterCells, hexText, opcodeName } from "./frame-dissector.ts";
import type { DissectedFrame } from "./frame-dissector.ts";
import type { LessonKey } from "./lesson-texts.ts";
import type { Texts } from "./texts.ts";

/** Payload bytes shown one by one, and in the line of all bytes. */
const payloadBytesMax = 48;
const closeOpcode = 8;

/** Builds the view of one frame. @param heading the key of its heading, which takes the frame's length in bytes. */
export function frameView(frame: DissectedFrame, heading: LessonKey, texts: Texts<LessonKey>): HTMLElement {
  const title = make("h3", "");
  texts.put(title, heading, frameLength(frame));
  const view = make("section", "frame", title, hexLine(frame), fieldTable(frame, texts));
  if (frame.payload.length > 0 && frame.opcode !== closeOpcode) view.append(payloadGrid(frame, texts));
  if (!frame.complete) {
    const note = make("p", "frame-note");
    texts.put(note, "incomplete");
    view.append(note);
  }
  return view;
}

/** Bytes of the whole frame. */
export function frameLength(frame: DissectedFrame): number {
  return frame.header.length + frame.extendedLength.length + frame.maskingKey.length + frame.payload.length;
}

function hexLine(frame: DissectedFrame): HTMLElement {
  const line = make("p", "hex-line");
  const parts: readonly (readonly [className: string, bytes: Uint8Array])[] = [
    ["part-first", frame.header.subarray(0, 1)],
    ["part-second", frame.header.subarray(1)],
    ["part-extended", frame.extendedLength],
    ["part-key", frame.maskingKey],
    [frame.masked ? "part-wire" : "part-plain", frame.payload.subarray(0, payloadBytesMax)],
  ];
  for (const [className, bytes] of parts) {
    if (bytes.length > 0) line.append(make("span", className, hexText(bytes)), " ");
  }
  if (frame.payload.length > payloadBytesMax) line.append("…");
  return line;
}

function fieldTable(frame: DissectedFrame, texts: Texts<LessonKey>): HTMLElement {
  const body = make("tbody", "");
  const row = (className: string, bits: string, name: string, meaning: HTMLElement): void => {
    const header = make("th", "", name);
    header.scope = "row";
    body.append(make("tr", "", make("td", `bits ${className}`, bits), header, meaning));
  };
  const cell = (key: LessonKey, ...values: readonly number[]): HTMLElement => {
    const element = make("td", "");
    texts.put(element, key, ...values);
    return element;
  };
  const rsv = frame.rsv.map((bit) => (bit ? "1" : "0")).join("");
  const lengthKey = { 7: "fieldLength7", 16: "fieldLength16", 64: "fieldLength64" } as const;
  row("part-first", frame.fin ? "1" : "0", "FIN", cell(frame.fin ? "fieldFin" : "fieldNotFin"));
  row("part-first", rsv, "RSV1–3", cell(rsv === "000" ? "fieldRsvZero" : "fieldRsv"));
  row(
    "part-first",
    binary(frame.opcode, 4),
    "opcode",
    make("td", "", `${frame.opcode}: ${opcodeName(frame.opcode)}`),
  );
  row("part-second", frame.masked ? "1" : "0", "MASK", cell(frame.masked ? "fieldMasked" : "fieldUnmasked"));
  row(
    "part-second",
    binary(frame.lengthBits, 7),
    "length",
    cell(lengthKey[frame.lengthForm], frame.payloadLength),
  );
  if (frame.lengthForm !== 7) {
    row(
      "part-extended",
      hexText(frame.extendedLength),
      "extended",
      cell("fieldExtended", frame.payloadLength),
    );
  }
  if (frame.masked) row("part-key", hexText(frame.maskingKey), "key", cell("fieldKey"));
  const [high, low] = frame.unmasked;
  if (frame.opcode === closeOpcode && high !== undefined && low !== undefined) {
    // RFC 6455 §5.5.1: "the first two bytes of the body MUST be a 2-byte unsigned integer"
    row(
      "part-plain",
      hexText(frame.unmasked.subarray(0, 2)),
      "code",
      make("td", "", String(high * 256 + low)),
    );
  }
  return make("table", "fields", body);
}

function binary(value: number, width: number): string {
  return value.toString(2).padStart(width, "0");
}

/** One column per byte, which wraps: on the wire, key, payload, character. */
function payloadGrid(frame: DissectedFrame, texts: Texts<LessonKey>): HTMLElement {
  const wire = frame.payload.subarray(0, payloadBytesMax);
  const characters = characterCells(frame.unmasked.subarray(0, payloadBytesMax));
  const grid = make("div", "payload-grid", legend(frame.masked, texts));
  // The line of all bytes says the same to a screen reader in fewer words.
  grid.ariaHidden = "true";
  for (const [index, byte] of wire.entries()) {
    const column = make("div", "payload-byte");
    if (frame.masked) {
      column.append(make("span", "part-wire", hexText(Uint8Array.of(byte))));
      column.append(make("span", "part-key", hexText(frame.maskingKey.subarray(index % 4, (index % 4) + 1))));
    }
    column.append(make("span", "part-plain", hexText(frame.unmasked.subarray(index, index + 1))));
    column.append(make("span", "payload-character", characters[index] ?? ""));
    grid.append(column);
  }
  if (frame.payload.length > payloadBytesMax) {
    const more = make("span", "payload-more");
    texts.put(more, "more", frame.payload.length - payloadBytesMax);
    grid.append(more);
  }
  return grid;
}

function legend(isMasked: boolean, texts: Texts<LessonKey>): HTMLElement {
  const rows: readonly (readonly [className: string, key: LessonKey])[] = [
    ["part-wire", "rowWire"],
    ["part-key", "rowKey"],
    ["part-plain", "rowPlain"],
    ["payload-character", "rowText"],
  ];
  const column = make("div", "payload-legend");
  for (const [className, key] of isMasked ? rows : rows.slice(2)) {
    const label = make("span", className);
    texts.put(label, key);
    column.append(label);
  }
  return column;
}
