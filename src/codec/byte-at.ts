/**
 * Reading one byte where the bounds are known: `noUncheckedIndexedAccess` cannot see a loop's bounds, and a check or
 * a default per byte would be a branch that nothing can take.
 */

/** `bytes[index]`, for an index that the caller keeps inside the array. Cost: inlined, one load. */
export function byteAt(bytes: Uint8Array, index: number): number {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- bytes become values here, and only here
  return bytes[index] as number;
}
