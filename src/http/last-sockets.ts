/**
 * The last sockets before the process is out of files. Whoever asks whether the server lives (`GET /healthz`) or is
 * ready is still answered: a probe that is turned away means a restart, and everybody who is in would be out. The
 * others are told that there is no room.
 */
import type { Transport } from "../connection/transport.ts";
import type { Refusal } from "../handshake/refusal.ts";
import { type HeadReceiver, HeadReader, type Waiting } from "./front-door-waiting.ts";

/** Such sockets at once; their files come out of the process's reserve. */
export const lastSocketsMax = 32;
/** A probe's head is a few lines and comes at once. */
const headBytesMax = 4096;
const headTimeoutMs = 1000;

const outOfFiles: Refusal = {
  status: 503,
  reason: "sockets",
  message: "this server has as many sockets as the system gives it; try again later",
  headers: { "Retry-After": "5" },
};
const probeLine = /^(?:GET|HEAD) \/(?:healthz|readyz)(?:\?\S*)? HTTP\/1\.[01]\r\n/u;
const probeLineBytesMax = 128;
/** As the first header line: the file of this socket is wanted back. */
const closing = Buffer.from("Connection: close\r\n");

/** Reads heads in place of the front door, while there are no files. */
export class LastSockets implements HeadReceiver {
  readonly headBytesMax: number;
  readonly headTimeoutMs: number;
  readonly #door: HeadReceiver;

  constructor(door: HeadReceiver) {
    this.#door = door;
    this.headBytesMax = Math.min(door.headBytesMax, headBytesMax);
    this.headTimeoutMs = Math.min(door.headTimeoutMs, headTimeoutMs);
  }

  get wheel(): HeadReceiver["wheel"] {
    return this.#door.wheel;
  }

  reader(transport: Transport): Waiting {
    return new HeadReader(transport, this);
  }

  onHead(transport: Transport, _head: unknown, bytes: Buffer): void {
    this.onOther(transport, bytes);
  }

  onOther(transport: Transport, bytes: Buffer): void {
    const [line] = probeLine.exec(bytes.toString("latin1", 0, probeLineBytesMax)) ?? [];
    // What is still to come would be node's to wait for, and longer.
    if (line === undefined || !bytes.includes("\r\n\r\n")) return this.refuse(transport);
    const lineBytes = line.length;
    this.#door.onOther(
      transport,
      Buffer.concat([bytes.subarray(0, lineBytes), closing, bytes.subarray(lineBytes)]),
    );
  }

  /** Whatever was wrong with its head, the answer is the same. */
  refuse(transport: Transport): void {
    this.#door.refuse(transport, outOfFiles);
  }

  onSilence(): void {
    this.#door.onSilence();
  }

  settle(waiting: Waiting): void {
    this.#door.settle(waiting);
  }
}
