/**
 * Reads a request body into one buffer with a limit. Not fastify's own reader: that keeps every chunk as a Buffer
 * object until the end, so a chunked body of single bytes costs a hundred times its size; here it is at most twice.
 */
import type { Readable } from "node:stream";
import { HttpRefusal } from "./http-refusal.ts";

/** First allocation. A `Content-Length` is a claim: memory grows with what arrives, not with what is announced. */
const firstBytes = 4096;

/**
 * @returns the whole body, owned by the caller.
 * @throws HttpRefusal 413 at the first byte past `bytesMax`, 400 when the peer ends before the body does. After 413
 * nothing more is kept; Node reads the rest and throws it away, so that the peer gets to see the answer.
 */
export function readBody(stream: Readable, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let body = Buffer.allocUnsafeSlow(Math.min(firstBytes, bytesMax));
    let length = 0;

    function onData(chunk: Buffer): void {
      const needed = length + chunk.length;
      if (needed > bytesMax) {
        forget();
        reject(bodyTooLarge(bytesMax));
        return;
      }
      if (needed > body.length) {
        const larger = Buffer.allocUnsafeSlow(Math.min(bytesMax, Math.max(needed, body.length * 2)));
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

function ignore(): void {
  // Listening is what keeps a late error from ending the process.
}
