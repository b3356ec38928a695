/** Whether the server under test answers a browser's offer of permessage-deflate (RFC 7692 §7) with one of its own. */
import { connect } from "node:net";

import { deflateOffer, type Variant } from "./measure.ts";
import type { PeerWorld } from "./peer.ts";

const answerTimeoutMs = 3000;

/** Starts the first variant that offers compression, asks, and ends it. */
export async function offersDeflate(world: PeerWorld, variants: readonly Variant[]): Promise<boolean> {
  const variant = variants.find(({ load }) => load.deflate);
  if (variant === undefined) return false;
  const { peer, settings, query, workers, hasAllCores } = variant;
  const server = await peer.start(world, { settings, query, workers, hasAllCores, topicCount: 1 });
  try {
    return /^sec-websocket-extensions:\s*permessage-deflate/imu.test(
      await answerOf(server.port, `/ws?batch=1`),
    );
  } finally {
    await server.stop();
  }
}

function answerOf(port: number, path: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect({ port, host: "127.0.0.1" });
    const end = (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(answerTimeoutMs, end);
    socket.once("error", end);
    socket.once("close", end);
    socket.on("data", (bytes) => {
      answer += bytes.toString("latin1");
      if (answer.includes("\r\n\r\n")) end();
    });
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n${deflateOffer}\r\n\r\n`,
    );
  });
}
