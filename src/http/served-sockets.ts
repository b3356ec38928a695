/**
 * What node:http does not look after on a connection whose requests come faster than their answers are taken. Of several
 * requests in a row only the first has the socket: the answers of the others wait, and when the connection ends meanwhile
 * Node tells them nothing, nor does any timeout of theirs run. Here they are told, their number has a limit, and a
 * connection that takes none of its answers comes to an end, however small they are.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { limitCounters } from "../base/limit-counters.ts";
import { writeProgress } from "../connection/write-progress.ts";

/** Requests of one connection that may wait for their answers. Clients that send ahead at all send a few dozen. */
export const pipelinedMax = 128;
/** How often a connection is looked at within the age that it may reach. */
const looksPerAge = 16;

/** A socket that has asked something. */
interface Served {
  readonly socket: Socket;
  readonly unanswered: Set<ServerResponse>;
  /** One request too many came: what stands behind it is not looked at. */
  isOver: boolean;
  /** Bytes that the kernel had taken, and when they were first so many. */
  progress: number;
  progressMs: number;
}

/** One per HTTP server. */
export class ServedSockets {
  readonly #bySocket = new WeakMap<Socket, Served>();
  /** Those that have something to be answered, or an answer to be taken. */
  readonly #busy = new Set<Served>();
  readonly #ageMsMax: number | null;
  #isLooking = false;

  /** @param ageMsMax `limits.pendingAgeMsMax`; null for no limit. */
  constructor(ageMsMax: number | null) {
    this.#ageMsMax = ageMsMax;
  }

  /**
   * A request has come. From now on `response` emits `close` when it is taken or its socket gone, whatever stands before
   * it; then it is `destroyed`.
   * @returns `tooMany`: to be refused, and the connection ends with that; `late`: it stands behind such a one, and is to
   * be ignored.
   */
  begin({ socket }: IncomingMessage, response: ServerResponse): "good" | "tooMany" | "late" {
    const served = this.#bySocket.get(socket) ?? this.#add(socket);
    if (served.isOver) return "late";
    const { unanswered } = served;
    if (unanswered.size === 0) this.#enter(served);
    unanswered.add(response);
    response.once("close", () => {
      unanswered.delete(response);
      if (unanswered.size === 0) this.#busy.delete(served);
    });
    served.isOver = unanswered.size > pipelinedMax;
    return served.isOver ? "tooMany" : "good";
  }

  /** Whether the socket has requests that wait for their answers. */
  isAnswering(socket: Socket): boolean {
    return (this.#bySocket.get(socket)?.unanswered.size ?? 0) > 0;
  }

  #add(socket: Socket): Served {
    const served: Served = { socket, unanswered: new Set(), isOver: false, progress: 0, progressMs: 0 };
    this.#bySocket.set(socket, served);
    socket.once("close", () => {
      for (const response of served.unanswered) {
        // The one that has the socket is told by Node.
        if (response.socket !== null) continue;
        response.destroy();
        response.emit("close");
      }
    });
    return served;
  }

  #enter(served: Served): void {
    this.#busy.add(served);
    served.progress = writeProgress(served.socket);
    served.progressMs = performance.now();
    if (this.#ageMsMax !== null && !this.#isLooking) this.#lookLater(this.#ageMsMax);
  }

  #lookLater(ageMsMax: number): void {
    this.#isLooking = true;
    setTimeout(() => {
      const nowMs = performance.now();
      for (const served of this.#busy) endIfStale(served, nowMs, ageMsMax);
      if (this.#busy.size > 0) this.#lookLater(ageMsMax);
      else this.#isLooking = false;
    }, ageMsMax / looksPerAge).unref();
  }
}

/** An answer that is still being worked on has no age: nothing waits to be taken. */
function endIfStale(served: Served, nowMs: number, ageMsMax: number): void {
  const { socket } = served;
  const progress = writeProgress(socket);
  if (progress !== served.progress || socket.writableLength === 0) {
    served.progress = progress;
    served.progressMs = nowMs;
  } else if (nowMs - served.progressMs >= ageMsMax) {
    limitCounters.hit("pendingAgeMsMax");
    socket.destroy();
  }
}
