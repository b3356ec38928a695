/** Tables of text for a terminal: columns as wide as they need, by what a terminal shows and not by characters. */
import stringWidth from "string-width";

export interface TextColumn<Row> {
  readonly title: string;
  /** Left for words, right for numbers. */
  readonly align: "left" | "right";
  readonly text: (row: Row) => string;
  /** This column gives way when there is no room; at most one. */
  readonly shrinks?: boolean;
}

const gap = 2;

/** Header and one line a row, none wider than `columnsMax`. What does not fit of the last columns is cut. */
export function textTable<Row>(
  columns: readonly TextColumn<Row>[],
  rows: readonly Row[],
  columnsMax: number,
): string[] {
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ text }) => text(row))),
  ];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => stringWidth(line[index] ?? ""))));
  const excess = widths.reduce((sum, width) => sum + width + gap, -gap) - columnsMax;
  const shrinking = columns.findIndex(({ shrinks }) => shrinks === true);
  if (excess > 0 && shrinking !== -1) widths[shrinking] = Math.max(8, (widths[shrinking] ?? 0) - excess);
  return cells.map((line) => {
    const padded = line.map((cell, index) =>
      fitted(cell, widths[index] ?? 0, columns[index]?.align ?? "left"),
    );
    return shortened(padded.join(" ".repeat(gap)), columnsMax).trimEnd();
  });
}

/** At most so wide, with an ellipsis where something is left out. */
export function shortened(text: string, width: number): string {
  if (stringWidth(text) <= width) return text;
  let kept = "";
  for (const character of text) {
    if (stringWidth(kept + character) > width - 1) break;
    kept += character;
  }
  return `${kept}…`;
}

function fitted(text: string, width: number, align: "left" | "right"): string {
  const cut = shortened(text, width);
  const space = " ".repeat(Math.max(0, width - stringWidth(cut)));
  return align === "left" ? cut + space : space + cut;
}
