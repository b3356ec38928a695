/** Decoding what clients send, encoding what they are sent, masking, deflating; and the JSON scanner. Each beside the plain way of doing it. */
import type { BenchCase } from "./bench-case.ts";
import type { BuiltModules } from "./built-modules.ts";
import { quoteJson } from "./quotes.ts";

const key = 0x1234_abcd;

/** Sizes that take each of the mask's ways, and a command of a client. */
const maskSizes = [32, 125, 512, 4096, 65_536] as const;

export function codecCases({ encoder, reader }: BuiltModules): BenchCase[] {
  const command = Buffer.from(
    '{"id":1,"method":"subscribe","params":{"topics":["quote.AAPL","chat.lobby"]}}',
  );
  const large = Buffer.from(`"${"x".repeat(16_384)}"`);
  const payload = Buffer.from(quoteJson(1));
  const text = payload.toString();
  const options = { role: "server", messageBytesMax: 65_536, fragmentsPerMessageMax: 1024 } as const;
  const decode = (name: string, wire: Buffer, messages: number, cut: number): BenchCase => {
    let seen = 0;
    const sink = {
      onMessage: (_isText: boolean, bytes: Uint8Array): void => void (seen += bytes.length),
      onPing: (): void => undefined,
      onPong: (): void => undefined,
      onClose: (): void => undefined,
      onViolation: (_code: number, reason: string): void => {
        throw new Error(reason);
      },
    };
    const decoder = new reader.MessageReader(options, sink);
    const chunk = Buffer.alloc(wire.length);
    return {
      name,
      per: "message",
      operations: messages,
      bytes: Math.round(wire.length / messages),
      run() {
        // Decoding unmasks in place, so it needs fresh bytes, as from a socket.
        chunk.set(wire);
        for (let at = 0; at < chunk.length; at += cut)
          decoder.push(chunk.subarray(at, Math.min(chunk.length, at + cut)));
        return seen;
      },
    };
  };
  const small = encoder.encodeMaskedFrame(1, command, key);
  const many = Buffer.concat(Array.from({ length: 64 }, () => small));
  const big = encoder.encodeMaskedFrame(1, large, key);
  return [
    decode("decode/command, alone in its chunk", small, 1, small.length),
    decode("decode/commands, 64 in a chunk", many, 64, many.length),
    decode("decode/16 KiB text in 1,448-byte chunks", big, 1, 1448),
    {
      name: "encode/quote, bytes",
      per: "message",
      operations: 1,
      bytes: payload.length,
      run: () => encoder.encodeFrame(1, payload).length,
    },
    {
      name: "encode/quote, text",
      per: "message",
      operations: 1,
      bytes: payload.length,
      run: () => encoder.encodeTextFrame(text).length,
    },
  ];
}

export function maskCases({ mask }: BuiltModules): BenchCase[] {
  return maskSizes.flatMap((size): BenchCase[] => {
    const bytes = Buffer.alloc(size + 8, 0x61);
    // Six bytes of header before it, as in a frame: nothing is aligned.
    const start = 6;
    return [
      {
        name: `mask/${size} bytes`,
        per: "payload",
        operations: 1,
        bytes: size,
        run() {
          mask.xorMask(bytes, start, start + size, key, 0);
          return bytes[start] ?? 0;
        },
      },
      {
        name: `mask/${size} bytes, byte by byte`,
        per: "payload",
        operations: 1,
        bytes: size,
        run() {
          maskByteByByte(bytes, start, start + size);
          return bytes[start] ?? 0;
        },
      },
    ];
  });
}

export function deflateCases({ deflate }: BuiltModules): BenchCase[] {
  const lines = Array.from(
    { length: 9 },
    (_, number) => `{"topic":"quote.S${number}","data":${quoteJson(number)}}`,
  );
  const batch = Buffer.from(lines.join("\n"));
  const base = { per: "batch", operations: 1, bytes: batch.length } as const;
  return [
    { ...base, name: "deflate/9 quotes", run: () => deflate.deflateFrame(1, batch)?.length ?? 0 },
    {
      ...base,
      name: "deflate/9 quotes, node's function",
      run: () => deflate.deflateFrame(1, batch, null)?.length ?? 0,
    },
  ];
}

export function jsonCases({ json }: BuiltModules): BenchCase[] {
  const quote = Buffer.from(quoteJson(1));
  const chat = Buffer.from(JSON.stringify({ user: "小明", text: "今天的行情真不错 😀 ".repeat(12) }));
  const publish = Buffer.from(`{"topic":"quote.AAPL","data":${quoteJson(2)}}`);
  return [
    jsonCase("json/quote, checked", quote, () => Number(json.isJson(quote))),
    jsonCase("json/quote, JSON.parse", quote, () => parsed(quote)),
    jsonCase("json/chat in Chinese, checked", chat, () => Number(json.isJson(chat))),
    jsonCase("json/chat in Chinese, JSON.parse", chat, () => parsed(chat)),
    jsonCase("json/members of a publish request", publish, () => json.objectMembers(publish)?.size ?? 0),
    jsonCase("json/members of a publish request, JSON.parse", publish, () => parsed(publish)),
  ];
}

function maskByteByByte(bytes: Uint8Array, start: number, end: number): void {
  for (let index = start; index < end; index += 1) {
    bytes[index] = (bytes[index] ?? 0) ^ (key >>> (24 - 8 * ((index - start) & 3)));
  }
}

function jsonCase(name: string, bytes: Buffer, run: () => number): BenchCase {
  return { name, per: "message", operations: 1, bytes: bytes.length, run };
}

/** The plain way, which builds objects only to see whether it can. */
function parsed(bytes: Buffer): number {
  return Object.keys(JSON.parse(bytes.toString()) as object).length;
}
