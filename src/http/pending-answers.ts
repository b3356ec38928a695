/**
 * Answers that were written and not taken by the peer yet: what they hold together has a limit, and each must go on.
 * Node keeps an answer for as long as its connection lives, however little the peer reads.
 */
import type { ServerResponse } from "node:http";
import { limitCounters } from "../base/limit-counters.ts";
import { ByteTotal } from "../connection/byte-total.ts";

/** A smaller answer fits into what the kernel takes of any connection: it is not watched. */
const watchedBytesMin = 1024;

/** One per worker. */
export class PendingAnswers {
  readonly #total: ByteTotal<ServerResponse>;
  readonly #ageMsMax: number | null;

  /**
   * @param bytesMax `limits.httpAnswerBytesTotalMax`; infinity for none.
   * @param ageMsMax `limits.pendingAgeMsMax`; null for none.
   * @param counters what is held now is written here.
   */
  constructor(bytesMax: number, ageMsMax: number | null, counters: { pendingBytes: number; shed: number }) {
    this.#ageMsMax = ageMsMax;
    this.#total = new ByteTotal({
      bytesMax,
      limit: "httpAnswerBytesTotalMax",
      // Node tells of whole writes only: it holds all of an answer until its last byte is taken.
      bytesOf: (response) => response.writableLength,
      end: (response) => response.destroy(),
      counters,
    });
  }

  /** `response` is about to be given a body of `bytes`. Makes room if all together are too many. */
  add(response: ServerResponse, bytes: number): void {
    if (bytes < watchedBytesMin) return;
    response.once("close", () => this.#total.forget(response));
    if (this.#ageMsMax !== null) {
      // Node's timeout of a socket looks at what is still to be written: it is time without progress, and it is taken
      // away again when the answer is out.
      response.setTimeout(this.#ageMsMax, () => {
        limitCounters.hit("pendingAgeMsMax");
        response.destroy();
      });
    }
    this.#total.count(response, bytes);
  }
}
