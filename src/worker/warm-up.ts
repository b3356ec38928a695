/**
 * Before a worker serves anybody it serves a few hundred connections of its own, on a second `Worker` of the process that
 * is thrown away again, so that V8 has compiled what an opening, a command and a flush run through. The first thousands
 * of real ones, who come back all together after a restart, would wait for that else: what is not compiled is several
 * times dearer, and the compiling takes the same core (docs/benchmarks, "Where a connection's cost goes").
 */
import { Authenticator } from "../auth/authenticator.ts";
import { systemClock } from "../base/clock.ts";
import { encodeMaskedFrame } from "../codec/frame-encoder.ts";
import { opcode } from "../codec/opcode.ts";
import { defaultConfig, type Config } from "../config/schema.ts";
import { topicsSchema } from "../config/topics-schema.ts";
import { openWarmUpClient, type WarmUpClient } from "../http/warm-up-client.ts";
import { sleep } from "./drain.ts";
import { WarmUpBroker } from "./warm-up-broker.ts";
import { Worker } from "./worker.ts";

/** On a busy machine a start does not wait for the rest: what is not compiled by then is compiled later. */
const warmUpMsMax = 2000;
/** Connections that are open at the same time, and how often each topic has a publication meanwhile. */
const together = 50;
const roundsEach = 3;
const topicCount = 40;
const topics = topicsSchema.parse([{ match: "**", delivery: "every" }]);
const publication = Buffer.from(JSON.stringify({ symbol: "TAPE", price: 12.34, text: "x".repeat(120) }));
const commands = [
  '{"id":1,"method":"ping"}',
  '{"id":2,"method":"subscribe","params":{"topics":["t.1","t.2"]}}',
].map((command) => encodeMaskedFrame(opcode.text, Buffer.from(command), 0x12_34_56_78));
const nothing = (): void => undefined;
const nowhere = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/** What became of it. */
export interface WarmUpResult {
  /** Connections that were served. */
  served: number;
  /** Why they are fewer than they should be, or null. */
  problem: string | null;
}

/**
 * Serves `count` connections on loopback. Never throws: a worker that could not warm up serves all the same.
 * @param withinMs as many as can be served in this time.
 */
export async function warmUp(
  config: Config,
  count: number,
  withinMs: number = warmUpMsMax,
): Promise<WarmUpResult> {
  const result: WarmUpResult = { served: 0, problem: null };
  const broker = new WarmUpBroker(publication);
  let worker: Worker | null = null;
  try {
    worker = await Worker.create(ownConfig(config), {
      broker,
      auth: new Authenticator({ required: false, jwt: null, clock: systemClock }),
      log: nowhere,
      version: "",
      acceptPort: null,
      onStatus: nothing,
    });
    const [address = ""] = await worker.start();
    const port = Number(new URL(address).port);
    const inTime = await Promise.race([
      serve(port, broker, count, result).then(() => true),
      sleep(withinMs).then(() => false),
    ]);
    if (!inTime) result.problem = `it was not done after ${withinMs} ms`;
  } catch (error) {
    result.problem = error instanceof Error ? error.message : String(error);
  } finally {
    await worker?.stop(0);
  }
  return result;
}

async function serve(port: number, broker: WarmUpBroker, count: number, result: WarmUpResult): Promise<void> {
  while (result.served < count && result.problem === null) {
    const { served } = result;
    const numbers = Array.from({ length: Math.min(together, count - served) }, (_, index) => served + index);
    const clients = await Promise.all(numbers.map((number) => open(port, number)));
    for (let round = 0; round < roundsEach; round += 1) {
      broker.publishToAll(systemClock.nowMs());
      await new Promise(setImmediate);
    }
    for (const client of clients) client.destroy();
    result.served += clients.length;
  }
}

/** Every fourth wants five topics. */
function open(port: number, number: number): Promise<WarmUpClient> {
  const wanted = Array.from(
    { length: number % 4 === 0 ? 5 : 1 },
    (_, index) => `t.${(number + index) % topicCount}`,
  );
  const command = commands[number % commands.length] ?? Buffer.alloc(0);
  return openWarmUpClient(port, `/ws?topics=${wanted.join(",")}`, command);
}

/** The defaults, whatever limits others have: a limit that is reached here would be counted among theirs. */
function ownConfig({ listen: { directHandles }, flush }: Config): Config {
  const own = defaultConfig();
  return {
    ...own,
    listen: { ...own.listen, host: "127.0.0.1", port: 0, directHandles },
    topics,
    flush,
    limits: {
      ...own.limits,
      connectionsPerAddressMax: null,
      handshakesPerSecMax: null,
      handshakesPerAddressPerSecMax: null,
      commandsPerWorkerPerSecMax: null,
    },
  };
}
