/** npm's ws, undici and websocket. */
import { WebSocket as UndiciWebSocket } from "undici";
import websocket from "websocket";
import { WebSocket as WsWebSocket } from "ws";
import { delay } from "../../e2e/until.ts";
import { binary, megabyte, Queue, silenceMs, talkNative, text, type Report, type Task } from "./talk.ts";

export async function talkWs({ server, code, topic }: Task): Promise<Report> {
  const { socket, messages, closed } = await openWs(`${server}/echo`);
  const pong = new Promise<boolean>((resolve) => {
    socket.on("pong", (payload) => resolve(payload.toString() === "are you there"));
  });
  socket.send(text);
  const first = await messages.take();
  socket.send(binary);
  const second = await messages.take();
  socket.send("one ", { fin: false });
  socket.send("two ", { fin: false });
  socket.send("three", { fin: true });
  const third = await messages.take();
  socket.ping("are you there");
  const isAnswered = await pong;
  const deflate = socket.extensions.includes("permessage-deflate");
  socket.close(code);
  const seenCode = await closed;
  const native = await openWs(`${server}/ws`);
  return {
    text: !first.isBinary && first.data.toString() === text,
    binary: second.isBinary && second.data.equals(binary),
    fragmented: third.data.toString() === "one two three",
    pong: isAnswered,
    deflate,
    code: seenCode,
    ...(await talkNative(
      {
        sendText: (message) => native.socket.send(message),
        sendBinary: (bytes) => native.socket.send(bytes),
        next: async () => (await native.messages.take()).data.toString(),
        closed: native.closed,
      },
      topic,
    )),
  };
}

async function openWs(url: string) {
  const socket = new WsWebSocket(url);
  const messages = new Queue<{ data: Buffer; isBinary: boolean }>();
  const closed = new Promise<number>((resolve, reject) => {
    socket.on("error", reject);
    socket.on("close", resolve);
  });
  socket.on("message", (bytes: Buffer, isBinary) => messages.put({ data: bytes, isBinary }));
  await new Promise((resolve) => socket.once("open", resolve));
  return { socket, messages, closed };
}

export async function talkUndici({ server, code, topic }: Task): Promise<Report> {
  const { socket, messages, closed } = await openUndici(`${server}/echo`);
  socket.send(text);
  const first = await messages.take();
  socket.send(binary);
  const second = await messages.take();
  // The WHATWG interface has no ping, but answers them.
  await delay(silenceMs);
  socket.send("still here");
  const third = await messages.take();
  const deflate = socket.extensions.includes("permessage-deflate");
  socket.close(code);
  const seenCode = await closed;
  const native = await openUndici(`${server}/ws`);
  return {
    text: first === text,
    binary: second instanceof ArrayBuffer && Buffer.from(second).equals(binary),
    fragmented: null,
    pong: third === "still here",
    deflate,
    code: seenCode,
    ...(await talkNative(
      {
        sendText: (message) => native.socket.send(message),
        sendBinary: (bytes) => native.socket.send(bytes),
        next: async () => String(await native.messages.take()),
        closed: native.closed,
      },
      topic,
    )),
  };
}

async function openUndici(url: string) {
  const socket = new UndiciWebSocket(url);
  socket.binaryType = "arraybuffer";
  const messages = new Queue<unknown>();
  const closed = new Promise<number>((resolve) => {
    socket.addEventListener("close", (event) => resolve(event.code));
  });
  socket.addEventListener("message", (event) => messages.put(event.data));
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", () => reject(new Error("undici could not connect")));
  });
  return { socket, messages, closed };
}

export async function talkWebsocket({ server, code, topic }: Task): Promise<Report> {
  // It cuts what it sends: messages above the threshold go out in fragments of 16 KiB.
  const { connection, messages, closed } = await openWebsocket(`${server}/echo`);
  const pong = new Promise<boolean>((resolve) => {
    connection.on("pong", (payload: Buffer) => resolve(payload.toString() === "are you there"));
  });
  connection.sendUTF(text);
  const first = await messages.take();
  connection.sendBytes(binary);
  const second = await messages.take();
  connection.ping("are you there");
  const isAnswered = await pong;
  connection.close(code);
  const seenCode = await closed;
  const native = await openWebsocket(`${server}/ws`);
  const isText = first.type === "utf8" && first.utf8Data === text;
  return {
    text: isText,
    binary: second.type === "binary" && second.binaryData.equals(binary),
    fragmented: isText,
    pong: isAnswered,
    deflate: false,
    code: seenCode,
    ...(await talkNative(
      {
        sendText: (message) => native.connection.sendUTF(message),
        sendBinary: (bytes) => native.connection.sendBytes(bytes),
        next: async () => {
          const message = await native.messages.take();
          return message.type === "utf8" ? message.utf8Data : "";
        },
        closed: native.closed,
      },
      topic,
    )),
  };
}

async function openWebsocket(url: string) {
  const client = new websocket.client({
    maxReceivedFrameSize: 2 * megabyte,
    maxReceivedMessageSize: 2 * megabyte,
  });
  const connection = await new Promise<websocket.connection>((resolve, reject) => {
    client.on("connect", resolve);
    client.on("connectFailed", reject);
    client.connect(url);
  });
  const messages = new Queue<websocket.Message>();
  connection.on("message", (message) => messages.put(message));
  const closed = new Promise<number>((resolve) => {
    connection.on("close", resolve);
  });
  return { connection, messages, closed };
}
