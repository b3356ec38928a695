/**
 * Which pages may connect (RFC 6455 §10.2). A browser always sends Origin and a page cannot change it; without one
 * the peer is no browser, and authentication decides.
 */

/** `same-origin`, `any`, or a list of exact origins such as `https://example.com:8443`. */
export type AllowedOrigins = "same-origin" | "any" | readonly string[];

const originPattern = /^(https?):\/\/(\[[0-9a-f:.]+\]|[^\s/?#@:[\]]+)(?::(\d{1,5}))?$/;
const hostPattern = /^(\[[0-9a-f:.]+\]|[^\s/?#@:[\]]+)(?::(\d{0,5}))?$/;

/**
 * Whether a present Origin may connect.
 * @param host the Host field, already checked.
 * @param scheme `https` where TLS ends here or a trusted proxy says so, `http` where such a proxy says so; null when
 * nobody knows: a proxy in front may speak TLS to the browser, so the schemes are not compared.
 */
export function isOriginAllowed(
  origin: string,
  allowed: AllowedOrigins,
  host: string,
  scheme: "http" | "https" | null,
): boolean {
  if (allowed === "any") return true;
  if (allowed !== "same-origin") return allowed.includes(origin);
  const [, originScheme = "", originName = "", originPort = ""] =
    originPattern.exec(origin.toLowerCase()) ?? [];
  const [, hostName = "", hostPort = ""] = hostPattern.exec(host.toLowerCase()) ?? [];
  // "null" (sandboxed frames, files) and all that is no web origin has no name.
  if (originName === "" || originName !== hostName) return false;
  if (scheme !== null && scheme !== originScheme) return false;
  const defaultPort = originScheme === "https" ? 443 : 80;
  return portOf(originPort, defaultPort) === portOf(hostPort, defaultPort);
}

function portOf(digits: string, defaultPort: number): number {
  return digits === "" ? defaultPort : Number(digits);
}
