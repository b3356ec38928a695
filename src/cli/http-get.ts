/** One GET with node:http; not fetch, see http-post.ts. */
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

import { readAnswer, type HttpAnswer } from "./http-post.ts";

/** Rejects for anything of the network, and after `timeoutMs` without an end. */
export function httpGet(url: URL, timeoutMs: number): Promise<HttpAnswer> {
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const outgoing = send(url, { signal }, (answer) => {
      readAnswer(answer).then(resolve, reject);
    });
    outgoing.on("error", (error) => reject(signal.aborted ? new Error("no answer in time") : error));
    outgoing.end();
  });
}
