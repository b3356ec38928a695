/** A Markdown table whose columns line up in the source too, as the formatter wants it. */

/** @param rows cells; shorter rows are filled up. Numbers stand right when `right` names their column. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: ReadonlySet<number> = new Set(),
): string {
  const widths = head.map((title, column) =>
    Math.max(3, width(title), ...rows.map((row) => width(escaped(row[column] ?? "")))),
  );
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((size, column) => padded(escaped(cells[column] ?? ""), size, right.has(column))).join(" | ")} |`;
  const rule = widths.map((size, column) =>
    right.has(column) ? `${"-".repeat(size - 1)}:` : "-".repeat(size),
  );
  return [line(head), `| ${rule.join(" | ")} |`, ...rows.map(line)].join("\n");
}

function width(text: string): number {
  return text.length;
}

function padded(text: string, size: number, isRight: boolean): string {
  const filling = " ".repeat(Math.max(0, size - width(text)));
  return isRight ? filling + text : text + filling;
}

function escaped(text: string): string {
  return text.replaceAll("|", String.raw`\|`).replaceAll("\n", " ");
}
