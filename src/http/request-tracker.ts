/** Requests from their head to the end of their answer: counts them, limits them, and tells when the last one is through. */
import type { ServerResponse } from "node:http";
import { limitCounters } from "../base/limit-counters.ts";
import { type HttpCounters, type HttpRoute, statusClassOf } from "./http-counters.ts";

export class RequestTracker {
  readonly #counters: HttpCounters;
  readonly #inFlightMax: number;
  /** Those without an answer. */
  readonly #working = new Set<ServerResponse>();
  /** Those whose answer is not taken yet included. */
  #open = 0;
  #draining = false;
  #onIdle: (() => void) | null = null;

  /** @param inFlightMax `limits.httpRequestsInFlightMax`; infinity for none. */
  constructor(counters: HttpCounters, inFlightMax: number) {
    this.#counters = counters;
    this.#inFlightMax = inFlightMax;
  }

  /** True once `drain` was called: answers then close their connection. */
  get draining(): boolean {
    return this.#draining;
  }

  /**
   * Follows one request until its answer is taken or its connection gone.
   * @returns false when it is one too many: it is followed all the same, but should be refused.
   */
  begin(route: HttpRoute, response: ServerResponse): boolean {
    this.#open += 1;
    this.#working.add(response);
    this.#counters.requestsInFlight = this.#working.size;
    response.once("close", () => {
      this.answered(response);
      this.#open -= 1;
      if (response.headersSent) this.#counters.requests[route][statusClassOf(response.statusCode)] += 1;
      if (this.#open === 0) this.#onIdle?.();
    });
    if (this.#counters.requestsInFlight <= this.#inFlightMax) return true;
    // Answered from memory at once; an operator's probe must not take a full server for a dead one.
    if (route === "health" || route === "ready") return true;
    limitCounters.hit("httpRequestsInFlightMax");
    return false;
  }

  /** The work on it is done. An answer that is not taken keeps nobody from being worked for. */
  answered(response: ServerResponse): void {
    this.#working.delete(response);
    this.#counters.requestsInFlight = this.#working.size;
  }

  /** Resolves when no request is left, at the latest after `graceMs`. */
  drain(graceMs: number): Promise<void> {
    this.#draining = true;
    if (this.#open === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, graceMs);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
