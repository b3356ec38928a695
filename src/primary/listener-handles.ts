/**
 * The listening sockets that node:cluster shares with a worker (`SCHED_NONE`: the primary binds, the worker accepts).
 * A worker that is to accept more than one connection in each turn of its event loop needs more than one handle of such
 * a socket; node:cluster gives it one, so this file remembers which, and sends it again when the worker asks.
 * It reads the messages by which node:cluster answers a worker that listens. Where a Node has others it sees none, and
 * the worker goes on with the one handle that it has.
 */
import type { ChildProcess } from "node:child_process";
import type { Server } from "node:net";

import type { ListenerKind, PrimaryMessage } from "../base/worker-messages.ts";

/** Copies that a worker may ask for at once: what waits here cannot be taken back. */
const handlesPerQuestionMax = 64;

/** The listeners of one worker. */
export class ListenerHandles {
  readonly #worker: ChildProcess;
  readonly #handles = new Map<ListenerKind, object>();

  /**
   * @param worker on whose channel nothing has been sent yet.
   * @param onTcp is given each TCP listener before the worker has it.
   */
  constructor(worker: ChildProcess, onTcp: (handle: object) => void) {
    this.#worker = worker;
    const send: unknown = Reflect.get(worker, "send");
    if (typeof send !== "function") return;
    const watchedSend = (...parts: unknown[]): unknown => {
      const [message, handle] = parts;
      if (isListenAnswer(message) && typeof handle === "object" && handle !== null) {
        const kind = kindOf(handle);
        if (kind === "tcp") onTcp(handle);
        this.#handles.set(kind, handle);
      }
      return Reflect.apply(send, worker, parts);
    };
    Reflect.set(worker, "send", watchedSend);
  }

  /** Sends copies of the handle, if it is known; the worker still listens there. */
  send(kind: ListenerKind, count: number): void {
    const handle = this.#handles.get(kind);
    if (handle === undefined || !this.#worker.connected) return;
    const message: PrimaryMessage<never> = { type: "listenerHandle", kind };
    for (let sent = 0; sent < Math.min(count, handlesPerQuestionMax); sent += 1) {
      // node:child_process takes what node:cluster gives it; its types name the public classes only.
      this.#worker.send(message, handle as Server);
    }
  }
}

function isListenAnswer(message: unknown): boolean {
  return (
    typeof message === "object" &&
    message !== null &&
    "cmd" in message &&
    message.cmd === "NODE_CLUSTER" &&
    "ack" in message &&
    "key" in message
  );
}

function kindOf(handle: object): ListenerKind {
  // A pipe has no addresses.
  return "bind6" in handle ? "tcp" : "unix";
}
