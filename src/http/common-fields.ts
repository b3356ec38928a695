/**
 * The header fields that every HTTP answer carries, for those answers that are written by hand because no request was
 * ever read: refused handshakes, heads that are too large or too slow, bytes that are no HTTP.
 */
import { securityHeaders } from "./security-headers.ts";

const constantLines = Object.entries({ "cache-control": "no-store", ...securityHeaders })
  .map(([name, value]) => `${name}: ${value}\r\n`)
  .join("");

let second = -1;
let lines = "";

/**
 * Header lines, each with its CR LF. RFC 9110 §6.6.1: "An origin server with a clock MUST generate a Date header field
 * in all 2xx (Successful), 3xx (Redirection), and 4xx (Client Error) responses".
 * Cost: built once a second.
 */
export function commonFieldLines(wallMs: number = Date.now()): string {
  const now = Math.floor(wallMs / 1000);
  if (now !== second) {
    second = now;
    lines = `date: ${new Date(wallMs).toUTCString()}\r\n${constantLines}`;
  }
  return lines;
}
