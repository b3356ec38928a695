/** The geometry of a sparkline: values in, SVG points out. */

/** Fewer values than this do not stretch over the whole width: the line grows from the right like a tape. */
const fullWidthCount = 24;
/** Kept free at each edge, so that neither the stroke nor the end dot is cut. */
const margin = 3;

/**
 * Places `values` in a box, the newest at the right edge, the lowest at the bottom.
 * @returns for the `points` attribute of a polyline; empty without values.
 */
export function sparklinePoints(values: readonly number[], width: number, height: number): string {
  const low = Math.min(...values);
  const span = Math.max(...values) - low;
  const step = (width - 2 * margin) / (Math.max(fullWidthCount, values.length) - 1);
  return values
    .map((value, index) => {
      const x = width - margin - (values.length - 1 - index) * step;
      const share = span === 0 ? 0.5 : (value - low) / span;
      const y = height - margin - share * (height - 2 * margin);
      return `${round(x)},${round(y)}`;
    })
    .join(" ");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
