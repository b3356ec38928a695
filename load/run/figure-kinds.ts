/** Figures of the kinds that come again and again. */
import type { Figure } from "./load-result.ts";

/** Milliseconds, of which fewer are better. */
export function msFigure(name: string, label: string, value: number): Figure {
  return { name, label, value, unit: "ms", better: "lower" };
}

/** How many. */
export function countFigure(
  name: string,
  label: string,
  value: number,
  better: Figure["better"] = null,
): Figure {
  return { name, label, value, unit: "", better };
}
