/**
 * Sockets on their way from the primary to a worker. With its round robin, node:cluster (Node 20 to 24) keeps its copy
 * of a socket open until the worker says that it took it, and forgets about it when the worker dies before: the client
 * then sits before an open connection on which nobody will ever say a word. This file remembers them, and ends them.
 * It reads the messages that node:cluster exchanges with a worker (`newconn`, its acknowledgement). Where a Node has
 * others it sees none, and does nothing.
 */
import type { ChildProcess } from "node:child_process";

/** What this file needs of the handle of an accepted socket, TCP or unix. */
interface SocketHandle {
  close(): void;
  /** TCP only. */
  reset?(): number;
}

/** The sockets handed to one worker that it has not taken yet: one for each listener at most, says node:cluster. */
export class HandedSockets {
  readonly #untaken = new Map<number, SocketHandle>();

  /** @param worker on whose channel nothing has been sent yet. */
  constructor(worker: ChildProcess) {
    const send: unknown = Reflect.get(worker, "send");
    if (typeof send !== "function") return;
    const watchedSend = (...parts: unknown[]): unknown => {
      const [message, handle] = parts;
      if (isHandOver(message) && isSocketHandle(handle)) this.#untaken.set(message.seq, handle);
      return Reflect.apply(send, worker, parts);
    };
    Reflect.set(worker, "send", watchedSend);
    // Taken: node:cluster closes its copy. Not taken: it hands it to another worker. Either way it is no more of ours.
    worker.on("internalMessage", (message: unknown) => {
      if (isAcknowledgement(message)) this.#untaken.delete(message.ack);
    });
  }

  /**
   * Ends what was not taken; call it when the worker is gone and all that it had said was read.
   * Not handed to another worker: the dead one may have read the beginning of what the client said.
   */
  end(): void {
    for (const handle of this.#untaken.values()) {
      // A reset tells the client that its request was not answered; an end would look like an empty answer.
      if (handle.reset === undefined || handle.reset() !== 0) handle.close();
    }
    this.#untaken.clear();
  }
}

function isHandOver(message: unknown): message is { readonly seq: number } {
  return (
    isOfCluster(message) && "act" in message && message.act === "newconn" && typeof message.seq === "number"
  );
}

function isAcknowledgement(message: unknown): message is { readonly ack: number } {
  return isOfCluster(message) && "ack" in message && typeof message.ack === "number";
}

function isOfCluster(message: unknown): message is { readonly seq?: unknown } {
  return (
    typeof message === "object" && message !== null && "cmd" in message && message.cmd === "NODE_CLUSTER"
  );
}

function isSocketHandle(handle: unknown): handle is SocketHandle {
  return (
    typeof handle === "object" && handle !== null && "close" in handle && typeof handle.close === "function"
  );
}
