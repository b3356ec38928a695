/** A client on the browser's SDK (src/client) and the `ws` package, so that the SDK's own resuming is verified too. */
import { WebSocket } from "ws";
import { TapecastClient } from "../../src/client/tapecast-client.ts";
import type { Publication, TopicSnapshot } from "../../src/client/wanted-topics.ts";
import type { ClientListener, Payload, VerifyClient } from "./resuming-client.ts";

/** A recovery whose publications are still coming. */
interface Recovery {
  readonly snapshot: TopicSnapshot;
  readonly messages: { readonly seq: number; readonly number: number }[];
}

/** See the file head. */
export class SdkClient implements VerifyClient {
  readonly #url: string;
  readonly #topics: readonly string[];
  readonly #listener: ClientListener;
  readonly #recoveries = new Map<string, Recovery>();
  #client: TapecastClient | null = null;
  #socket: WebSocket | null = null;

  constructor(url: string, topics: readonly string[], listener: ClientListener) {
    this.#url = url;
    this.#topics = topics;
    this.#listener = listener;
  }

  start(): Promise<void> {
    return new Promise((resolve) => {
      const missing = new Set(this.#topics);
      const client = new TapecastClient(this.#url, {
        webSocket: (url) => {
          const socket = new WebSocket(url, "tapecast.v1", { perMessageDeflate: false });
          this.#socket = socket;
          return socket;
        },
        onStatus: (status) => {
          if (status.state === "open") this.#listener.onOpen();
          else if (status.state === "waiting") this.#listener.onEnd(`${status.code} ${status.reason}`.trim());
          else if (status.state === "stopped" && status.code !== 1000)
            this.#listener.onStopped(`${status.code} ${status.reason}`);
        },
      });
      this.#client = client;
      client.subscribe(this.#topics, {
        onSnapshot: (snapshot) => {
          this.#subscribed(snapshot);
          missing.delete(snapshot.topic);
          if (missing.size === 0) resolve();
        },
        onPublication: (publication) => this.#came(publication),
      });
    });
  }

  cut(): void {
    this.#socket?.terminate();
  }

  freeze(ms: number): boolean {
    const socket = this.#socket;
    if (socket === null || socket.readyState !== WebSocket.OPEN) return false;
    socket.pause();
    setTimeout(() => socket.resume(), ms);
    return true;
  }

  close(): void {
    this.#client?.close();
  }

  #subscribed(snapshot: TopicSnapshot): void {
    if (snapshot.recovered === true && snapshot.recoveredCount > 0) {
      this.#recoveries.set(snapshot.topic, { snapshot, messages: [] });
      return;
    }
    this.#tell(snapshot, []);
  }

  #came({ topic, seq, data, recovered }: Publication): void {
    const payload = data as Payload;
    const recovery = this.#recoveries.get(topic);
    if (!recovered || recovery === undefined) {
      this.#listener.onPublication(topic, seq, payload);
      return;
    }
    recovery.messages.push({ seq: seq ?? 0, number: payload.n });
    if (recovery.messages.length < recovery.snapshot.recoveredCount) return;
    this.#recoveries.delete(topic);
    this.#tell(recovery.snapshot, recovery.messages);
  }

  #tell(snapshot: TopicSnapshot, messages: Recovery["messages"]): void {
    const { topic, epoch, seq, value, recovered } = snapshot;
    this.#listener.onSnapshot(topic, {
      position: epoch === null || seq === null ? null : { epoch, seq },
      number: value === null ? null : (value.data as Payload).n,
      recovered,
      messages,
    });
  }
}
