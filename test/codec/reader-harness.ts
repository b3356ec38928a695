/** Runs a MessageReader over bytes cut in a given way and writes down, one line each, what came out. */
import {
  MessageReader,
  type MessageReaderOptions,
  type MessageSink,
} from "../../src/codec/message-reader.ts";
import { MessageReaders } from "../../src/codec/message-readers.ts";

/** A server's reader with room. */
export const serverOptions: MessageReaderOptions = {
  role: "server",
  messageBytesMax: 1_048_576,
  fragmentsPerMessageMax: 128,
};

/** Hex to bytes; spaces and line ends are for the eye. */
export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ""), "hex");
}

/** A sink that writes events into `events`. */
export function recordingSink(events: string[]): MessageSink {
  return {
    onMessage: (isText, payload) => events.push(`${isText ? "text" : "binary"} ${show(payload)}`),
    onPing: (payload) => events.push(`ping ${show(payload)}`),
    onPong: (payload) => events.push(`pong ${show(payload)}`),
    onClose: (code, reason) => events.push(`close ${code} ${show(reason)}`),
    onViolation: (code, reason) => events.push(`violation ${code} ${reason}`),
  };
}

/**
 * Pushes copies of `chunks` and overwrites each one afterwards, as a socket that reuses its read buffer does: whoever
 * still reads from it reads rubbish.
 */
export function readChunks(chunks: readonly Uint8Array[], options: MessageReaderOptions): string[] {
  const events: string[] = [];
  const reader = new MessageReader(options, recordingSink(events));
  for (const chunk of chunks) {
    const copy = Buffer.from(chunk);
    reader.push(copy);
    copy.fill(0xee);
  }
  return events;
}

/** As `readChunks`, but the reader is suspended after every event, and large messages are inflated in steps. */
export function readSuspended(chunks: readonly Uint8Array[], options: MessageReaderOptions): string[] {
  const events: string[] = [];
  const sink = recordingSink(events);
  const suspending: MessageSink = {
    onMessage: (isText, payload) => {
      sink.onMessage(isText, payload);
      reader.suspend();
    },
    onPing: (payload) => {
      sink.onPing(payload);
      reader.suspend();
    },
    onPong: (payload) => {
      sink.onPong(payload);
      reader.suspend();
    },
    onClose: (code, reason) => sink.onClose(code, reason),
    onViolation: (code, reason) => sink.onViolation(code, reason),
  };
  const reader = new MessageReader(options, suspending, true);
  let rest = Buffer.alloc(0);
  for (const chunk of chunks) {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      const copy = Buffer.from(rest);
      const eventsBefore = events.length;
      const doneBytes = reader.push(copy);
      while (reader.isInflating) reader.inflateOn();
      copy.fill(0xee);
      rest = rest.subarray(doneBytes);
      if (rest.length === 0) break;
      if (doneBytes === 0 && events.length === eventsBefore) throw new Error("the reader goes nowhere");
    }
  }
  return events;
}

/**
 * Several connections over shared readers: `wires` are those of the connections, cut; `turns` says whose chunk is next,
 * and the rest follows in turn. Of each connection the events; and how often a reader came to another connection.
 */
export function readShared(
  wires: readonly (readonly Uint8Array[])[],
  turns: readonly number[],
  options: MessageReaderOptions,
): { events: string[][]; handedOver: number } {
  const readers = new MessageReaders();
  const lastSinks = new Map<MessageReader, MessageSink>();
  let handedOver = 0;
  const connections = wires.map((chunks) => {
    const events: string[] = [];
    return { chunks: [...chunks], events, sink: recordingSink(events), reader: null as MessageReader | null };
  });
  const readNext = (connection: (typeof connections)[number]): void => {
    const chunk = connection.chunks.shift();
    if (chunk === undefined) return;
    const reader = (connection.reader ??= readers.lend(options, connection.sink));
    if ((lastSinks.get(reader) ?? connection.sink) !== connection.sink) handedOver += 1;
    lastSinks.set(reader, connection.sink);
    let rest = Buffer.from(chunk);
    do {
      const doneBytes = reader.push(rest);
      while (reader.isInflating) reader.inflateOn();
      rest.fill(0xee, 0, doneBytes);
      rest = rest.subarray(doneBytes);
    } while (rest.length > 0);
    if (readers.takeBack(options, reader)) connection.reader = null;
  };
  for (const turn of turns) {
    const connection = connections[turn % connections.length];
    if (connection !== undefined) readNext(connection);
  }
  while (connections.some(({ chunks }) => chunks.length > 0)) {
    for (const connection of connections) readNext(connection);
  }
  return { events: connections.map(({ events }) => events), handedOver };
}

/** `bytes` one to a chunk. */
export function bytewise(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte));
}

/** `bytes` cut at `offsets`, which may come in any order and repeat. */
export function cutAt(bytes: Uint8Array, offsets: readonly number[]): Uint8Array[] {
  const borders = [...offsets, bytes.length].sort((a, b) => a - b);
  return borders.map((border, index) => bytes.subarray(index === 0 ? 0 : borders[index - 1], border));
}

/** The events of `bytes` whole, having made sure that byte by byte and cut in two anywhere gives the same. */
export function readEveryWay(bytes: Uint8Array, options: MessageReaderOptions = serverOptions): string[] {
  const whole = readChunks([bytes], options);
  const different = (how: string, events: string[]): void => {
    if (JSON.stringify(events) === JSON.stringify(whole)) return;
    throw new Error(`${how}: ${events.join(" | ")}; whole: ${whole.join(" | ")}`);
  };
  different("byte by byte", readChunks(bytewise(bytes), options));
  different("suspended after every event", readSuspended([bytes], options));
  different("suspended, byte by byte", readSuspended(bytewise(bytes), options));
  for (let offset = 0; offset <= bytes.length; offset += 1) {
    different(`cut at ${offset}`, readChunks(cutAt(bytes, [offset]), options));
    different(`suspended, cut at ${offset}`, readSuspended(cutAt(bytes, [offset]), options));
  }
  return whole;
}

function show(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
