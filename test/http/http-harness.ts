/**
 * Runs the HTTP API as the front door does: a net server that hands its sockets over. And two clients: one that speaks
 * proper HTTP, one that sends what it is told.
 */
import { once } from "node:events";
import http from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { createHttpApi, type HttpApi, type HttpApiOptions } from "../../src/http/http-api.ts";
import { FakeBackend } from "./fake-backend.ts";

export interface Harness {
  readonly api: HttpApi;
  readonly backend: FakeBackend;
  readonly port: number;
  readonly errors: unknown[];
  stop(): Promise<void>;
}

export async function startHarness(options: Partial<HttpApiOptions> = {}): Promise<Harness> {
  const backend = new FakeBackend();
  const errors: unknown[] = [];
  const api = await createHttpApi(backend, {
    messageBytesMax: 1024,
    headBytesMax: 16_384,
    headTimeoutMs: 10_000,
    version: "1.2.3",
    // The package's own pages come and go with its build; tests of pages bring theirs.
    root: "/nonexistent",
    onError: (error) => errors.push(error),
    ...options,
  });
  const door: Server = createServer((socket) => api.server.emit("connection", socket));
  door.listen(0, "127.0.0.1");
  await once(door, "listening");
  return {
    api,
    backend,
    errors,
    port: (door.address() as AddressInfo).port,
    stop: async () => {
      door.close();
      await api.close(100);
    },
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
}

/** One request on a connection of its own. A string array as body is sent chunked, one chunk per element. */
export function ask(
  port: number,
  method: string,
  path: string,
  headers: http.OutgoingHttpHeaders = {},
  body: string | Uint8Array | readonly string[] = "",
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = Array.isArray(body) ? {} : { "content-length": Buffer.byteLength(body as string) };
    const request = http.request(
      { port, host: "127.0.0.1", method, path, agent: false, headers: { ...length, ...headers } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => {
          const bytes = Buffer.concat(chunks);
          resolve({ status: response.statusCode!, headers: response.headers, bytes, text: bytes.toString() });
        });
        response.on("error", reject);
      },
    );
    request.on("error", reject);
    if (Array.isArray(body)) for (const chunk of body) request.write(chunk);
    else request.write(body);
    request.end();
  });
}

/** The `error` member of an error answer. */
export function errorOf(answer: Answer): { code: string; message: string } {
  return (JSON.parse(answer.text) as { error: { code: string; message: string } }).error;
}

/** Sends bytes as they are and returns all that comes until `done` says so or the peer closes. */
export async function exchange(
  port: number,
  bytes: string | Uint8Array,
  done: (text: string) => boolean = () => false,
): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(bytes);
  const text = await collect(socket, done);
  socket.destroy();
  return text;
}

export async function collect(socket: Socket, done: (text: string) => boolean): Promise<string> {
  let text = "";
  socket.setEncoding("latin1");
  return new Promise((resolve) => {
    socket.on("data", (chunk: string) => {
      text += chunk;
      if (done(text)) resolve(text);
    });
    socket.on("error", () => resolve(text));
    socket.on("close", () => resolve(text));
  });
}

/** Occurrences of `part` in `text`. */
export function occurrences(text: string, part: string): number {
  return text.split(part).length - 1;
}

/** Something to wait for, and what ends the wait. */
export function createGate(): { readonly opened: Promise<void>; readonly open: () => void } {
  const listeners: (() => void)[] = [];
  const opened = new Promise<void>((resolve) => listeners.push(resolve));
  return {
    opened,
    open: () => {
      for (const listener of listeners) listener();
    },
  };
}
