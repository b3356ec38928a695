/**
 * One POST with node:http. Not fetch: that refuses the ports which browsers refuse (10080 among them), and a server may
 * listen where it likes.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";

/** What was answered. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

const answerBytesMax = 16_777_216;

/** A connection that is kept between requests. */
export class HttpPoster {
  readonly #url: URL;
  readonly #agent: HttpAgent | HttpsAgent;

  constructor(url: URL) {
    this.#url = url;
    const options = { keepAlive: true, maxSockets: 1 };
    this.#agent = url.protocol === "https:" ? new HttpsAgent(options) : new HttpAgent(options);
  }

  /** Sends and reads the whole answer. Rejects for anything of the network, and after `timeoutMs` without an end. */
  post(headers: Readonly<Record<string, string>>, body: Uint8Array, timeoutMs: number): Promise<HttpAnswer> {
    const send = this.#url.protocol === "https:" ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(timeoutMs);
      const lengths = { ...headers, "content-length": String(body.length) };
      const outgoing = send(
        this.#url,
        { method: "POST", headers: lengths, agent: this.#agent, signal },
        (answer) => {
          readAnswer(answer).then(resolve, reject);
        },
      );
      outgoing.on("error", (error) => reject(signal.aborted ? new Error("no answer in time") : error));
      outgoing.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Reads the whole of an answer, up to a limit. */
export async function readAnswer(answer: IncomingMessage): Promise<HttpAnswer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > answerBytesMax) throw new Error("the answer does not end");
    parts.push(part);
  }
  return { status: answer.statusCode ?? 0, body: Buffer.concat(parts).toString("utf8") };
}
