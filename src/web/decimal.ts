/**
 * Exact differences of prices given as text. Binary floating point turns 189.40 − 189.30 into 0.0999…, and a page
 * about prices must not.
 */

interface Decimal {
  readonly digits: bigint;
  /** Digits after the point. */
  readonly scale: number;
}

const decimalPattern = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,3}))?$/;

/** Whether `text` is a number as JSON writes it, of a size that a price can have. */
export function isDecimal(text: string): boolean {
  return parseDecimal(text) !== null;
}

/** `later` − `earlier` with the decimals of the more precise of the two, or null when one is no number. */
export function difference(later: string, earlier: string): string | null {
  const first = parseDecimal(later);
  const second = parseDecimal(earlier);
  if (first === null || second === null) return null;
  const scale = Math.max(first.scale, second.scale);
  const digits = scaled(first, scale) - scaled(second, scale);
  const magnitude = (digits < 0n ? -digits : digits).toString().padStart(scale + 1, "0");
  const whole = magnitude.slice(0, magnitude.length - scale);
  const fraction = scale === 0 ? "" : `.${magnitude.slice(-scale)}`;
  return `${digits < 0n ? "-" : ""}${whole}${fraction}`;
}

/** How much `later` is above `earlier` in percent, two decimals; null where that has no meaning (from zero). */
export function percentChange(later: string, earlier: string): string | null {
  const change = difference(later, earlier);
  const base = Math.abs(Number(earlier));
  if (change === null || base === 0) return null;
  const percent = ((Number(change) / base) * 100).toFixed(2);
  return percent === "-0.00" ? "0.00" : percent;
}

function parseDecimal(text: string): Decimal | null {
  const match = text.length > 64 ? null : decimalPattern.exec(text);
  if (match === null) return null;
  const [, sign = "", whole = "0", fraction = "", exponent = "0"] = match;
  const scale = fraction.length - Number(exponent);
  const digits = BigInt(sign + whole + fraction);
  return scale >= 0 ? { digits, scale } : { digits: digits * 10n ** BigInt(-scale), scale: 0 };
}

function scaled(decimal: Decimal, scale: number): bigint {
  return decimal.digits * 10n ** BigInt(scale - decimal.scale);
}
