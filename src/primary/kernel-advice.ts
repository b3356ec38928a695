/**
 * What the operator should know of the kernel before slow readers come. Read once at the start; nothing is changed.
 */
import { readFileSync } from "node:fs";

const notsentLowatPath = "/proc/sys/net/ipv4/tcp_notsent_lowat";
/** With this a reader that stops reading holds about 70 KB in the kernel; with the default up to 3.9 MB (measured). */
const notsentLowatAdvised = 16_384;
/** Above this the setting does not help. */
const notsentLowatMax = 131_072;

/**
 * A sentence of advice, or null when all is well or cannot be known (another system, a sandbox).
 * @param sendBufferBytes of connections, before the kernel doubles them; null: it decides.
 * @param readValue reads the kernel's setting; tests pass their own.
 */
export function kernelAdvice(
  sendBufferBytes: number | null,
  readValue: () => string = readNotsentLowat,
): string | null {
  let value: number;
  try {
    value = Number(readValue().trim());
  } catch {
    // Not Linux, or not readable: no advice is better than a wrong one.
    return null;
  }
  if (!Number.isFinite(value) || value <= notsentLowatMax) return null;
  const held = sendBufferBytes === null ? "3.9 MB" : `${Math.ceil((2 * sendBufferBytes) / 1000)} KB`;
  return (
    `a reader that stops reading can hold ${held} of kernel memory before Tapecast notices; ` +
    `sysctl -w net.ipv4.tcp_notsent_lowat=${notsentLowatAdvised} makes it about 70 KB`
  );
}

function readNotsentLowat(): string {
  return readFileSync(notsentLowatPath, "utf8");
}
