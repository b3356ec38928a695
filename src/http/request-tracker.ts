/** Requests from their head to the end of their answer: counts them, and tells when the last one is through. */
import type { ServerResponse } from "node:http";
import { type HttpCounters, type HttpRoute, statusClassOf } from "./http-counters.ts";

export class RequestTracker {
  readonly #counters: HttpCounters;
  #draining = false;
  #onIdle: (() => void) | null = null;

  constructor(counters: HttpCounters) {
    this.#counters = counters;
  }

  /** True once `drain` was called: answers then close their connection. */
  get draining(): boolean {
    return this.#draining;
  }

  /** Follows one request until its answer is written or its connection gone. */
  begin(route: HttpRoute, response: ServerResponse): void {
    this.#counters.requestsInFlight += 1;
    response.once("close", () => {
      this.#counters.requestsInFlight -= 1;
      if (response.headersSent) this.#counters.requests[route][statusClassOf(response.statusCode)] += 1;
      if (this.#counters.requestsInFlight === 0) this.#onIdle?.();
    });
  }

  /** Resolves when no request is left, at the latest after `graceMs`. */
  drain(graceMs: number): Promise<void> {
    this.#draining = true;
    if (this.#counters.requestsInFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, graceMs);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
