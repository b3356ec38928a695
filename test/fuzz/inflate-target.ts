/** Inflating one message (RFC 7692 §7.2.2), by our engine and by node's function, beside a slow inflater without zlib. */
import { inflateMessage } from "../../src/codec/inflate.ts";
import { type Violation, violation } from "../../src/codec/violation.ts";
import { inflateTwin, type TwinInflated } from "../codec/inflate-twin.ts";
import { expectSame, type FuzzInput, type FuzzTarget } from "./fuzz-target.ts";
import { deflated } from "./frame-target.ts";
import { mutate } from "./mutate.ts";
import type { Random } from "./random.ts";

const limits = [100_000, 100_000, 1024, 64, 0];
const finalBlocksMax = 4;

export const inflateTarget: FuzzTarget = {
  name: "inflate",
  make(random) {
    const variant = random.int(limits.length);
    const noise = random.chance(5);
    const valid = noise ? random.bytes(random.int(60)) : deflated(random, plain(random));
    const bytes = random.chance(75) ? mutate(random, valid) : valid;
    return { bytes, cuts: [], variant };
  },
  check({ bytes, variant }: FuzzInput) {
    const limit = limits[variant] ?? 0;
    const twin = inflateTwin(bytes, limit, finalBlocksMax);
    compare(inflateMessage(bytes, limit), twin);
    compare(inflateMessage(bytes, limit, null), twin);
  },
};

function compare(result: Uint8Array | Violation, twin: TwinInflated): void {
  const verdict = "closeCode" in result ? result.reason : "";
  if (twin.isTooBig && twin.isCorrupt && verdict === violation.deflateCorrupt.reason) return;
  if (twin.isTooBig) expectSame("verdict", verdict, violation.messageTooBig.reason);
  else if (twin.isCorrupt) expectSame("verdict", verdict, violation.deflateCorrupt.reason);
  else if (twin.hasTooManyFinalBlocks) expectSame("verdict", verdict, violation.tooManyFinalBlocks.reason);
  else if ("closeCode" in result) expectSame("verdict", verdict, "");
  else expectSame("output", Buffer.from(result).toString("hex"), twin.output.toString("hex"));
}

function plain(random: Random): Buffer {
  switch (random.int(4)) {
    case 0:
      return random.bytes(random.int(200));
    case 1:
      return Buffer.alloc(random.int(70), random.pick(["a", "ab", "\0"]));
    case 2:
      return Buffer.from(
        `{"topic":"quote.AAPL","seq":${random.int(1000)},"data":{"price":1.10}}`.repeat(1 + random.int(3)),
      );
    default:
      return Buffer.alloc(0);
  }
}
