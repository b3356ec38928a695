/**
 * What every foreign client does, and what it reports. On /echo: 1 MB of text and of binary, a fragmented message
 * where its interface can send one, a ping where it can, and a close of its own. On /ws: a subscription and a
 * publication that comes back, then a close by the server, whose code it must see.
 */

/** What a client found out. */
export interface Report {
  /** Whether the megabyte of text came back as it was. */
  readonly text: boolean;
  readonly binary: boolean;
  /** Whether a fragmented message came back as one; null where the interface cannot send one. */
  readonly fragmented: boolean | null;
  /** Whether a ping was answered; for a client that cannot send one: whether it lived on our pings to it. */
  readonly pong: boolean;
  /** Whether permessage-deflate was agreed on. */
  readonly deflate: boolean;
  /** The close code that it saw after its own close. */
  readonly code: number;
  /** The `data` of its publication, as it came back on its subscription. */
  readonly native: unknown;
  /** The close code of the server's: 1003, since binary messages are not for /ws. */
  readonly serverCode: number;
}

/** What to talk to: `ws://127.0.0.1:PORT`, the code to close with, and a topic of the client's own. */
export interface Task {
  readonly server: string;
  readonly code: number;
  readonly topic: string;
}

export interface ForeignClient {
  readonly name: string;
  /** What it is expected to agree on and to be able to do. */
  readonly deflate: boolean;
  readonly canFragment: boolean;
  readonly talk: (task: Task) => Promise<Report>;
}

export const megabyte = 1_048_576;
/** 1 MB in UTF-8, of characters of one to four bytes. */
export const text = `${"aé弹🎏".repeat(megabyte / 10)}tail-1`;
export const binary = Buffer.from(
  Array.from({ length: megabyte }, (_, index) => (index * 7 + (index >> 8)) & 255),
);
/** What is published. */
export const data = { text: "哈哈 🎏", price: 1.5 };
/** Longer than a client lives that answers no ping: interval and timeout of the server under test. */
export const silenceMs = 2000;

/** A client's connection to /ws, whatever its library calls things. */
export interface NativeSocket {
  sendText(text: string): void;
  sendBinary(bytes: Buffer): void;
  /** The text of the next message. */
  next(): Promise<string>;
  readonly closed: Promise<number>;
}

/** The part of the task on /ws. */
export async function talkNative(
  socket: NativeSocket,
  topic: string,
): Promise<Pick<Report, "native" | "serverCode">> {
  const until = async (isIt: (message: { id?: number; topic?: string; data?: unknown }) => boolean) => {
    for (;;) {
      const message = JSON.parse(await socket.next()) as { id?: number; topic?: string; data?: unknown };
      if (isIt(message)) return message;
    }
  };
  socket.sendText(JSON.stringify({ id: 1, method: "subscribe", params: { topics: [topic] } }));
  await until(({ id }) => id === 1);
  socket.sendText(JSON.stringify({ id: 2, method: "publish", params: { topic, data } }));
  const publication = await until((message) => message.topic === topic);
  socket.sendBinary(Buffer.from("not for /ws"));
  return { native: publication.data, serverCode: await socket.closed };
}

/** Values in the order in which they came. */
export class Queue<Value> {
  readonly #values: Value[] = [];
  #waiting: ((value: Value) => void) | null = null;

  put(value: Value): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) this.#values.push(value);
    else waiting(value);
  }

  take(): Promise<Value> {
    const value = this.#values.shift();
    if (value !== undefined) return Promise.resolve(value);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }
}
