/**
 * A WebSocket client for thousands in one process, on our own handshake and codec over a bare socket. All of them read
 * into one buffer. The command line's client (websocket-client.ts) is for people: deadlines, TLS, reasons.
 */
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import { MessageReader } from "../../src/codec/message-reader.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { clientRequest, createKey, readServerResponse } from "../../src/handshake/client-handshake.ts";

export interface LeanListener {
  onOpen(): void;
  /** @param payload borrowed until return. */
  onMessage(payload: Uint8Array): void;
  /** Once, and last. @param problem for people. */
  onEnd(problem: string): void;
}

/** Where to, resolved once for all. */
export interface LeanTarget {
  readonly host: string;
  readonly port: number;
  /** Path and query. */
  readonly path: string;
}

const subprotocols = ["tapecast.v1"];
const messageBytesMax = 67_108_864;
const fragmentsPerMessageMax = 65_536;
/** RFC 6455 §7.4.1: normal closure. */
const normalClosure = Buffer.from([0x03, 0xe8]);
/** What all clients of the process read into: what the reader keeps of it, it copies. */
const readBuffer = Buffer.allocUnsafe(262_144);

/** Bytes of all clients of this process. */
export const wireBytes = { read: 0, written: 0 };

/** Connects when it is made. */
export class LeanClient {
  readonly #socket: Socket;
  readonly #reader: MessageReader;
  readonly #listener: LeanListener;
  readonly #key = createKey();
  #head: Buffer | null = Buffer.alloc(0);
  #problem = "the connection was cut";
  #isEnded = false;

  constructor({ host, port, path }: LeanTarget, listener: LeanListener) {
    this.#listener = listener;
    this.#reader = new MessageReader(
      { role: "client", messageBytesMax, fragmentsPerMessageMax },
      {
        onMessage: (_isText, payload) => listener.onMessage(payload),
        // RFC 6455 §5.5.2: a ping is answered with a pong that carries the same.
        onPing: (payload) => this.#write(opcode.pong, payload),
        onPong: () => undefined,
        onClose: (code, reason) => {
          this.#problem = `closed with ${code} ${Buffer.from(reason).toString("utf8")}`.trim();
          this.#write(opcode.close, normalClosure);
          this.#socket.end();
        },
        onViolation: (_code, reason) => {
          this.#problem = `protocol error of the server: ${reason}`;
          this.#socket.destroy();
        },
      },
    );
    const onread = {
      buffer: readBuffer,
      callback: (count: number, buffer: Uint8Array): boolean => {
        this.#take(buffer.subarray(0, count));
        return true;
      },
    };
    this.#socket = connect({ host, port, noDelay: true, onread });
    this.#socket.once("connect", () => {
      const target = { host: `${host}:${port}`, target: path };
      this.#send(clientRequest(target, this.#key, subprotocols));
    });
    this.#socket.on("error", (error) => {
      this.#problem = error.message;
    });
    this.#socket.on("close", () => this.#end());
  }

  send(text: string): void {
    this.#write(opcode.text, Buffer.from(text));
  }

  /** Begins the close handshake. */
  close(): void {
    if (this.#head === null) this.#write(opcode.close, normalClosure);
    this.#socket.end();
  }

  /** Ends without a word. */
  cut(): void {
    this.#socket.destroy();
  }

  /** Reads no more. */
  stall(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  #take(chunk: Uint8Array): void {
    wireBytes.read += chunk.length;
    if (this.#head === null) {
      this.#reader.push(chunk);
      return;
    }
    this.#head = Buffer.concat([this.#head, chunk]);
    const response = readServerResponse(this.#head, this.#key, subprotocols);
    if (response.kind === "incomplete") return;
    if (response.kind === "refused") {
      this.#problem = response.problem;
      this.#socket.destroy();
      return;
    }
    const frames = this.#head.subarray(response.headBytes);
    this.#head = null;
    this.#listener.onOpen();
    if (frames.length > 0) this.#reader.push(frames);
  }

  #write(frameOpcode: number, payload: Uint8Array): void {
    // RFC 6455 §5.3: "The masking key needs to be unpredictable".
    this.#send(encodeMaskedFrame(frameOpcode, payload, randomBytes(4).readUInt32BE()));
  }

  #send(bytes: Buffer): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    wireBytes.written += bytes.length;
    this.#socket.write(bytes);
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#reader.stop();
    this.#listener.onEnd(this.#problem);
  }
}
