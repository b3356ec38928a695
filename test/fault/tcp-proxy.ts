/** A TCP proxy that can swallow everything, both ways, while both ends believe in their connection: a black hole. */
import { connect, createServer, type Server, type Socket } from "node:net";

export class TcpProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;
  #isBlackHole = false;

  private constructor(port: number, server: Server, sockets: Set<Socket>) {
    this.port = port;
    this.#server = server;
    this.#sockets = sockets;
  }

  /** Before a port of the loopback address. */
  static async start(targetPort: number): Promise<TcpProxy> {
    const sockets = new Set<Socket>();
    let proxy: TcpProxy | null = null;
    const server = createServer({ noDelay: true }, (client) => {
      const target = connect({ port: targetPort, host: "127.0.0.1", noDelay: true });
      for (const [from, to] of [
        [client, target],
        [target, client],
      ] as const) {
        sockets.add(from);
        from.on("data", (chunk: Buffer) => {
          if (proxy?.isBlackHole === false) to.write(chunk);
        });
        from.on("error", () => from.destroy());
        from.on("close", () => {
          sockets.delete(from);
          to.destroy();
        });
      }
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const address = server.address();
    proxy = new TcpProxy(typeof address === "object" && address !== null ? address.port : 0, server, sockets);
    return proxy;
  }

  get isBlackHole(): boolean {
    return this.#isBlackHole;
  }

  /** Swallows everything; connections can be made and nothing comes of them. */
  swallow(): void {
    this.#isBlackHole = true;
  }

  /** The network is back. What was swallowed is gone, so the old connections are of no use to anybody. */
  heal(): void {
    this.#isBlackHole = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
