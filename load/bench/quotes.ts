/** The message of the benchmarks: a quote of about 140 bytes, as publisher.cpp writes it. */

/** The `number`-th one. */
export function quoteJson(number: number): string {
  const cents = 18_930 + ((number * 37) % 200);
  const size = 100 * (1 + (number % 20));
  const volume = 1_000_000 + ((number * 7919) % 9_000_000);
  return `{"t":4410613543997,"s":0,"n":${number},"price":${price(cents)},"bid":${price(cents - 1)},"ask":${price(cents + 1)},"size":${size},"open":189.12,"change":0.18,"volume":${volume},"venue":"N"}`;
}

function price(cents: number): string {
  return (cents / 100).toFixed(2);
}
