/** The head of the server's answer to a handshake, and what RFC 6455 §4.1 says that "the client MUST validate". */
import { createHash } from "node:crypto";

/** An answer as it came. */
export interface ResponseHead {
  readonly status: number;
  readonly statusLine: string;
  /** Names in lower case. */
  readonly fields: readonly (readonly [name: string, value: string])[];
}

/** What is agreed on for a connection with permessage-deflate. */
export interface Agreement {
  readonly serverNoContext: boolean;
  readonly clientNoContext: boolean;
  readonly serverBits: number;
  readonly clientBits: number;
  /** The names of all parameters, as answered. */
  readonly parameters: ReadonlyMap<string, string | null>;
}

/** Null while the head is not whole. */
export function readResponse(bytes: Buffer): { head: ResponseHead; headBytes: number } | null {
  const end = bytes.indexOf("\r\n\r\n");
  if (end === -1) return null;
  const [statusLine = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  const fields = lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  const status = Number(/^HTTP\/1\.\d (\d{3})(?: |$)/.exec(statusLine)?.[1] ?? 0);
  return { head: { status, statusLine, fields }, headBytes: end + 4 };
}

/** The values of a field, in order. */
export function valuesOf({ fields }: ResponseHead, name: string): string[] {
  return fields.filter(([each]) => each === name).map(([, value]) => value);
}

/** What is wrong with a 101; null when a client may go on. */
export function problemOf101(
  head: ResponseHead,
  sent: { readonly key: string; readonly protocols: readonly string[]; readonly offersExtensions: boolean },
): string | null {
  const one = (name: string): string | null => {
    const values = valuesOf(head, name);
    return values.length === 1 ? values[0]! : null;
  };
  if (!/^HTTP\/1\.1 101(?: |$)/.test(head.statusLine)) return `the status line is ${head.statusLine}`;
  if (one("upgrade")?.toLowerCase() !== "websocket") return "Upgrade is not websocket";
  const options = valuesOf(head, "connection").flatMap((value) => value.toLowerCase().split(/[ \t]*,[ \t]*/));
  if (!options.includes("upgrade")) return "Connection does not name upgrade";
  const accept = createHash("sha1")
    .update(`${sent.key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64");
  if (one("sec-websocket-accept") !== accept) return "Sec-WebSocket-Accept does not fit the key";
  const protocols = valuesOf(head, "sec-websocket-protocol");
  if (protocols.length > 1) return "Sec-WebSocket-Protocol stands more than once";
  if (protocols[0] !== undefined && !sent.protocols.includes(protocols[0]))
    return `the subprotocol ${protocols[0]} was not offered`;
  const extensions = valuesOf(head, "sec-websocket-extensions");
  if (extensions.length > 0 && !sent.offersExtensions) return "an extension that was not offered";
  return null;
}

/** What the answer says of permessage-deflate. @throws Error for one that breaks RFC 7692 §7.1 by itself. */
export function agreementOf(head: ResponseHead): Agreement | null {
  const value = valuesOf(head, "sec-websocket-extensions").join(", ");
  if (value === "") return null;
  if (value.includes(",")) throw new Error(`several extensions were accepted: ${value}`);
  const [name = "", ...parts] = value.split(";").map((part) => part.trim());
  if (name !== "permessage-deflate") throw new Error(`the extension ${name} was accepted`);
  const parameters = new Map<string, string | null>();
  for (const part of parts) {
    const [, parameter = "", raw] = /^([a-z_]+)(?:[ \t]*=[ \t]*"?([^"]*)"?)?$/.exec(part) ?? [];
    if (parameters.has(parameter)) throw new Error(`${parameter} was answered twice`);
    parameters.set(parameter, raw ?? null);
  }
  for (const [parameter, raw] of parameters) {
    const isFlag = parameter === "server_no_context_takeover" || parameter === "client_no_context_takeover";
    const isBits = parameter === "server_max_window_bits" || parameter === "client_max_window_bits";
    const isGood = isFlag ? raw === null : isBits && /^(?:[89]|1[0-5])$/.test(raw ?? "");
    if (!isGood) throw new Error(`the answer has ${parameter}=${raw}`);
  }
  return {
    parameters,
    serverNoContext: parameters.has("server_no_context_takeover"),
    clientNoContext: parameters.has("client_no_context_takeover"),
    serverBits: Number(parameters.get("server_max_window_bits") ?? 15),
    clientBits: Number(parameters.get("client_max_window_bits") ?? 15),
  };
}
