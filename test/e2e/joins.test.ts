/**
 * PRODUCT's promise for `every`: after the subscribe reply live publications begin at `seq`+1, none missing, none
 * twice, none out of order. A thousand clients join, one after the other in a few lanes, while a thousand messages a
 * second are published.
 */
import { Agent } from "node:http";
import { describe, expect, it } from "vitest";
import { redisUrl, uniquePrefix } from "../setup/redis-url.ts";
import { publishLines } from "./http.ts";
import { Peer, type TopicState, type WireMessage } from "./peer.ts";
import { onRedis, Server } from "./server.ts";
import { delay } from "./until.ts";

const topic = "trade.x";
const joinCount = 1000;
const ratePerSec = 1000;
const laneCount = 6;
/** Each joiner reads on for so many publications after its reply. */
const followCount = 20;
/** Five seconds of it, so that a rejoin after a pause of this very process is still a recovery. */
const rules = [{ match: "trade.**", delivery: "every", history: { size: 5000, ttlMs: 300_000 } }];

/** Publishes at a steady pace until it is stopped: what is due goes in one ordered batch. */
class Publisher {
  readonly #server: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #startMs = performance.now();
  #isStopped = false;
  publishedCount = 0;
  readonly done: Promise<number>;

  constructor(server: string) {
    this.#server = server;
    this.done = this.#run();
  }

  /** Resolves to the rate that was reached, messages a second. */
  stop(): Promise<number> {
    this.#isStopped = true;
    return this.done;
  }

  async #run(): Promise<number> {
    while (!this.#isStopped) {
      const due = Math.floor(((performance.now() - this.#startMs) * ratePerSec) / 1000) - this.publishedCount;
      // The number that a publication carries is its seq: so content and position are checked against each other.
      const lines = Array.from(
        { length: Math.min(due, 1000) },
        (_, index) => `{"topic":"${topic}","data":${this.publishedCount + index + 1}}`,
      );
      if (lines.length > 0) {
        const answer = await publishLines(this.#server, lines, { agent: this.#agent });
        const accepted = answer.results().filter(({ seq }) => seq !== undefined).length;
        if (accepted !== lines.length) throw new Error(`${answer.status}: ${answer.text.slice(0, 300)}`);
        this.publishedCount += lines.length;
      }
      await delay(5);
    }
    this.#agent.destroy();
    return (this.publishedCount * 1000) / (performance.now() - this.#startMs);
  }
}

/** What went wrong in all joins together. */
class Findings {
  gaps = 0;
  duplicates = 0;
  reorderings = 0;
  wrongFirst = 0;
  wrongData = 0;
  notRecovered = 0;

  /** One publication behind another. */
  follow(beforeSeq: number, seq: number | undefined, data: unknown): number {
    if (seq === undefined) throw new Error("a publication without seq");
    if (seq === beforeSeq) this.duplicates += 1;
    else if (seq < beforeSeq) this.reorderings += 1;
    else if (seq > beforeSeq + 1) this.gaps += 1;
    if (data !== seq) this.wrongData += 1;
    return seq;
  }
}

/** A join: the reply and what follows it. @returns where it left off. */
async function join(
  server: string,
  findings: Findings,
  since: { readonly epoch: string; readonly seq: number } | null,
): Promise<{ epoch: string; seq: number }> {
  const peer = await Peer.native(server);
  const id = peer.send("subscribe", {
    topics: [topic],
    ...(since === null ? {} : { since: { [topic]: since } }),
  });
  const reply = await peer.json();
  if (reply.id !== id) throw new Error(`not the reply: ${JSON.stringify(reply)}`);
  const state = reply.result?.topics?.[topic];
  if (state?.epoch === undefined || state.seq === undefined)
    throw new Error(`refused: ${JSON.stringify(reply)}`);
  checkReply(findings, state, since);
  let seq = state.seq;
  for (let index = 0; index < followCount; index++) {
    const message: WireMessage = await peer.json();
    if (index === 0 && message.seq !== seq + 1) findings.wrongFirst += 1;
    seq = findings.follow(seq, message.seq, message.data);
  }
  const { epoch } = state;
  await peer.close();
  return { epoch, seq };
}

function checkReply(findings: Findings, state: TopicState, since: { readonly seq: number } | null): void {
  if (since === null) {
    if (state.data !== (state.seq === 0 ? undefined : state.seq)) findings.wrongData += 1;
    return;
  }
  if (state.recovered !== true) {
    findings.notRecovered += 1;
    return;
  }
  let seq = since.seq;
  for (const message of state.messages ?? []) seq = findings.follow(seq, message.seq, message.data);
  if (seq !== state.seq) findings.gaps += 1;
}

describe.each(["memory", "redis"] as const)("joining an `every` topic under fire, broker %s", (kind) => {
  it(
    `${joinCount} joins under ${ratePerSec} messages a second: no gap, no duplicate, no reordering`,
    { timeout: 120_000 },
    async () => {
      const sets = { topics: rules, ...(kind === "redis" ? onRedis(redisUrl(), uniquePrefix()) : {}) };
      await using server = await Server.start({ sets });
      const findings = new Findings();
      const publisher = new Publisher(server.http);
      let joins = 0;
      let rejoins = 0;
      const lane = async (): Promise<void> => {
        let last: { epoch: string; seq: number } | null = null;
        while (joins < joinCount) {
          joins += 1;
          // Every other join resumes where the lane's last one left off; the others know nothing.
          const since: { epoch: string; seq: number } | null = joins % 2 === 0 ? last : null;
          if (since !== null) rejoins += 1;
          last = await join(server.ws, findings, since);
        }
      };
      const startMs = performance.now();
      await Promise.race([
        Promise.all(Array.from({ length: laneCount }, lane)),
        publisher.done.then(() => Promise.reject(new Error("the publisher ended"))),
      ]);
      const seconds = (performance.now() - startMs) / 1000;
      const rate = await publisher.stop();
      const metrics = await server.metrics();
      console.log(
        `${kind}: ${joins} joins (${rejoins} with since) in ${seconds.toFixed(1)} s on ${
          metrics.byWorker("tapecast_connections_opened_total").size
        } workers, ${publisher.publishedCount} messages at ${rate.toFixed(0)}/s, ${JSON.stringify(findings)}`,
      );
      expect(joins).toBeGreaterThanOrEqual(joinCount);
      expect(rejoins).toBeGreaterThan(joinCount / 3);
      expect(rate).toBeGreaterThan(ratePerSec * 0.95);
      expect(findings).toEqual(new Findings());
      expect(await server.stop()).toEqual({ code: 0, signal: null });
    },
  );
});
