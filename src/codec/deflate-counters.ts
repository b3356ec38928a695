/** What zlib did for this process, as plain integers: metrics reads them. Of messages, not of readers. */

/** One for the process: zlib is as global as the processor that it occupies. All only grow. */
export const deflateCounters = {
  /** Messages that were compressed, once however many readers they have: their payloads before, frames after. */
  deflated: 0,
  deflateBytesIn: 0,
  deflateBytesOut: 0,
  /** Messages that were tried and stay plain, because they hardly shrink. */
  unshrinkable: 0,
  /** Compressed messages that came in: their payloads as they came, and inflated. */
  inflated: 0,
  inflateBytesIn: 0,
  inflateBytesOut: 0,
};
