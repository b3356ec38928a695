/**
 * Reads a request body into one buffer with a limit. Not fastify's own reader: that keeps every chunk as a Buffer
 * object until the end, so a chunked body of single bytes costs a hundred times its size; here it is at most twice.
 */
import type { Readable } from "node:stream";
import { limitCounters } from "../base/limit-counters.ts";
import { HttpRefusal } from "./http-refusal.ts";

/** First allocation. A `Content-Length` is a claim: memory grows with what arrives, not with what is announced. */
const firstBytes = 4096;

/** Bytes that bodies may take together, those that are being worked on included. */
export class BodyBudget {
  readonly #bytesMax: number;
  #bytes = 0;

  /** @param bytesMax `limits.httpBodyBytesInFlightMax`; infinity for none. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** What all bodies take now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What one request takes of it. Give it back with `release` when the request is over. */
  open(): BodyShare {
    return new BodyShare(this);
  }

  /** For shares. */
  grow(bytes: number): boolean {
    if (this.#bytes + bytes > this.#bytesMax) return false;
    this.#bytes += bytes;
    return true;
  }

  /** For shares. */
  shrink(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** One request's part. */
export class BodyShare {
  readonly #budget: BodyBudget;
  #bytes = 0;

  constructor(budget: BodyBudget) {
    this.#budget = budget;
  }

  /** Takes more; false, and counted, when there is no more. */
  grow(bytes: number): boolean {
    if (!this.#budget.grow(bytes)) {
      limitCounters.hit("httpBodyBytesInFlightMax");
      return false;
    }
    this.#bytes += bytes;
    return true;
  }

  /** Gives all back. */
  release(): void {
    this.#budget.shrink(this.#bytes);
    this.#bytes = 0;
  }
}

/**
 * @param share what the body's memory is counted against; the caller releases it when the body is worked on.
 * @returns the whole body, owned by the caller.
 * @throws HttpRefusal 413 at the first byte past `bytesMax`, 503 when other bodies have all the memory there is, 400 when
 * the peer ends before the body does. After 413 and 503 nothing more is kept; Node reads the rest and throws it away, so that the peer gets to see the answer.
 */
export function readBody(stream: Readable, bytesMax: number, share: BodyShare): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const beginBytes = Math.min(firstBytes, bytesMax);
    if (!share.grow(beginBytes)) {
      reject(tooManyBodies());
      return;
    }
    let body = Buffer.allocUnsafeSlow(beginBytes);
    let length = 0;

    function onData(chunk: Buffer): void {
      const needed = length + chunk.length;
      if (needed > bytesMax) {
        forget();
        reject(bodyTooLarge(bytesMax));
        return;
      }
      if (needed > body.length) {
        const size = Math.min(bytesMax, Math.max(needed, body.length * 2));
        if (!share.grow(size - body.length)) {
          forget();
          reject(tooManyBodies());
          return;
        }
        const larger = Buffer.allocUnsafeSlow(size);
        body.copy(larger, 0, 0, length);
        body = larger;
      }
      chunk.copy(body, length);
      length = needed;
    }
    function onEnd(): void {
      forget();
      resolve(body.subarray(0, length));
    }
    function onCut(): void {
      forget();
      // An error that comes after the cut has nobody left to tell.
      stream.on("error", ignore);
      reject(new HttpRefusal(400, "bad_request", "the body ended before all of it was there"));
    }
    function forget(): void {
      stream.off("data", onData);
      stream.off("end", onEnd);
      stream.off("error", onCut);
      stream.off("close", onCut);
    }
    stream.on("data", onData);
    stream.on("end", onEnd);
    stream.on("error", onCut);
    stream.on("close", onCut);
  });
}

/** 413 with the limit. */
export function bodyTooLarge(bytesMax: number): HttpRefusal {
  return new HttpRefusal(413, "too_large", `a body of this type has at most ${bytesMax} bytes`);
}

function tooManyBodies(): HttpRefusal {
  const message = "too many bodies are being read at once: try again in a second";
  return new HttpRefusal(503, "unavailable", message, { "retry-after": "1" });
}

function ignore(): void {
  // Listening is what keeps a late error from ending the process.
}
