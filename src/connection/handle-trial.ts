/** Tries out, at the start of a process and on sockets of its own, that connections can be served by their handles. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { HandleTransport, openHandlePath } from "./handle-transport.ts";
import { findInside, takeClients } from "./stream-wrap.ts";

/** A piece of what is written until the kernel takes no more, and how many pieces are tried. */
const floodBytes = 1024 * 1024;
const floodPiecesMax = 64;
const probeTimeoutMs = 2000;

/**
 * Tries the handle path out on sockets of this process: that bytes arrive in order, that a write that the kernel does
 * not take is told so and completes, that the end arrives. Afterwards `HandleTransport.over` works, or never does.
 * @returns null, or why it is not to be had.
 */
export async function probeHandleTransport(): Promise<string | null> {
  const server = createServer({ allowHalfOpen: true });
  const sockets: Socket[] = [];
  let timer: NodeJS.Timeout | undefined;
  try {
    // Exclusive: the primary of a cluster would hand its connections to other workers.
    server.listen({ port: 0, host: "127.0.0.1", exclusive: true });
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") return "no address to try it on";
    const open = (): Socket => {
      const peer = connect({ port: address.port, host: "127.0.0.1", allowHalfOpen: true });
      sockets.push(peer);
      return peer;
    };
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve("it does not do what it should"), probeTimeoutMs);
    });
    const accepted = once(server, "connection");
    open();
    // By its type: the event's first argument.
    const [socket] = (await accepted) as [Socket];
    sockets.push(socket);
    const found = findInside(socket);
    if (typeof found === "string") return found;
    openHandlePath(found);
    const client = new Promise<object | undefined>((resolve) => {
      if (!takeClients(server, resolve)) resolve(undefined);
    });
    const problem = await Promise.race([tryOut(client, open()), late]);
    if (problem !== null) openHandlePath(null);
    return problem;
  } catch (error) {
    openHandlePath(null);
    return error instanceof Error ? error.message : String(error);
  } finally {
    clearTimeout(timer);
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

/** Writes a little, then more than the kernel takes; the peer answers with a word and its end. */
async function tryOut(client: Promise<object | undefined>, peer: Socket): Promise<string | null> {
  let wasTaken = false;
  const heard: string[] = [];
  const taken = HandleTransport.over((await client) ?? {});
  if (taken === null) return "a server gives no handles that could be taken";
  const closed = new Promise<void>((resolve) => {
    taken.owner = {
      onSocketData: (chunk) => void heard.push(chunk.toString("latin1")),
      onSocketEnd: () => taken.end(),
      onSocketClose: resolve,
      onSocketTaken: () => {
        wasTaken = true;
      },
    };
  });
  if (taken.remoteAddress !== "127.0.0.1") return "the peer's address is not told";
  if (!taken.write(Buffer.from("a"))) return "a write does not say that it was taken";
  const flood = Buffer.alloc(floodBytes, "b");
  let writtenBytes = 1;
  let isTaken = true;
  for (let piece = 0; piece < floodPiecesMax && isTaken; piece += 1) {
    isTaken = taken.write(flood);
    writtenBytes += floodBytes;
  }
  if (isTaken) return "a write does not say that it was not taken";
  if (taken.pendingBytes <= 0) return "what is pending is not told";
  let receivedBytes = 0;
  let isInOrder = true;
  peer.on("data", (chunk) => {
    if (receivedBytes === 0) isInOrder &&= chunk[0] === 0x61;
    receivedBytes += chunk.length;
    if (receivedBytes === writtenBytes) peer.end("bye");
  });
  await closed;
  if (!wasTaken) return "it is not told when everything was taken";
  if (receivedBytes !== writtenBytes || !isInOrder) return "bytes do not arrive as they were written";
  return heard.join("") === "bye" ? null : "bytes are not read as they were sent";
}
