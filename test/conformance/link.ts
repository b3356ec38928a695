/** One TCP (or TLS) connection to the server under test: bytes out as told, what came in order and with its time. */
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { agreementOf, problemOf101, readResponse, type ResponseHead } from "./response-head.ts";
import { ServerFrames, type Seen } from "./server-frames.ts";
import { Window } from "./window.ts";

/** How bytes are cut: whole writes, one byte each, or pieces of a size. Each is a TCP segment of its own. */
export type Way = "whole" | "bytes" | number;

/** The handshake of a case about frames. */
export const key = "dGhlIHNhbXBsZSBub25jZQ==";

/** The server did not do what would let the case go on; the case fails with these words. */
export class Broken extends Error {}

export class Link {
  readonly #socket: Socket;
  readonly #frames: Seen[] = [];
  #wake: () => void = () => undefined;
  #head: Buffer = Buffer.alloc(0);
  #reader: ServerFrames | null = null;
  #hasEnded = false;
  window: Window | null = null;
  response: ResponseHead | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("end", () => this.#end());
    socket.on("close", () => this.#end());
    // What a reset means is seen from what came before it.
    socket.on("error", () => this.#end());
  }

  /** Connects. @throws Error when nobody listens. */
  static async connect(url: URL): Promise<Link> {
    const host = url.hostname.replaceAll(/^\[|\]$/g, "");
    const isTls = url.protocol === "wss:";
    const port = Number(url.port === "" ? (isTls ? 443 : 80) : url.port);
    const socket = isTls
      ? connectTls({ host, port, servername: host, rejectUnauthorized: false })
      : connect(port, host);
    await new Promise<void>((resolve, reject) => {
      socket.once(isTls ? "secureConnect" : "connect", resolve);
      socket.once("error", reject);
    });
    return new Link(socket);
  }

  /** Connects and shakes hands. @throws Broken when the server's 101 is none. */
  static async open(url: URL, offer: string | null = null): Promise<Link> {
    const link = await Link.connect(url);
    const extensions = offer === null ? "" : `Sec-WebSocket-Extensions: ${offer}\r\n`;
    await link.send(
      Buffer.from(
        `GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nUpgrade: websocket\r\n` +
          `Connection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n${extensions}\r\n`,
      ),
      "whole",
    );
    const head = await link.nextResponse(5000);
    if (head === null) throw new Broken("no answer to the handshake");
    const problem = problemOf101(head, { key, protocols: [], offersExtensions: offer !== null });
    if (problem !== null) throw new Broken(`handshake: ${problem}`);
    link.startFrames();
    return link;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  get complaint(): string | null {
    return this.#reader?.complaint ?? null;
  }

  /** From here on what comes is frames. @throws Broken for an answer about extensions that may not be. */
  startFrames(): void {
    try {
      const agreement = agreementOf(this.response!);
      this.window = agreement === null ? null : new Window(agreement);
    } catch (error) {
      throw new Broken(`RFC 7692 §7.1: ${error instanceof Error ? error.message : String(error)}`);
    }
    const { window } = this;
    this.#reader = new ServerFrames(
      (seen) => this.#see(seen),
      window === null ? null : (payload) => window.inflate(payload),
    );
    const rest = this.#head;
    this.#head = Buffer.alloc(0);
    if (rest.length > 0) this.#reader.push(rest);
  }

  /** Writes in pieces; stops when the server has ended the connection. */
  async send(bytes: Buffer, way: Way): Promise<void> {
    const size = way === "whole" ? bytes.length : way === "bytes" ? 1 : way;
    for (let at = 0; at < bytes.length && !this.#hasEnded; at += size) {
      const hasRoom = this.#socket.write(bytes.subarray(at, at + size));
      if (!hasRoom) await this.#drained();
      else if (size < 64) await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  /** The head of an HTTP response; null when none came in time, or the connection ended without. */
  async nextResponse(withinMs: number): Promise<ResponseHead | null> {
    const deadlineMs = performance.now() + withinMs;
    for (;;) {
      const read = readResponse(this.#head);
      if (read !== null) {
        this.#head = this.#head.subarray(read.headBytes);
        this.response = read.head;
        return read.head;
      }
      if (this.#hasEnded || !(await this.#woken(deadlineMs))) return null;
    }
  }

  /** The next thing seen; null when nothing came in time. */
  async next(withinMs: number): Promise<Seen | null> {
    const deadlineMs = performance.now() + withinMs;
    for (;;) {
      const seen = this.#frames.shift();
      if (seen !== undefined) return seen;
      if (this.#hasEnded) return { kind: "end" };
      if (this.complaint !== null || !(await this.#woken(deadlineMs))) return null;
    }
  }

  /** Waits for the end of the connection; what comes meanwhile stays to be read. False when it does not end. */
  async ended(withinMs: number): Promise<boolean> {
    const deadlineMs = performance.now() + withinMs;
    while (!this.#hasEnded) if (!(await this.#woken(deadlineMs))) return false;
    return true;
  }

  /** FIN: we write no more. */
  finish(): void {
    this.#socket.end();
  }

  /** RST. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  async #woken(deadlineMs: number): Promise<boolean> {
    const restMs = deadlineMs - performance.now();
    if (restMs <= 0) return false;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), restMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  async #drained(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#socket.once("drain", resolve);
      this.#socket.once("close", resolve);
    });
  }

  #take(chunk: Buffer): void {
    if (this.#reader === null) this.#head = Buffer.concat([this.#head, chunk]);
    else this.#reader.push(chunk);
    this.#wake();
  }

  #see(seen: Seen): void {
    this.#frames.push(seen);
  }

  #end(): void {
    this.#hasEnded = true;
    this.#wake();
  }
}
