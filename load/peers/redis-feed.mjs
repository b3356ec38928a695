/**
 * The least that reads publications from Redis: SUBSCRIBE, and RESP2 parsed in place. What the peers that have no
 * Redis client of their own are fed with, so that their cost is theirs and not a client library's.
 */

const newline = 0x0a;
const zero = 0x30;

/** The commands that subscribe to `count` channels, prefix0 to prefix{count-1}. */
export function subscribeCommands(prefix, count) {
  let commands = "";
  for (let index = 0; index < count; index += 1) {
    const channel = `${prefix}${index}`;
    commands += `*2\r\n$9\r\nSUBSCRIBE\r\n$${channel.length}\r\n${channel}\r\n`;
  }
  return commands;
}

/**
 * Calls `onMessage(channel, payload)` for each message in what Redis sent. The payload is a view of the chunk.
 * Returns a function that takes chunks.
 */
export function createReader(onMessage) {
  let rest = null;
  return (chunk) => {
    const bytes = rest === null ? chunk : Buffer.concat([rest, chunk]);
    const used = readMessages(bytes, onMessage);
    rest = used === bytes.length ? null : Buffer.from(bytes.subarray(used));
  };
}

function readMessages(bytes, onMessage) {
  let used = 0;
  let at = 0;
  let start = 0;
  // Sets `start` and moves `at` behind a bulk string; false when it is not whole.
  const bulk = () => {
    let length = 0;
    let index = at + 1;
    while (index < bytes.length && bytes[index] >= zero) {
      length = length * 10 + bytes[index] - zero;
      index += 1;
    }
    start = index + 2;
    at = start + length + 2;
    return at <= bytes.length;
  };
  for (;;) {
    // *3 $7 message $n channel $n payload, or *3 $9 subscribe $n channel :n
    at = used + 4;
    if (at >= bytes.length || !bulk()) return used;
    const isMessage = at - start === 9;
    if (!bulk()) return used;
    const channelStart = start;
    const channelEnd = at - 2;
    if (isMessage) {
      if (!bulk()) return used;
      onMessage(bytes.latin1Slice(channelStart, channelEnd), bytes.subarray(start, at - 2));
    } else {
      const end = bytes.indexOf(newline, at);
      if (end === -1) return used;
      at = end + 1;
    }
    used = at;
  }
}
