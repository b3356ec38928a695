/**
 * autocannon as a thousand pages that poll: each asks once per interval for all symbols and looks at how old is what it
 * gets. They are spread over the interval, as pages are.
 */
import autocannon, { type Client, type Result } from "autocannon";

import { nowUs } from "../clock.ts";
import type { Latency } from "../swarm/latency.ts";

export interface PollOptions {
  readonly url: string;
  readonly users: number;
  readonly seconds: number;
  readonly keepAlive: boolean;
  /** Takes the ages, microseconds: how old a value was when it first arrived at a user. */
  readonly age: Latency;
}

export interface PollSummary {
  readonly requests: number;
  readonly errors: number;
  /** Values that were new to the user who polled. */
  readonly changesSeen: number;
  /** HTTP bytes of both directions; of TCP and IP nothing. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** TCP connections made. */
  readonly connections: number;
}

/** Groups that begin one after the other within a second: autocannon asks for all of one at the same moment. */
const groups = 10;

export async function poll({ url, users, seconds, keepAlive, age }: PollOptions): Promise<PollSummary> {
  const found = { changesSeen: 0 };
  const setUp = (client: Client): void => {
    const seqs = new Map<string, number>();
    client.setRequests([
      {
        method: "GET",
        path: "/quotes",
        headers: keepAlive ? {} : { connection: "close" },
        setupRequest: (request) => request,
        onResponse: (status, text) => {
          if (status !== 200) return;
          const receivedUs = nowUs();
          for (const { topic, seq, data } of JSON.parse(text) as readonly Quote[]) {
            if (seqs.get(topic) === seq) continue;
            // What was there before the first poll has no age that polling could be blamed for.
            if (seqs.has(topic)) {
              found.changesSeen++;
              age.record(receivedUs - data.t);
            }
            seqs.set(topic, seq);
          }
        },
      },
    ]);
  };
  const results = await Promise.all(
    Array.from({ length: Math.min(groups, users) }, async (_, group) => {
      await new Promise((resolve) => setTimeout(resolve, (group * 1000) / groups));
      const connections = Math.floor(((group + 1) * users) / groups) - Math.floor((group * users) / groups);
      return await run(url, Math.max(1, connections), seconds, setUp);
    }),
  );
  const sum = (pick: (result: Result) => number): number =>
    results.reduce((total, result) => total + pick(result), 0);
  const requests = sum(({ requests: { sent } }) => sent);
  return {
    requests,
    errors: sum(({ errors, timeouts, non2xx }) => errors + timeouts + non2xx),
    changesSeen: found.changesSeen,
    bytesRead: sum(({ throughput }) => throughput.total),
    bytesWritten: requests * requestBytes(url, keepAlive),
    connections: keepAlive ? users : requests,
  };
}

interface Quote {
  readonly topic: string;
  readonly seq: number;
  readonly data: { readonly t: number };
}

function run(
  url: string,
  connections: number,
  seconds: number,
  setupClient: (client: Client) => void,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    autocannon(
      // One request a second of each connection, which is the interval.
      { url, connections, connectionRate: 1, duration: seconds, timeout: 10, setupClient },
      (error: unknown, result) => {
        if (error instanceof Error) reject(error);
        else resolve(result);
      },
    );
  });
}

/** What autocannon sends, and nothing else; a browser's request with its cookies is several times as long. */
function requestBytes(url: string, keepAlive: boolean): number {
  const { host } = new URL(url);
  const connection = keepAlive ? "keep-alive" : "close";
  return Buffer.byteLength(`GET /quotes HTTP/1.1\r\nHost: ${host}\r\nConnection: ${connection}\r\n\r\n`);
}
