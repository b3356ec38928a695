/** RFC 6455 §5.2 and §6 at size: large messages whole and in small TCP segments, and many small ones in a row. */
import { binary, text, type Case, type Step } from "../case.ts";
import { frame, op } from "../wire.ts";

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

/** Made when it runs: together they are a hundred megabytes. */
function echo(isText: boolean, size: number): Step {
  return {
    kind: "series",
    count: 1,
    message: () => {
      const payload = Buffer.alloc(size, isText ? "*" : 0xfe);
      return {
        wire: frame(isText ? op.text : op.binary, payload),
        seen: isText ? text(payload) : binary(payload),
      };
    },
  };
}

const whole: Case[] = [
  64 * kibibyte,
  256 * kibibyte,
  mebibyte,
  4 * mebibyte,
  8 * mebibyte,
  16 * mebibyte,
].flatMap((size): Case[] =>
  [true, false].map((isText) => ({
    id: `6.2-large-${isText ? "text" : "binary"}-${size / kibibyte}k`,
    must: '"The "Application data" from this frame is defined as the /data/ of the message": whole, whatever its size',
    what: `a ${isText ? "text" : "binary"} message of ${size / kibibyte} KiB`,
    steps: [echo(isText, size)],
    isHeavy: true,
  })),
);

const stars = Buffer.alloc(mebibyte, "*");
const bytes = Buffer.alloc(mebibyte, 0xfe);
/** The public suite's 9.5 and 9.6 with 1 MiB. */
const chopped: Case[] = [64, 128, 256, 512, 1024, 2048].flatMap((piece): Case[] =>
  [true, false].map((isText) => ({
    id: `6.2-chopped-${isText ? "text" : "binary"}-${piece}`,
    must: '"Incoming data MUST be parsed as WebSocket frames": however TCP cuts it',
    what: `a ${isText ? "text" : "binary"} message of 1 MiB, written in pieces of ${piece} bytes`,
    steps: [
      { kind: "send", bytes: () => frame(isText ? op.text : op.binary, isText ? stars : bytes) },
      {
        kind: "see",
        seen: isText ? text(stars) : binary(bytes),
        isLenient: false,
      },
    ],
    ways: [piece],
    isHeavy: true,
  })),
);

const series: Case[] = [0, 16, 64, 256, 1024, 4096].flatMap((size): Case[] =>
  [true, false].map((isText) => ({
    id: `6.2-series-${isText ? "text" : "binary"}-${size}`,
    must: '"_A WebSocket Message Has Been Received_", each and in order',
    what: `${isText ? "text" : "binary"} messages of ${size} bytes, each sent when the one before is back`,
    steps: [
      {
        kind: "series",
        count: null,
        message: (index) => {
          const payload = Buffer.alloc(size, String(index));
          return {
            wire: frame(isText ? op.text : op.binary, payload),
            seen: isText ? text(payload) : binary(payload),
          };
        },
      },
    ],
    isHeavy: true,
  })),
);

export const largeCases: readonly Case[] = [...whole, ...chopped, ...series];
