/** What is said to this machine by a name that only this machine has. */
import { canonicalAddress, isLoopback, isUnspecified } from "./ip-address.ts";

/**
 * Whether a Host field names this machine: a loopback address, `localhost`, a name without a dot.
 * DNS rebinding: a page of evil.example whose name is made to lead to 127.0.0.1 sends its requests from this machine,
 * to us, as its own origin. What it cannot do is to send another Host. Names without a dot lead to no page of a
 * stranger's.
 */
export function namesThisMachine(host: string | null): boolean {
  const name = (host ?? "").toLowerCase().replace(/:\d*$/, "");
  const address = /^\[(.*)\]$/.exec(name)?.[1] ?? name;
  if (canonicalAddress(address) !== null) return isLoopback(address) || isUnspecified(address);
  return !name.includes(".") || name.endsWith(".localhost");
}
