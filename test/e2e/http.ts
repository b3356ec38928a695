/** HTTP requests as a client makes them that knows nothing of Tapecast: node's own, one connection each. */
import { Agent, request, type IncomingHttpHeaders, type RequestOptions } from "node:http";
import { request as requestTls } from "node:https";

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON. */
  json(): unknown;
  /** Of POST /api/publish: one for each message. */
  results(): readonly PublishResult[];
}

export interface PublishResult {
  readonly topic?: string;
  readonly epoch?: string;
  readonly seq?: number;
  readonly line?: number;
  readonly error?: { readonly code: string; readonly message: string; readonly temporary?: boolean };
}

export interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** A connection that is kept; else each request has one of its own and meets any worker. */
  readonly agent?: Agent;
  readonly socketPath?: string;
}

/** One request. Certificates are not checked: the test signed its own. */
export function ask(url: string, options: Ask = {}): Promise<Answer> {
  const { body, agent, socketPath } = options;
  const how: RequestOptions & { rejectUnauthorized: boolean } = {
    method: options.method ?? (body === undefined ? "GET" : "POST"),
    headers: { ...options.headers },
    agent: agent ?? false,
    timeout: 10_000,
    rejectUnauthorized: false,
    ...(socketPath === undefined ? {} : { socketPath }),
  };
  return new Promise((resolve, reject) => {
    const call = (url.startsWith("https:") ? requestTls : request)(url, how, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          json: () => JSON.parse(text),
          results: () => resultsOf(text),
        });
      });
    });
    call.on("timeout", () => call.destroy(new Error(`no answer from ${url}`)));
    call.on("error", reject);
    call.end(body);
  });
}

export function get(url: string, options: Ask = {}): Promise<Answer> {
  return ask(url, options);
}

/** Publishes one message. @param dataText JSON, sent as it is. */
export function publish(server: string, topic: string, dataText: string, options: Ask = {}): Promise<Answer> {
  return ask(`${server}/api/publish`, {
    ...options,
    headers: { "content-type": "application/json", ...options.headers },
    body: `{"topic":${JSON.stringify(topic)},"data":${dataText}}`,
  });
}

/** Publishes lines as they are. */
export function publishLines(server: string, lines: readonly string[], options: Ask = {}): Promise<Answer> {
  return ask(`${server}/api/publish`, {
    ...options,
    headers: { "content-type": "application/x-ndjson", ...options.headers },
    body: `${lines.join("\n")}\n`,
  });
}

function resultsOf(text: string): readonly PublishResult[] {
  const body: { readonly results?: readonly PublishResult[] } = JSON.parse(text);
  if (body.results === undefined) throw new Error(`no results: ${text}`);
  return body.results;
}
