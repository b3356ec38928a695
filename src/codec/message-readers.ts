/**
 * Between two messages a reader knows nothing of its connection, so connections that wait for the next one share a few:
 * a reader takes 550 bytes, and nearly all connections wait, nearly all of the time.
 */
import { MessageReader, type MessageReaderOptions, type MessageSink } from "./message-reader.ts";

/** Kept for the next message; more are in use only while as many messages are on their way. */
const idleMax = 64;

/** An idle reader's, so that it holds no connection alive. */
const nobody: MessageSink = {
  onMessage: () => undefined,
  onPing: () => undefined,
  onPong: () => undefined,
  onClose: () => undefined,
  onViolation: () => undefined,
};

/** The readers of a worker. All inflate large messages in steps. */
export class MessageReaders {
  /** By the options, which all connections of an endpoint have in common. */
  readonly #idle = new Map<MessageReaderOptions, MessageReader[]>();

  /** A reader between two messages, for `sink` until it is given back. */
  lend(options: MessageReaderOptions, sink: MessageSink): MessageReader {
    const reader = this.#idle.get(options)?.pop() ?? new MessageReader(options, sink, true);
    reader.sink = sink;
    return reader;
  }

  /** Takes a reader back if nothing of a message has come. @returns false: its borrower needs it on. */
  takeBack(options: MessageReaderOptions, reader: MessageReader): boolean {
    if (!reader.isIdle) return false;
    reader.sink = nobody;
    const idle = this.#idle.get(options);
    if (idle === undefined) this.#idle.set(options, [reader]);
    else if (idle.length < idleMax) idle.push(reader);
    return true;
  }
}
