/**
 * The client's side of the handshake (RFC 6455 §4.1), for our own clients: the command line, the load scenarios, the
 * tests. As strict as the server's side, and as ignorant of sockets.
 */

import { randomBytes } from "node:crypto";

import { invariant } from "../base/errors.ts";
import { acceptKey } from "./accept-response.ts";
import { listContains, readFieldLines } from "./field-values.ts";

/** Where to: `host` as it stands in Host (with brackets and port where needed), `target` is path and query. */
export interface ClientTarget {
  readonly host: string;
  readonly target: string;
}

/**
 * What the server answered. `incomplete`: call again with more. `refused`: not a 101, or one that breaks the rules;
 * `problem` says which. `headBytes` is where the frames, or the body of a refusal, begin.
 */
export type ServerResponse =
  | { readonly kind: "incomplete" }
  | {
      readonly kind: "accepted";
      readonly subprotocol: string | null;
      readonly headers: ReadonlyMap<string, string>;
      readonly headBytes: number;
    }
  | {
      readonly kind: "refused";
      /** 0 when the answer is not HTTP. */
      readonly status: number;
      readonly problem: string;
      readonly headers: ReadonlyMap<string, string>;
      readonly headBytes: number;
    };

const headEnd = Buffer.from("\r\n\r\n");
const statusLinePattern = /^HTTP\/1\.1 ([1-9]\d\d)(?: [\t\u0020-\u007e\u0080-\u00ff]*)?$/;
const safePattern = /^[\u0021-\u007e][\t\u0020-\u007e]*$/;
const linesMax = 256;

/** A fresh Sec-WebSocket-Key. RFC 6455 §4.1: "a nonce consisting of a randomly selected 16-byte value". */
export function createKey(): string {
  return randomBytes(16).toString("base64");
}

/**
 * The bytes of a handshake request.
 * @param headers further lines, such as Origin or Authorization.
 * @throws InvariantError when a part would break the head apart (CR, LF, control characters).
 */
export function clientRequest(
  to: ClientTarget,
  key: string,
  subprotocols: readonly string[] = [],
  headers: Readonly<Record<string, string>> = {},
): Buffer {
  const lines: Record<string, string> = {
    Host: to.host,
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": key,
    "Sec-WebSocket-Version": "13",
    ...(subprotocols.length === 0 ? {} : { "Sec-WebSocket-Protocol": subprotocols.join(", ") }),
    ...headers,
  };
  invariant(/^\/[\u0021-\u007e]*$/.test(to.target), "a request target is a path of visible ASCII");
  let text = `GET ${to.target} HTTP/1.1\r\n`;
  for (const [name, value] of Object.entries(lines)) {
    invariant(safePattern.test(value), `header ${name} is visible ASCII`);
    text += `${name}: ${value}\r\n`;
  }
  return Buffer.from(`${text}\r\n`, "latin1");
}

/**
 * Reads the server's answer.
 * @param bytes all that came so far, borrowed.
 * @param key what `clientRequest` sent.
 * @param subprotocols what `clientRequest` offered.
 */
export function readServerResponse(
  bytes: Buffer,
  key: string,
  subprotocols: readonly string[] = [],
): ServerResponse {
  const end = bytes.indexOf(headEnd);
  if (end === -1) return { kind: "incomplete" };
  const headBytes = end + headEnd.length;
  const text = bytes.toString("latin1", 0, end);
  const lineEnd = text.indexOf("\r\n");
  const status = Number(statusLinePattern.exec(lineEnd === -1 ? text : text.slice(0, lineEnd))?.[1] ?? 0);
  const fields = lineEnd === -1 ? [] : readFieldLines(text.slice(lineEnd + 2), linesMax);
  const headers = new Map<string, string>();
  if (status === 0 || fields === null) {
    return { kind: "refused", status: 0, problem: "the answer is not HTTP/1.1", headers, headBytes };
  }
  let name = "";
  for (const [index, field] of fields.entries()) {
    if (index % 2 === 0) {
      name = field.toLowerCase();
      continue;
    }
    const earlier = headers.get(name);
    headers.set(name, earlier === undefined ? field : `${earlier}, ${field}`);
  }
  const problem = responseProblem(status, headers, key, subprotocols);
  if (problem !== null) return { kind: "refused", status, problem, headers, headBytes };
  return { kind: "accepted", subprotocol: headers.get("sec-websocket-protocol") ?? null, headers, headBytes };
}

/** RFC 6455 §4.1, the numbered list of what "the client MUST validate". */
function responseProblem(
  status: number,
  headers: ReadonlyMap<string, string>,
  key: string,
  subprotocols: readonly string[],
): string | null {
  if (status !== 101) return `the server answered ${status}`;
  // 2. and 3.: Upgrade is "websocket", Connection contains "Upgrade", both whatever their case.
  if (headers.get("upgrade")?.toLowerCase() !== "websocket") return "Upgrade is not websocket";
  if (!listContains(headers.get("connection") ?? "", "upgrade")) return "Connection does not name upgrade";
  // 4.: the answer proves that the server understood this very request.
  if (headers.get("sec-websocket-accept") !== acceptKey(key))
    return "Sec-WebSocket-Accept does not fit the key";
  // 5.: we never offer an extension.
  if (headers.has("sec-websocket-extensions")) return "the server chose an extension that was not offered";
  // 6.: "a subprotocol that was not present in the client's handshake".
  const subprotocol = headers.get("sec-websocket-protocol");
  if (subprotocol !== undefined && !subprotocols.includes(subprotocol)) {
    return "the server chose a subprotocol that was not offered";
  }
  return null;
}
