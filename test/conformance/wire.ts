/**
 * Bytes as a client puts them on the wire, right and wrong ones: the suite's own crafting, which shares nothing with
 * src/codec, so that it can judge it.
 */

/** RFC 6455 §5.2. */
export const op = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** What may be said otherwise than in an ordinary frame. */
export interface FrameFlaws {
  /** Default true. */
  readonly fin?: boolean;
  /** RSV1 4, RSV2 2, RSV3 1. Default 0. */
  readonly rsv?: number;
  /** Null: no mask. Default a key that differs from frame to frame. */
  readonly key?: number | null;
  /** The form of the length. Default the shortest. */
  readonly form?: 7 | 16 | 64;
  /** The length that the header says. Default that of the payload. */
  readonly says?: bigint;
}

let lastKey = 0x1d2c_3b4a;

/** A frame, masked unless told otherwise. */
export function frame(opcode: number, payload: Uint8Array | string = "", flaws: FrameFlaws = {}): Buffer {
  const { fin = true, rsv = 0 } = flaws;
  const body = Buffer.from(typeof payload === "string" ? Buffer.from(payload) : payload);
  const says = flaws.says ?? BigInt(body.length);
  const form = flaws.form ?? (says < 126n ? 7 : says < 65_536n ? 16 : 64);
  const key = flaws.key === undefined ? nextKey() : flaws.key;
  const maskBit = key === null ? 0 : 0x80;
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const length = Buffer.alloc(form === 7 ? 1 : form === 16 ? 3 : 9);
  length[0] = maskBit | (form === 7 ? Number(says) : form === 16 ? 126 : 127);
  if (form === 16) length.writeUInt16BE(Number(says), 1);
  if (form === 64) length.writeBigUInt64BE(says, 1);
  if (key === null) return Buffer.concat([Buffer.of(first), length, body]);
  const mask = Buffer.alloc(4);
  mask.writeUInt32BE(key);
  for (let index = 0; index < body.length; index += 1) body[index] = body[index]! ^ mask[index & 3]!;
  return Buffer.concat([Buffer.of(first), length, mask, body]);
}

/** A message in fragments, one for each payload. */
export function fragments(
  opcode: number,
  payloads: readonly (Uint8Array | string)[],
  flaws: FrameFlaws = {},
): Buffer[] {
  return payloads.map((payload, index) =>
    frame(index === 0 ? opcode : op.continuation, payload, {
      ...flaws,
      rsv: index === 0 ? (flaws.rsv ?? 0) : 0,
      fin: index === payloads.length - 1,
    }),
  );
}

/** The body of a close frame. */
export function closeBody(code: number, reason: Uint8Array | string = ""): Buffer {
  const body = Buffer.alloc(2);
  body.writeUInt16BE(code);
  return Buffer.concat([body, Buffer.from(reason as string)]);
}

/** `bytes` in pieces of `size`; the last may be smaller. */
export function pieces(bytes: Uint8Array, size: number): Uint8Array[] {
  const count = Math.max(1, Math.ceil(bytes.length / size));
  return Array.from({ length: count }, (_, index) => bytes.subarray(index * size, (index + 1) * size));
}

/** Hex; spaces are for the eye. */
export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(" ", ""), "hex");
}

function nextKey(): number {
  lastKey = (Math.imul(lastKey, 1_664_525) + 1_013_904_223) >>> 0;
  return lastKey;
}
