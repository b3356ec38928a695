/**
 * Where a topic lives in a Redis Cluster: topics are hashed onto a fixed number of partitions, and channel and key carry
 * the partition as hash tag, `tape:{p17}:quote.AAPL` and `tape:{p17}:log:quote.AAPL`. So one slot holds all that belongs
 * to a topic, and one SSUBSCRIBE takes many topics. The hash is Redis Cluster's own (CRC16), which every client library
 * has: partition = CLUSTER KEYSLOT <topic> modulo partitions.
 */

/** Slots of every Redis Cluster. */
export const slotCount = 16_384;

/** A topic's channel and the key of its log. */
export interface TopicNames {
  readonly channel: string;
  readonly log: string;
}

/**
 * @param prefix `broker.redis.prefix`.
 * @param partition null outside of a cluster.
 */
export function topicNames(prefix: string, partition: number | null, topic: string): TopicNames {
  const tagged = partition === null ? prefix : partitionPrefix(prefix, partition);
  return { channel: tagged + topic, log: `${tagged}log:${topic}` };
}

/** Before every channel and key of a partition. */
export function partitionPrefix(prefix: string, partition: number): string {
  return `${prefix}{p${partition}}:`;
}

/** @returns 0 to `partitions` - 1. Cost: one pass over the topic's bytes. */
export function partitionOf(topic: string, partitions: number): number {
  return keySlot(topic) % partitions;
}

/** The slot of a partition's channels and keys. */
export function partitionSlot(partition: number): number {
  return keySlot(`p${partition}`);
}

/** The slot of a text without braces: CRC16 (XMODEM, polynomial 0x1021) modulo 16,384, as CLUSTER KEYSLOT. */
export function keySlot(text: string): number {
  let crc = 0;
  for (const byte of Buffer.from(text)) {
    crc = ((crc << 8) ^ (crcTable[(crc >> 8) ^ byte] ?? 0)) & 0xffff;
  }
  return crc % slotCount;
}

const crcTable = Uint16Array.from({ length: 256 }, (_, index) => {
  let crc = index << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});
