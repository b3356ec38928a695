/**
 * Other people's text, made fit for one line on our pages. Pages set text only as text, so markup is harmless; what
 * is left are characters that break a line's looks: controls, direction overrides, towers of combining marks.
 */

// Format characters but the joiners, which emoji and several scripts need.
const invisible = /[\p{Cc}\p{Cs}]|(?![\u200c\u200d])\p{Cf}/gu;
const breaks = /[\s\u2028\u2029]+/gu;
const markTower = /(\p{M}{3})\p{M}+/gu;

/** @param codePointsMax longest result in code points; what is longer is cut and ends in an ellipsis. */
export function plainText(text: string, codePointsMax: number): string {
  // A cut in UTF-16 units first, so that a huge text costs no more than a long one.
  const rough = text.slice(0, codePointsMax * 16);
  const line = rough
    .normalize("NFC")
    .replace(breaks, " ")
    .replace(invisible, "")
    .replace(markTower, "$1")
    .trim();
  const points = Array.from(line);
  return points.length <= codePointsMax ? line : `${points.slice(0, codePointsMax - 1).join("")}…`;
}

/** Length in code points, as limits on input count it. */
export function codePointCount(text: string): number {
  return Array.from(text).length;
}
