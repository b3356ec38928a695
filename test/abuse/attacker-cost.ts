/**
 * What an attacker with 1 Mbit/s can buy: for each row a stream of bad input, paced to that bandwidth with what TCP
 * adds to it, and the processor time and memory that it costs both workers beyond an idle server. By hand:
 * `npm run abuse:cost -- [--seconds 5] [--rows FR6,DF1] [--set KEY=VALUE]`.
 */
import { readdirSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { deflateRawSync, constants } from "node:zlib";

import { opcode } from "../../src/codec/opcode.ts";
import { RawPeer } from "../connection/raw-peer.ts";
import { Server } from "../e2e/server.ts";
import { delay } from "../e2e/until.ts";
import { mutate } from "../fuzz/mutate.ts";
import { Random } from "../fuzz/random.ts";
import { frame, handshake, text } from "./raw.ts";

const bytesPerSec = 125_000;
/** SYN, its answer's ACK, the handshake's ACKs, FIN: about seven packets without payload. */
const connectBytes = 400;
/** Headers of IPv4 and TCP with timestamps, for each packet of at most 1,448 bytes. */
const packetHeaderBytes = 52;
/** Until the server's code for this attack is compiled on both workers, as it is on a server that has run for a while. */
const warmUpMs = 5000;
const warmUpBandwidths = 5;
const segmentBytes = 1448;

interface Attack {
  readonly row: string;
  readonly what: string;
  readonly target: string;
  /** What is sent again and again on one connection until the server ends it. */
  readonly burst: () => Buffer;
  readonly deflate?: boolean;
  /** Each burst on a connection of its own, which is then left open. */
  readonly holds?: boolean;
  /** Bytes of a packet, where small packets are the attack. */
  readonly packetBytes?: number;
  /** HTTP: nothing is upgraded. */
  readonly isPlain?: boolean;
  /** The attacker takes nothing of what comes back. */
  readonly readsNothing?: boolean;
}

const final = 0x80;
const compressed = final | 0x40 | opcode.text;
const random = new Random(7, 1);

function deflated(payload: Uint8Array): Buffer {
  return deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

function repeated(bytes: Buffer, count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, () => bytes));
}

const bombs = new Map([2 ** 16, 2 ** 20, 2 ** 24].map((size) => [size, deflated(Buffer.alloc(size, " "))]));

function bomb(size: number): Buffer {
  return frame(compressed, bombs.get(size) ?? Buffer.alloc(0));
}

const valid = Buffer.concat([text('{"id":1,"method":"ping"}'), frame(final | opcode.ping, "p"), text("{}")]);

const attacks: readonly Attack[] = [
  { row: "FR1", what: "an unmasked frame, again and again", target: "/ws", burst: () => frame(0x81, "x", { isMasked: false }) },
  { row: "FR5", what: "a length of 2^53", target: "/ws", burst: () => frame(0x81, "", { claims: 2n ** 53n, form: 64 }) },
  { row: "FR7", what: "16 MiB promised, 1 KB sent, left open", target: "/echo", burst: () => frame(0x81, Buffer.alloc(1000, "x"), { claims: 16_777_216 }), holds: true },
  { row: "FR10", what: "empty fragments without end", target: "/echo", burst: () => Buffer.concat([text("", false), repeated(frame(0), 2000)]) },
  { row: "FR11", what: "fragments of 1 byte below the limit of number, left open", target: "/echo", burst: () => Buffer.concat([text("x", false), repeated(frame(0, "x"), 1000)]), holds: true },
  { row: "FR12", what: "one byte in each packet", target: "/echo", burst: () => frame(0x82, Buffer.alloc(20_000)), packetBytes: 1 },
  { row: "FR14", what: "bad UTF-8 at the end of 60 KB", target: "/ws", burst: () => text(Buffer.concat([Buffer.alloc(60_000, "x"), Buffer.of(0xff)])) },
  { row: "FR20", what: "pings without end", target: "/ws", burst: () => repeated(frame(final | opcode.ping), 200) },
  { row: "FR20", what: "pings at 20 a second, left open", target: "/ws", burst: () => repeated(frame(final | opcode.ping), 20), holds: true },
  { row: "FR22", what: "mutated streams", target: "/ws", burst: () => mutate(random, valid) },
  { row: "FR23", what: "messages of 1 byte, echoed", target: "/echo", burst: () => repeated(frame(0x81, "x"), 200) },
  { row: "DF1", what: "bombs of 64 KiB", target: "/ws", burst: () => bomb(2 ** 16), deflate: true },
  { row: "DF1", what: "bombs of 1 MiB, over the limit", target: "/ws", burst: () => bomb(2 ** 20), deflate: true },
  { row: "DF1", what: "bombs of 16 MiB, echoed to nobody", target: "/echo", burst: () => bomb(2 ** 24), deflate: true, readsNothing: true },
  { row: "DF1", what: "bombs of 16 MiB, echoed to who takes them", target: "/echo", burst: () => bomb(2 ** 24), deflate: true },
  { row: "DF2", what: "half of 64 KiB, over and over", target: "/ws", burst: () => repeated(bomb(2 ** 16), 8), deflate: true },
  { row: "DF3", what: "noise instead of deflate", target: "/ws", burst: () => frame(compressed, random.bytes(200)), deflate: true },
  { row: "DF4", what: "empty compressed messages, echoed", target: "/echo", burst: () => repeated(frame(compressed, Buffer.of(0)), 200), deflate: true },
  { row: "DF7", what: "offers of 9 KB", target: `/ws?${"x".repeat(9000)}`, burst: () => Buffer.alloc(0) },
  { row: "HT", what: "HTTP requests of 35 bytes, 40 in a packet", target: "/", burst: () => repeated(Buffer.from("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), 40), isPlain: true },
]; // prettier-ignore

/** Bytes that may go out by now; everything that is sent is taken from it first. */
class Bandwidth {
  readonly #startMs = performance.now();
  readonly #bytesPerSec: number;
  #spent = 0;

  constructor(bandwidths: number) {
    this.#bytesPerSec = bandwidths * bytesPerSec;
  }

  async take(bytes: number): Promise<void> {
    this.#spent += bytes;
    const waitMs = this.#startMs + (this.#spent / this.#bytesPerSec) * 1000 - performance.now();
    if (waitMs > 0) await delay(waitMs);
  }
}

async function attackWith(attack: Attack, server: Server, endMs: number, bandwidths = 1): Promise<void> {
  const bandwidth = new Bandwidth(bandwidths);
  const held: RawPeer[] = [];
  const extensions: Record<string, string> =
    attack.deflate === true ? { "Sec-WebSocket-Extensions": "permessage-deflate" } : {};
  const head = attack.isPlain === true ? "" : handshake(extensions, `GET ${attack.target} HTTP/1.1`);
  while (performance.now() < endMs) {
    await bandwidth.take(connectBytes + head.length + packetHeaderBytes);
    const peer = await RawPeer.connect(server.http).catch(() => null);
    if (peer === null) continue;
    held.push(peer);
    peer.send(head);
    if (attack.readsNothing === true) peer.socket.pause();
    do {
      const burst = attack.burst();
      const packetBytes = attack.packetBytes ?? segmentBytes;
      const step = attack.packetBytes ?? burst.length;
      for (let offset = 0; offset < burst.length && performance.now() < endMs; offset += step) {
        const part = burst.subarray(offset, offset + step);
        await bandwidth.take(part.length + Math.ceil(part.length / packetBytes) * packetHeaderBytes);
        peer.send(part);
      }
      if (burst.length === 0) await delay(0);
    } while (
      attack.holds !== true &&
      !peer.isEnded &&
      !peer.isClosed &&
      performance.now() < endMs &&
      attack.burst().length > 0
    );
    if (attack.holds !== true && attack.readsNothing !== true) {
      held.pop();
      peer.socket.destroy();
    }
  }
  for (const peer of held) peer.socket.destroy();
}

interface Figures {
  readonly cpuMs: number;
  readonly residentBytes: number;
}

function figuresOf(server: Server): Figures {
  let cpuMs = 0;
  let residentBytes = 0;
  for (const pid of [server.process.pid, ...server.workerPids()]) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      // Nanoseconds on a processor; proc(5)'s stat counts ticks of 10 ms, which is as much as some rows cost.
      cpuMs += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]) / 1e6;
    }
    residentBytes += Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * 4096;
  }
  return { cpuMs, residentBytes };
}

/** Processor time and the highest memory beyond the beginning, while `work` runs. */
async function costOf(
  server: Server,
  work: () => Promise<void>,
): Promise<{ cores: number; peakBytes: number }> {
  const before = figuresOf(server);
  const startMs = performance.now();
  let peakBytes = 0;
  const watch = setInterval(() => {
    peakBytes = Math.max(peakBytes, figuresOf(server).residentBytes - before.residentBytes);
  }, 100);
  await work();
  clearInterval(watch);
  return { cores: (figuresOf(server).cpuMs - before.cpuMs) / (performance.now() - startMs), peakBytes };
}

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "5" },
    rows: { type: "string", default: "" },
    set: { type: "string", multiple: true, default: [] },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(
    "usage: npm run abuse:cost -- [--seconds 5] [--rows FR6,DF1] [--set KEY=VALUE]\n\nSeconds of each attack; rows of docs/ABUSE.md; options of the server.",
  );
  process.exit(0);
}
const seconds = Number(values.seconds);
const sets = Object.fromEntries(
  values.set.map((each) => [each.slice(0, each.indexOf("=")), each.slice(each.indexOf("=") + 1)]),
);
const wanted = values.rows === "" ? null : new Set(values.rows.split(","));

console.log("| row | 1 Mbit/s of | processor, % of a core | memory, MB |\n| --- | --- | ---: | ---: |");
for (const attack of attacks) {
  if (wanted !== null && !wanted.has(attack.row)) continue;
  await using server = await Server.start({ sets });
  // Code that is used is compiled once; that is not the attacker's.
  await attackWith(attack, server, performance.now() + warmUpMs, warmUpBandwidths);
  // What it left open is gone, and the compiler done.
  await delay(2000);
  const idle = await costOf(server, () => delay(2500));
  const cost = await costOf(server, () => attackWith(attack, server, performance.now() + seconds * 1000));
  const percent = Math.max(0, (cost.cores - idle.cores) * 100);
  console.log(
    `| ${attack.row} | ${attack.what} | ${percent.toFixed(1)} | ${(cost.peakBytes / 1e6).toFixed(0)} |`,
  );
}
