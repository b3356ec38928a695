/**
 * The opening handshake judged the slow way: regular expressions over the whole head, written from RFC 6455 §4.2.1,
 * §9.1 and RFC 7692 §7.1. Shares no code with src/handshake.
 */

/** `other` is no plain GET; a number is the status of the refusal, 101 included. */
export type TwinVerdict =
  | "incomplete"
  | "other"
  | { readonly status: number; readonly deflate: string | null };

const token = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const headPattern = new RegExp(
  `^GET (/[!-~]*) HTTP/1\\.1((?:\\r\\n${token}:[\\t\\x20-\\x7e\\x80-\\xff]*)*)\\r\\n\\r\\n`,
);
const linesMax = 128;
const once = [
  "authorization",
  "content-length",
  "host",
  "origin",
  "sec-websocket-key",
  "sec-websocket-version",
];

/** @param bytes all that came. */
export function handshakeTwin(bytes: Buffer): TwinVerdict {
  const text = bytes.toString("latin1");
  if (!"GET ".startsWith(text.slice(0, 4))) return "other";
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return /^[^\n]*(?<!\r)\n/.test(text) ? "other" : "incomplete";
  const match = headPattern.exec(text);
  if (match === null || match[0].length !== end + 4) return "other";
  const lines = (match[2] ?? "").split("\r\n").slice(1);
  if (lines.length > linesMax) return "other";
  return judge(match[1] ?? "", lines);
}

function refused(status: number): TwinVerdict {
  return { status, deflate: null };
}

function judge(target: string, lines: readonly string[]): TwinVerdict {
  const field = (name: string): string[] =>
    lines
      .filter((line) => line.slice(0, line.indexOf(":")).toLowerCase() === name)
      .map((line) => line.slice(line.indexOf(":") + 1).replaceAll(/^[ \t]+|[ \t]+$/g, ""));
  const list = (name: string): string[] =>
    field(name)
      .join(",")
      .split(",")
      .map((each) => each.replaceAll(/^[ \t]+|[ \t]+$/g, ""))
      .filter((each) => each !== "");
  const names = (name: string): string[] => list(name).map((each) => each.toLowerCase());

  if (once.some((name) => field(name).length > 1)) return refused(400);
  if (field("transfer-encoding").length > 0) return refused(400);
  if (field("content-length").some((value) => !/^0+$/.test(value))) return refused(400);
  const host = field("host")[0];
  const port = /:(\d*)$/.exec(host ?? "")?.[1] ?? "";
  const name = (host ?? "").replace(/:\d*$/, "").replaceAll(/%[0-9A-Fa-f]{2}/g, "x");
  const isName = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.\-_~!$&'()*+;=]+)$/.test(name);
  if (host === undefined || !isName || port.length > 5 || Number(port) > 65_535) return refused(400);
  if (target.includes("#") || !isDecodable(target.split("?")[0] ?? "")) return refused(400);
  if (!names("upgrade").includes("websocket") || !names("connection").includes("upgrade"))
    return refused(400);
  if (field("sec-websocket-version")[0] !== "13") return refused(426);
  if (!/^[A-Za-z0-9+/]{22}==$/.test(field("sec-websocket-key")[0] ?? "")) return refused(400);
  if (field("sec-websocket-protocol").length > 0) {
    const offered = list("sec-websocket-protocol");
    const isGood = offered.length > 0 && offered.every((name) => new RegExp(`^${token}$`).test(name));
    if (!isGood || new Set(offered).size < offered.length) return refused(400);
  }
  const extensions = field("sec-websocket-extensions");
  if (extensions.length === 0) return { status: 101, deflate: null };
  const offers = readOffers(extensions.join(", "));
  return offers === null ? refused(400) : { status: 101, deflate: answerTo(offers) };
}

function isDecodable(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}

/** One offer, its name first: `a; b; c="d"`. */
function readOffers(value: string): [name: string, value: string | null][][] | null {
  const space = "[ \\t]*";
  const quoted = '"(?:[^"\\\\]|\\\\.)*"';
  const parameter = `${space};${space}${token}${space}(?:=${space}(?:${token}|${quoted})${space})?`;
  const extension = `${token}${space}(?:${parameter})*`;
  if (
    !new RegExp(`^(?:${space},)*${space}${extension}${space}(?:,${space}(?:${extension}${space})?)*$`).test(
      value,
    )
  )
    return null;
  const offers: [string, string | null][][] = [];
  const element = new RegExp(extension, "g");
  for (const [text] of value.matchAll(element)) {
    const parts = [...text.matchAll(new RegExp(`(${token})${space}(?:=${space}(${token}|${quoted}))?`, "g"))];
    const offer: [string, string | null][] = [];
    for (const [, name = "", raw] of parts) {
      const plain =
        raw?.startsWith('"') === true ? raw.slice(1, -1).replaceAll(/\\(.)/g, "$1") : (raw ?? null);
      if (plain !== null && !new RegExp(`^${token}$`).test(plain)) return null;
      offer.push([name, plain]);
    }
    offers.push(offer);
  }
  return offers;
}

function answerTo(offers: readonly (readonly [string, string | null])[][]): string | null {
  for (const [extension, ...parameters] of offers) {
    if (extension?.[0] !== "permessage-deflate") continue;
    const isGood =
      new Set(parameters.map(([name]) => name)).size === parameters.length &&
      parameters.every(
        ([name, value]) =>
          (/^(?:server|client)_no_context_takeover$/.test(name) && value === null) ||
          (name === "client_max_window_bits" && value === null) ||
          (/^(?:server|client)_max_window_bits$/.test(name) && /^(?:[89]|1[0-5])$/.test(value ?? "")),
      );
    if (!isGood) continue;
    const bits = parameters.find(([name]) => name === "server_max_window_bits")?.[1];
    const answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    return bits === undefined ? answer : `${answer}; server_max_window_bits=${bits}`;
  }
  return null;
}
