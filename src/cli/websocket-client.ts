/**
 * A WebSocket client for Node on our own handshake and codec: one socket's life, as `tapecast subscribe` and the load
 * scenarios need it. Not here: reconnecting and what messages mean.
 */
import { randomFillSync } from "node:crypto";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

import { networkProblem } from "../base/system-problem.ts";
import { closeCode } from "../codec/close-code.ts";
import { encodeMaskedFrame } from "../codec/frame-encoder.ts";
import { MessageReader } from "../codec/message-reader.ts";
import { opcode } from "../codec/opcode.ts";
import { clientRequest, createKey, readServerResponse } from "../handshake/client-handshake.ts";

export interface WebSocketClientOptions {
  /** `ws://host[:port]/path?query` or `wss://…`. */
  readonly url: string;
  /** Further lines of the request, such as Authorization or Origin. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly subprotocols?: readonly string[];
  /** Longest message taken, default 64 MiB. */
  readonly messageBytesMax?: number;
  /** Time for connecting and the handshake together, default 10 s. */
  readonly openTimeoutMs?: number;
  /** For a `wss` server whose certificate nobody signed. Default true. */
  readonly rejectUnauthorized?: boolean;
}

/** How a connection ended. */
export interface WebSocketEnd {
  /** The peer's close code; 1005 without one, 1006 when there was no close frame. */
  readonly code: number;
  readonly reason: string;
  /** What went wrong, for people; null after a close handshake. */
  readonly problem: string | null;
  /** The HTTP status of a refused handshake, else null. */
  readonly status: number | null;
}

/** What the client tells. `onEnd` comes exactly once and last. */
export interface WebSocketListener {
  /** The handshake is done. */
  onOpen?(): void;
  /** @param payload borrowed until return. */
  onMessage?(isText: boolean, payload: Uint8Array): void;
  /** After the pong was sent. @param payload borrowed until return. */
  onPing?(payload: Uint8Array): void;
  /** @param payload borrowed until return. */
  onPong?(payload: Uint8Array): void;
  onEnd?(end: WebSocketEnd): void;
}

const messageBytesMaxDefault = 67_108_864;
const openTimeoutMsDefault = 10_000;
/** After our close frame the peer has this long to answer with its own. */
const closeTimeoutMs = 2000;
const fragmentsPerMessageMax = 65_536;
/** A response head that is longer is none. */
const headBytesMax = 65_536;

type State = "opening" | "open" | "closing" | "ended";

/** Connects when it is made. Never throws afterwards: everything that goes wrong is `onEnd`. */
export class WebSocketClient {
  readonly #socket: Socket;
  readonly #listener: WebSocketListener;
  readonly #reader: MessageReader;
  readonly #key = createKey();
  readonly #subprotocols: readonly string[];
  readonly #request: Buffer;
  #state: State = "opening";
  #head: Buffer = Buffer.alloc(0);
  #deadline: NodeJS.Timeout | null = null;
  #end: WebSocketEnd | null = null;
  #subprotocol: string | null = null;

  /** @throws TypeError for a URL that is not ws or wss; InvariantError for headers with control characters. */
  constructor(options: WebSocketClientOptions, listener: WebSocketListener) {
    const url = webSocketUrl(options.url);
    this.#listener = listener;
    this.#subprotocols = options.subprotocols ?? [];
    const to = { host: url.host, target: `${url.pathname}${url.search}` };
    this.#request = clientRequest(to, this.#key, this.#subprotocols, options.headers);
    const messageBytesMax = options.messageBytesMax ?? messageBytesMaxDefault;
    this.#reader = new MessageReader(
      { role: "client", messageBytesMax, fragmentsPerMessageMax },
      this.#sink(),
    );
    this.#socket = openSocket(url, options.rejectUnauthorized ?? true);
    this.#listen(url.protocol === "wss:" ? "secureConnect" : "connect");
    this.#arm(options.openTimeoutMs ?? openTimeoutMsDefault, "the server did not answer in time");
  }

  get state(): State {
    return this.#state;
  }

  /** What the server chose, or null. */
  get subprotocol(): string | null {
    return this.#subprotocol;
  }

  /** Bytes written and not yet taken by the kernel. */
  get pendingBytes(): number {
    return this.#socket.writableLength;
  }

  /** Sends a text message, or bytes as a binary one. False when the connection is not open, or is behind. */
  send(message: string | Uint8Array): boolean {
    if (this.#state !== "open") return false;
    const isText = typeof message === "string";
    return this.#write(isText ? opcode.text : opcode.binary, isText ? Buffer.from(message) : message);
  }

  /** @param payload at most 125 bytes. */
  ping(payload: Uint8Array = new Uint8Array(0)): void {
    if (this.#state === "open") this.#write(opcode.ping, payload);
  }

  /** Begins the close handshake; ends it by force when the peer does not answer. While opening: ends at once. */
  close(code: number = closeCode.normal, reason = ""): void {
    if (this.#state === "opening") return this.destroy("closed before it was open");
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.#write(opcode.close, closePayload(code, reason));
    this.#arm(closeTimeoutMs, "the server did not answer the close frame");
  }

  /** Ends the connection without a close handshake. */
  destroy(problem = "ended from here"): void {
    this.#finish({ code: closeCode.abnormal, reason: "", problem, status: null });
    this.#socket.destroy();
  }

  /** Takes no more from the socket: back pressure towards the server. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  #listen(connected: "connect" | "secureConnect"): void {
    const socket = this.#socket;
    socket.once(connected, () => socket.write(this.#request));
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("error", (error) => {
      this.#finish({ code: closeCode.abnormal, reason: "", problem: networkProblem(error), status: null });
    });
    // The close handshake is over, or the server went away: either way nothing more is to be said.
    socket.on("end", () => socket.end());
    socket.on("close", () => {
      this.#finish({ code: closeCode.abnormal, reason: "", problem: "the connection was cut", status: null });
      this.#disarm();
      this.#reader.stop();
      if (this.#end !== null) this.#listener.onEnd?.(this.#end);
    });
  }

  /** The first account of the end is the true one. */
  #finish(end: WebSocketEnd): void {
    this.#end ??= end;
    this.#state = "ended";
  }

  #take(chunk: Buffer): void {
    if (this.#state !== "opening") {
      this.#reader.push(chunk);
      return;
    }
    this.#head = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
    const response = readServerResponse(this.#head, this.#key, this.#subprotocols);
    if (response.kind === "incomplete") {
      if (this.#head.length > headBytesMax) this.destroy("the answer has no end of its head");
      return;
    }
    if (response.kind === "refused") {
      const { status, problem } = response;
      this.#finish({ code: closeCode.abnormal, reason: "", problem, status: status === 0 ? null : status });
      this.#socket.destroy();
      return;
    }
    this.#state = "open";
    this.#subprotocol = response.subprotocol;
    this.#disarm();
    const frames = this.#head.subarray(response.headBytes);
    this.#head = Buffer.alloc(0);
    this.#listener.onOpen?.();
    // Frames may come in the same packet as the 101.
    if (frames.length > 0) this.#reader.push(frames);
  }

  #sink(): ConstructorParameters<typeof MessageReader>[1] {
    return {
      onMessage: (isText, payload) => this.#listener.onMessage?.(isText, payload),
      onPing: (payload) => {
        // RFC 6455 §5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response, unless it
        // already received a Close frame."
        this.#write(opcode.pong, payload);
        this.#listener.onPing?.(payload);
      },
      onPong: (payload) => this.#listener.onPong?.(payload),
      onClose: (code, reason) => this.#closed(code, Buffer.from(reason).toString("utf8")),
      onViolation: (code, reason) => {
        if (this.#state === "open") this.#write(opcode.close, closePayload(code, reason));
        this.#finish({
          code: closeCode.abnormal,
          reason: "",
          problem: `protocol error of the server: ${reason}`,
          status: null,
        });
        this.#socket.destroySoon();
      },
    };
  }

  /** RFC 6455 §5.5.1: "If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint
   * MUST send a Close frame in response. (…) it typically echos the status code it received." */
  #closed(code: number, reason: string): void {
    if (this.#state === "open") {
      this.#write(opcode.close, code === closeCode.noStatus ? new Uint8Array(0) : closePayload(code, ""));
    }
    this.#finish({ code, reason, problem: null, status: null });
    // §7.1.1: the server closes first; "a client (…) MAY Close the TCP Connection at any time" when it does not.
    this.#arm(closeTimeoutMs, "");
  }

  #write(frameOpcode: number, payload: Uint8Array): boolean {
    if (this.#socket.destroyed || this.#socket.writableEnded) return false;
    return this.#socket.write(encodeMaskedFrame(frameOpcode, payload, maskKey()));
  }

  #arm(timeoutMs: number, problem: string): void {
    this.#disarm();
    this.#deadline = setTimeout(() => this.destroy(problem), timeoutMs);
  }

  #disarm(): void {
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    this.#deadline = null;
  }
}

/** A URL that is ws or wss, without a fragment. @throws TypeError */
export function webSocketUrl(text: string): URL {
  const url = new URL(text);
  if (url.protocol !== "ws:" && url.protocol !== "wss:")
    throw new TypeError("a URL begins with ws:// or wss://");
  // RFC 6455 §3: "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used".
  url.hash = "";
  return url;
}

function openSocket(url: URL, rejectUnauthorized: boolean): Socket {
  // WHATWG URLs keep the brackets of an IPv6 address.
  const host = url.hostname.replace(/^\[(.*)\]$/u, "$1");
  const isTls = url.protocol === "wss:";
  const port = url.port === "" ? (isTls ? 443 : 80) : Number(url.port);
  if (!isTls) return connectTcp({ host, port, noDelay: true });
  const servername = isIP(host) === 0 ? { servername: host } : {};
  return connectTls({ host, port, ...servername, ALPNProtocols: ["http/1.1"], rejectUnauthorized });
}

const maskPool = Buffer.allocUnsafe(4096);
let maskOffset = maskPool.length;

/** RFC 6455 §5.3: "The masking key needs to be unpredictable": the system's randomness, drawn 1,024 keys at a time. */
function maskKey(): number {
  if (maskOffset === maskPool.length) {
    randomFillSync(maskPool);
    maskOffset = 0;
  }
  const key = maskPool.readUInt32BE(maskOffset);
  maskOffset += 4;
  return key;
}

function closePayload(code: number, reason: string): Uint8Array {
  const text = Buffer.from(reason).subarray(0, 123);
  const payload = Buffer.alloc(2 + text.length);
  payload.writeUInt16BE(code);
  payload.set(text, 2);
  return payload;
}
