/**
 * Answers that were written and not taken by the peer yet: what they hold together has a limit. Node keeps an answer for
 * as long as its connection lives, however little the peer reads; that each goes on is for served-sockets.ts.
 */
import type { ServerResponse } from "node:http";
import { ByteTotal } from "../connection/byte-total.ts";

/** A smaller answer fits into what the kernel takes of any connection: it is not watched. */
const watchedBytesMin = 1024;

/** One per worker. */
export class PendingAnswers {
  readonly #total: ByteTotal<ServerResponse>;

  /**
   * @param bytesMax `limits.httpAnswerBytesTotalMax`; infinity for none.
   * @param counters what is held now is written here.
   */
  constructor(bytesMax: number, counters: { pendingBytes: number; shed: number }) {
    this.#total = new ByteTotal({
      bytesMax,
      limit: "httpAnswerBytesTotalMax",
      // Node tells of whole writes only: it holds all of an answer until its last byte is taken.
      bytesOf: (response) => response.writableLength,
      // Of an answer that waits behind others only the socket of its request is known.
      end: (response) => response.req.socket.destroy(),
      counters,
    });
  }

  /** `response` is about to be given a body of `bytes`. Makes room if all together are too many. */
  add(response: ServerResponse, bytes: number): void {
    // Whoever asked may be gone before there was an answer.
    if (bytes < watchedBytesMin || response.destroyed) return;
    response.once("close", () => this.#total.forget(response));
    this.#total.count(response, bytes);
  }
}
