/** Bytes as an attacker sends them, and what the server makes of them. */
import { connect } from "node:net";

import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { RawPeer, type PeerEvent } from "../connection/raw-peer.ts";

/** Sizes of the heavy rows: 1 for a build that many share, more by hand. */
export const scale = Number(process.env["ABUSE_SCALE"] ?? 1);

/** Lines of a good handshake by name; what a row gives instead takes their place, null takes a line out. */
export function handshake(
  lines: Readonly<Record<string, string | readonly string[] | null>> = {},
  requestLine = "GET /ws HTTP/1.1",
): string {
  const all = {
    Host: "127.0.0.1",
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    ...lines,
  };
  const text = Object.entries(all).flatMap(([name, value]) =>
    value === null ? [] : [value].flat().map((each) => `${name}: ${each}\r\n`),
  );
  return `${requestLine}\r\n${text.join("")}\r\n`;
}

/** What the server answered, and whether it then closed. */
export interface RawAnswer {
  readonly text: string;
  readonly status: number;
  readonly isClosed: boolean;
}

/** Sends bytes on a connection of their own and reads until the server upgrades or closes, or has said nothing for `quietMs`. */
export function answerTo(where: string, bytes: string | Uint8Array, quietMs = 250): Promise<RawAnswer> {
  const { hostname, port } = new URL(where);
  return new Promise((resolve) => {
    let text = "";
    const socket = connect({ host: hostname, port: Number(port) });
    const finish = (isClosed: boolean): void => {
      socket.removeAllListeners("timeout");
      socket.destroy();
      resolve({ text, status: Number(/^HTTP\/1\.1 (\d{3}) /u.exec(text)?.[1] ?? 0), isClosed });
    };
    // Silence counts once there is an answer: a busy machine may take its time with it.
    socket.setTimeout(Math.max(10_000, quietMs), () => finish(false));
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      // Behind a 101 come frames, which are not for this function.
      if (text.startsWith("HTTP/1.1 101 ") && text.includes("\r\n\r\n")) return finish(false);
      socket.setTimeout(quietMs);
    });
    socket.on("error", () => undefined);
    socket.on("close", () => finish(true));
    socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  });
}

/** Upgrades with further header lines, such as an offer of extensions. */
export async function upgrade(
  where: string,
  target: string,
  lines: Readonly<Record<string, string>> = {},
): Promise<RawPeer & { readonly head: string }> {
  const peer = await RawPeer.connect(where);
  peer.send(handshake(lines, `GET ${target} HTTP/1.1`));
  await peer.until(() => peer.received.includes("\r\n\r\n"), 10_000);
  const headBytes = peer.received.indexOf("\r\n\r\n") + 4;
  const head = peer.received.toString("latin1", 0, headBytes);
  if (!head.startsWith("HTTP/1.1 101 ")) throw new Error(`refused: ${head}`);
  peer.readFrames(headBytes, /permessage-deflate/u.test(head));
  return Object.assign(peer, { head });
}

/** A frame with a header of its own: first byte, length as it is claimed, mask or none, payload. */
export function frame(first: number, payload: Uint8Array | string = "", options: FrameForm = {}): Buffer {
  const bytes = Buffer.from(payload);
  const {
    claims = bytes.length,
    form = claims < 126 ? 7 : claims < 65_536 ? 16 : 64,
    isMasked = true,
  } = options;
  const mask = isMasked ? 0x80 : 0;
  const length = Buffer.alloc(form === 7 ? 1 : form === 16 ? 3 : 9);
  if (form === 7) length[0] = mask | Number(claims);
  else if (form === 16) {
    length[0] = mask | 126;
    length.writeUInt16BE(Number(claims), 1);
  } else {
    length[0] = mask | 127;
    length.writeBigUInt64BE(BigInt(claims), 1);
  }
  // A key of zeros: the payload goes as it is.
  return Buffer.concat([Buffer.of(first), length, Buffer.alloc(isMasked ? 4 : 0), bytes]);
}

interface FrameForm {
  readonly claims?: number | bigint;
  readonly form?: 7 | 16 | 64;
  readonly isMasked?: boolean;
}

/** A masked text frame. */
export function text(payload: Uint8Array | string, isFinal = true): Buffer {
  return encodeMaskedFrame(opcode.text, Buffer.from(payload), 0x01020304, isFinal);
}

/** The code with which the server ends a connection after these bytes; "open" when it does not. */
export async function closeCodeAfter(
  where: string,
  target: string,
  ...chunks: readonly Uint8Array[]
): Promise<number | "open" | "cut"> {
  const peer = await RawPeer.upgrade(where, target);
  for (const chunk of chunks) peer.send(chunk);
  return closeCodeOf(peer);
}

/** The code with which the server ends this connection, looking until it has answered a ping or has closed. */
export async function closeCodeOf(peer: RawPeer, withinMs = 10_000): Promise<number | "open" | "cut"> {
  // RFC 6455 §5.5.2: an open connection answers.
  if (!peer.isClosed && !peer.isEnded) peer.sendControl(opcode.ping, "are you there");
  await peer.until(() => peer.events.some(isAnswer) || peer.isEnded || peer.isClosed, withinMs);
  const close = peer.events.find(({ kind }) => kind === "close");
  const isOpen = close === undefined && !peer.isEnded && !peer.isClosed;
  peer.socket.destroy();
  return close?.kind === "close" ? close.code : isOpen ? "open" : "cut";
}

function isAnswer(event: PeerEvent): boolean {
  return event.kind === "close" || (event.kind === "pong" && event.text === "are you there");
}
