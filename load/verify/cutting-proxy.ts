/**
 * A TCP proxy before a server that cuts chosen connections at a chosen byte, in the middle of a frame as networks do,
 * or lets them live and carries nothing any more (a half-open connection). Or it holds back all there is for a while, as
 * a network that drops every packet and heals: TCP sends it again.
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import type { SeededRandom } from "./seeded-random.ts";

/** One connection through the proxy. */
export class Link {
  readonly #client: Socket;
  readonly #server: Socket;
  /** Bytes that are still carried, towards the client and towards the server; null: all. */
  #leftToClient: number | null = null;
  #leftToServer: number | null = null;
  #isMute = false;
  #openEnds = 2;
  /** Both ends have gone. */
  onOver: () => void = () => undefined;

  constructor(client: Socket, server: Socket) {
    this.#client = client;
    this.#server = server;
    server.on("data", (chunk: Buffer) => {
      this.#leftToClient = this.#carry(client, chunk, this.#leftToClient);
    });
    client.on("data", (chunk: Buffer) => {
      this.#leftToServer = this.#carry(server, chunk, this.#leftToServer);
    });
    for (const [end, other] of [
      [client, server],
      [server, client],
    ] as const) {
      end.on("error", () => end.destroy());
      // What a mute link's ends say to each other, even good-bye, does not arrive.
      end.on("end", () => {
        if (!this.#isMute) other.end();
      });
      end.on("close", () => {
        this.#openEnds--;
        if (!this.#isMute) other.destroy();
        if (this.#openEnds === 0) this.onOver();
      });
    }
  }

  /** Carries what comes. */
  get isWhole(): boolean {
    return this.#openEnds === 2 && !this.#isMute;
  }

  /** Whether both ends have gone. */
  get isOver(): boolean {
    return this.#openEnds === 0;
  }

  /** Cuts it after so many more bytes in one direction, in the middle of whatever they belong to. */
  cutAfter(bytes: number, towards: "client" | "server"): void {
    if (towards === "client") this.#leftToClient = bytes;
    else this.#leftToServer = bytes;
  }

  cut(): void {
    this.#client.resetAndDestroy();
    this.#server.resetAndDestroy();
  }

  /** Carries nothing any more and says so to nobody. */
  mute(): void {
    this.#isMute = true;
  }

  /** Reads nothing any more, until `release`. */
  hold(): void {
    for (const end of [this.#client, this.#server]) end.pause();
  }

  release(): void {
    for (const end of [this.#client, this.#server]) end.resume();
  }

  #carry(to: Socket, chunk: Buffer, left: number | null): number | null {
    if (this.#isMute) return left;
    if (left === null) {
      to.write(chunk);
      return null;
    }
    to.write(chunk.subarray(0, left));
    if (chunk.length < left) return left - chunk.length;
    // The bytes before the cut arrive, as they would on a network.
    setImmediate(() => {
      this.#client.destroy();
      this.#server.destroy();
    });
    return 0;
  }
}

/** See the file head. */
export class CuttingProxy {
  readonly url: string;
  readonly port: number;
  readonly #server: Server;
  readonly #links: Set<Link>;
  #isHolding = false;

  private constructor(port: number, server: Server, links: Set<Link>) {
    this.url = `http://127.0.0.1:${port}`;
    this.port = port;
    this.#server = server;
    this.#links = links;
  }

  /** @param target the server's `http://…` address. */
  static async start(target: string): Promise<CuttingProxy> {
    const { hostname, port: targetPort } = new URL(target);
    const links = new Set<Link>();
    let proxy: CuttingProxy | null = null;
    const server = createServer({ noDelay: true }, (client) => {
      const link = new Link(client, connect({ port: Number(targetPort), host: hostname, noDelay: true }));
      links.add(link);
      link.onOver = () => links.delete(link);
      if (proxy?.isHolding === true) link.hold();
    });
    const port = await new Promise<number>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
        const address = server.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
    proxy = new CuttingProxy(port, server, links);
    return proxy;
  }

  get isHolding(): boolean {
    return this.#isHolding;
  }

  /** From now on nothing passes: connections can be made, and nothing comes of them. */
  hold(): void {
    this.#isHolding = true;
    for (const link of this.#links) link.hold();
  }

  /** All that was held back arrives now. @param areCut nobody knows the connections of before any more. */
  release(areCut: boolean): void {
    this.#isHolding = false;
    for (const link of this.#links) {
      if (areCut) link.cut();
      else link.release();
    }
  }

  /** So many of the present connections. */
  some(count: number, random: SeededRandom): Link[] {
    return random.some(
      [...this.#links].filter(({ isWhole }) => isWhole),
      count,
    );
  }

  stop(): void {
    this.#server.close();
    for (const link of this.#links) link.cut();
  }
}
