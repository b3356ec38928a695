/** A peer on a bare socket for tests: sends any bytes, sees every byte, and reads frames by the client's codec. */

import { connect, type NetConnectOpts, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import { MessageReader } from "../../src/codec/message-reader.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { clientRequest, createKey, readServerResponse } from "../../src/handshake/client-handshake.ts";

/** What a server's frames said, in order. */
export type PeerEvent =
  | { readonly kind: "text" | "binary" | "ping" | "pong"; readonly text: string }
  | { readonly kind: "close"; readonly code: number; readonly text: string };

/** Where to connect: an address as the front door prints it, or the options of node's connect. */
export type Where = string | NetConnectOpts;

export class RawPeer {
  readonly socket: Socket;
  readonly events: PeerEvent[] = [];
  received: Buffer = Buffer.alloc(0);
  isEnded = false;
  isClosed = false;
  error: NodeJS.ErrnoException | null = null;
  #reader: MessageReader | null = null;
  #wakers: (() => void)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      if (this.#reader === null) this.received = Buffer.concat([this.received, chunk]);
      else this.#reader.push(chunk);
      this.#wake();
    });
    socket.on("end", () => {
      this.isEnded = true;
      this.#wake();
    });
    socket.on("error", (error) => {
      this.error = error;
    });
    socket.on("close", () => {
      this.isClosed = true;
      this.#wake();
    });
  }

  static connect(where: Where): Promise<RawPeer> {
    return new Promise((resolve, reject) => {
      const isTls = typeof where === "string" && where.startsWith("https:");
      const options: NetConnectOpts = {
        ...(typeof where === "string" ? optionsOf(where) : where),
        allowHalfOpen: true,
      };
      const socket = isTls ? connectTls({ ...options, rejectUnauthorized: false }) : connect(options);
      socket.setNoDelay(true);
      socket.once("error", reject);
      socket.once(isTls ? "secureConnect" : "connect", () => resolve(new RawPeer(socket)));
    });
  }

  /** Connects and upgrades; frames from here on. */
  static async upgrade(
    where: Where,
    target = "/ws",
    firstFrames: Uint8Array = Buffer.alloc(0),
  ): Promise<RawPeer> {
    const peer = await RawPeer.connect(where);
    const key = createKey();
    peer.send(Buffer.concat([clientRequest({ host: "test", target }, key), firstFrames]));
    await peer.until(() => readServerResponse(peer.received, key).kind !== "incomplete");
    const response = readServerResponse(peer.received, key);
    if (response.kind !== "accepted") throw new Error(`refused: ${peer.received.toString("latin1")}`);
    peer.readFrames(response.headBytes);
    return peer;
  }

  /** From `offset` of what was received, bytes are frames; compressed ones too if that was agreed on. */
  readFrames(offset = 0, allowCompressed = false): void {
    const add = (kind: "text" | "binary" | "ping" | "pong", payload: Uint8Array): void => {
      this.events.push({ kind, text: Buffer.from(payload).toString("utf8") });
    };
    this.#reader = new MessageReader(
      { role: "client", messageBytesMax: 2 ** 26, fragmentsPerMessageMax: 1024, allowCompressed },
      {
        onMessage: (isText, payload) => add(isText ? "text" : "binary", payload),
        onPing: (payload) => add("ping", payload),
        onPong: (payload) => add("pong", payload),
        onClose: (code, reason) =>
          this.events.push({ kind: "close", code, text: Buffer.from(reason).toString("utf8") }),
        onViolation: (code, reason) => {
          throw new Error(`the server broke the protocol: ${code} ${reason}`);
        },
      },
    );
    this.#reader.push(this.received.subarray(offset));
  }

  send(bytes: Uint8Array | string): void {
    this.socket.write(bytes);
  }

  sendText(text: string): void {
    this.send(encodeMaskedFrame(opcode.text, Buffer.from(text), 0x01020304));
  }

  sendControl(frameOpcode: number, payload: Uint8Array | string = ""): void {
    this.send(encodeMaskedFrame(frameOpcode, Buffer.from(payload), 0x0a0b0c0d));
  }

  sendClose(code: number | null, reason = ""): void {
    const payload =
      code === null ? Buffer.alloc(0) : Buffer.from([code >> 8, code & 0xff, ...Buffer.from(reason)]);
    this.sendControl(opcode.close, payload);
  }

  /** Resolves once `check` holds, looked at after every event of the socket; fails after `timeoutMs`. */
  until(check: () => boolean, timeoutMs = 5000): Promise<void> {
    if (check()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timeout = setTimeout(() => {
        reject(
          new Error(`waited in vain; received ${this.received.length} bytes, ${JSON.stringify(this.events)}`),
        );
      }, timeoutMs);
      const look = (): void => {
        if (!check()) {
          this.#wakers.push(look);
          return;
        }
        clearTimeout(timeout);
        resolve();
      };
      this.#wakers.push(look);
    });
  }

  untilClosed(timeoutMs = 5000): Promise<void> {
    return this.until(() => this.isClosed, timeoutMs);
  }

  /** Received so far, as text. */
  get text(): string {
    return this.received.toString("utf8");
  }

  #wake(): void {
    const wakers = this.#wakers;
    this.#wakers = [];
    for (const look of wakers) look();
  }
}

function optionsOf(address: string): NetConnectOpts {
  if (address.startsWith("unix:")) return { path: address.slice("unix:".length) };
  const { hostname, port } = new URL(address);
  return { host: hostname.replaceAll(/[[\]]/g, ""), port: Number(port) };
}

/** Waits until `check` holds, for what no socket event announces. */
export async function eventually(check: () => boolean, timeoutMs = 5000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!check()) {
    if (performance.now() > end) throw new Error("waited in vain");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
