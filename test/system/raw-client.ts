/** A client that sends bytes as they are, from an address of its choice: all of 127.0.0.0/8 is this machine. */
import { connect, type Socket } from "node:net";
import { createKey } from "../../src/handshake/client-handshake.ts";

export interface RawClientOptions {
  readonly from?: string;
  /** Stops waiting as soon as this is true of what came; else at the end, or after `withinMs`. */
  readonly done?: (text: string) => boolean;
  readonly withinMs?: number;
}

/** Sends `bytes` and gives all that came back, until the end or until nothing more is to be expected. */
export async function clientAt(
  port: number,
  bytes: string | readonly string[],
  options: RawClientOptions = {},
): Promise<string> {
  const client = new RawClient(port, options.from ?? "127.0.0.2");
  for (const part of [bytes].flat()) client.send(part);
  await client.until(options.done ?? (() => false), options.withinMs ?? 3000);
  client.socket.destroy();
  return client.text;
}

export class RawClient {
  readonly socket: Socket;
  text = "";
  isOver = false;
  #look: () => void = () => undefined;

  constructor(port: number, from: string) {
    this.socket = connect({ port, host: "127.0.0.1", localAddress: from });
    this.socket.setEncoding("latin1");
    this.socket.on("data", (chunk: string) => {
      this.text += chunk;
      this.#look();
    });
    this.socket.on("error", () => undefined);
    for (const event of ["end", "close"]) {
      this.socket.on(event, () => {
        this.isOver = true;
        this.#look();
      });
    }
  }

  send(bytes: string): void {
    this.socket.write(bytes, "latin1");
  }

  /** Waits until `done` or the end, at most `withinMs`. */
  async until(done: (text: string) => boolean, withinMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#look = () => {
        if (!this.isOver && !done(this.text)) return;
        clearTimeout(timer);
        resolve();
      };
      this.#look();
    });
  }
}

/** A handshake's head. @param lines further header lines */
export function handshake(path: string, lines: readonly string[] = []): string {
  return [
    `GET ${path} HTTP/1.1`,
    "Host: tape.test",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Key: ${createKey()}`,
    ...(lines.some((line) => line.startsWith("Sec-WebSocket-Version")) ? [] : ["Sec-WebSocket-Version: 13"]),
    ...lines,
    "",
    "",
  ].join("\r\n");
}
