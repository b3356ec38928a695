/**
 * `tapecast subscribe` without its command line: stays subscribed across reconnects, asks for what it missed, and
 * hands on each publication as one line. JSON is cut out of the messages, never rewritten, so numbers keep their
 * digits.
 */
import { isJson } from "../base/json-scanner.ts";
import { backoffMs } from "../client/backoff.ts";
import { elementTexts, memberTexts } from "../client/json-text.ts";
import { mayReconnect } from "../protocol/close-codes.ts";
import { WebSocketClient, type WebSocketEnd } from "./websocket-client.ts";

export interface SubscriptionOptions {
  /** Of the endpoint, `ws://host/ws`. */
  readonly url: string;
  readonly topics: readonly string[];
  readonly token: string | null;
  readonly intervalMs: number | null;
  /** Hand on the value that a topic has when the subscription begins. */
  readonly current: boolean;
  /** Waits before the next attempt; for tests. */
  readonly backoff?: (attempt: number) => number;
}

/** What a subscription tells. */
export interface SubscriptionListener {
  /** A publication, one line of JSON without its end. False: hold on until `resume`. */
  onPublication(line: string): boolean;
  /** Something that a person should know. */
  onNotice(text: string): void;
  /** It is over: closed for good, refused, or never connected. Not called after `stop`. */
  onEnd(end: SubscriptionEnd): void;
}

export interface SubscriptionEnd {
  /** True when the server was never reached. */
  readonly isUnreachable: boolean;
  readonly reason: string;
}

interface Position {
  readonly epoch: string;
  readonly seq: number;
}

/** Silence that cannot be: the server pings at its heartbeat interval, this many times over. */
const heartbeatsMissedMax = 2;
const heartbeatSlackMs = 10_000;

/** Begins when it is made; ends by itself only for good reasons. */
export class Subscription {
  readonly #options: SubscriptionOptions;
  readonly #listener: SubscriptionListener;
  readonly #positions = new Map<string, Position>();
  readonly #epochs = new Map<string, string>();
  #client: WebSocketClient | null = null;
  #timer: NodeJS.Timeout | null = null;
  #silence: NodeJS.Timeout | null = null;
  #silenceMs: number | null = null;
  #attempt = 0;
  #wasOpen = false;
  #askedToWaitMs: number | null = null;
  #isStopped = false;

  constructor(options: SubscriptionOptions, listener: SubscriptionListener) {
    this.#options = options;
    this.#listener = listener;
    this.#connect();
  }

  /** After `onPublication` answered false. */
  resume(): void {
    this.#client?.resume();
  }

  /** Says goodbye; nothing is called afterwards. */
  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#silence !== null) clearTimeout(this.#silence);
    this.#client?.close();
  }

  #connect(): void {
    const { url, token } = this.#options;
    const headers: Record<string, string> = token === null ? {} : { Authorization: `Bearer ${token}` };
    const client = new WebSocketClient(
      { url, headers },
      {
        onOpen: () => this.#opened(),
        onMessage: (isText, payload) => {
          this.#heard();
          // The server speaks JSON; something else on this port is not to end us.
          if (!isText || !isJson(payload))
            return this.#listener.onNotice("a message that is not JSON was left out");
          this.#take(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString("utf8"));
        },
        onPing: () => this.#heard(),
        onPong: () => this.#heard(),
        onEnd: (end) => this.#ended(end),
      },
    );
    this.#client = client;
  }

  #opened(): void {
    this.#wasOpen = true;
    const { topics, intervalMs } = this.#options;
    const params = {
      topics,
      ...(intervalMs === null ? {} : { intervalMs }),
      ...(this.#positions.size === 0 ? {} : { since: Object.fromEntries(this.#positions) }),
    };
    this.#client?.send(JSON.stringify({ id: 1, method: "subscribe", params }));
  }

  #take(text: string): void {
    const members = memberTexts(text);
    // Events may name a topic too, so they are told apart first.
    if (members.has("event")) return this.#takeEvent(members);
    if (members.has("id")) return this.#takeReply(members);
    if (members.has("topic")) this.#takePublication(text, members);
  }

  #takePublication(text: string, members: ReadonlyMap<string, string>): void {
    const topic = stringOf(members.get("topic"));
    const seq = Number(members.get("seq") ?? 0);
    const next = members.get("epoch");
    // After a failover the log goes on in a new epoch, which this publication names.
    if (next !== undefined) this.#epochs.set(topic, stringOf(next));
    const epoch = this.#epochs.get(topic);
    if (seq > 0 && epoch !== undefined) this.#positions.set(topic, { epoch, seq });
    this.#emit(text);
  }

  #takeReply(members: ReadonlyMap<string, string>): void {
    const error = members.get("error");
    if (error !== undefined) return this.#giveUp(`the server refused: ${messageOf(error)}`);
    this.#attempt = 0;
    const result = memberTexts(members.get("result") ?? "");
    for (const [topic, refusal] of memberTexts(result.get("errors") ?? "")) {
      this.#listener.onNotice(`${topic}: ${messageOf(refusal)}`);
    }
    const topics = memberTexts(result.get("topics") ?? "");
    if (topics.size === 0) return this.#giveUp("no topic is subscribed");
    for (const [topic, state] of topics) this.#takeTopic(topic, memberTexts(state));
  }

  /** One topic of the subscribe reply: what was missed, or the current value. */
  #takeTopic(topic: string, state: ReadonlyMap<string, string>): void {
    const epoch = stringOf(state.get("epoch"));
    const seq = Number(state.get("seq") ?? 0);
    const before = this.#positions.get(topic);
    const data = state.get("data");
    if (state.get("recovered") === "true") {
      for (const message of elementTexts(state.get("messages") ?? "")) {
        const members = memberTexts(message);
        this.#emit(publicationText(topic, members.get("seq") ?? "", members.get("data") ?? "null"));
      }
    } else if (data !== undefined) {
      if (before !== undefined) this.#listener.onNotice(`${topic}: some publications were missed`);
      if (before !== undefined || this.#options.current)
        this.#emit(publicationText(topic, state.get("seq") ?? "", data));
    }
    if (epoch === "") return;
    this.#epochs.set(topic, epoch);
    this.#positions.set(topic, { epoch, seq });
  }

  #takeEvent(members: ReadonlyMap<string, string>): void {
    const event = stringOf(members.get("event"));
    if (event === "welcome") {
      const heartbeatMs = Number(members.get("heartbeatMs"));
      if (heartbeatMs > 0) this.#silenceMs = heartbeatMs * heartbeatsMissedMax + heartbeatSlackMs;
      this.#heard();
    } else if (event === "lost") {
      const [topic, reason] = [stringOf(members.get("topic")), stringOf(members.get("reason"))];
      this.#listener.onNotice(
        `${topic}: ${members.get("count") ?? "some"} publications left out (${reason})`,
      );
    } else if (event === "closing") {
      this.#askedToWaitMs = Number(members.get("reconnectAfterMs") ?? Number.NaN);
    }
  }

  #emit(text: string): void {
    // Line ends in JSON are white space between tokens, never within a string.
    const line = /[\r\n]/u.test(text) ? text.replaceAll(/[\r\n]/gu, " ") : text;
    if (!this.#isStopped && !this.#listener.onPublication(line)) this.#client?.pause();
  }

  #heard(): void {
    if (this.#silence !== null) clearTimeout(this.#silence);
    if (this.#silenceMs === null || this.#isStopped) return;
    this.#silence = setTimeout(() => this.#client?.destroy("the server fell silent"), this.#silenceMs);
  }

  #ended(end: WebSocketEnd): void {
    if (this.#silence !== null) clearTimeout(this.#silence);
    if (this.#isStopped) return;
    const reason = endText(end);
    if (!this.#wasOpen) return this.#over({ isUnreachable: end.status === null, reason });
    if (!mayReconnect(end.code) || isRefusedForGood(end.status))
      return this.#over({ isUnreachable: false, reason });
    const asked = this.#askedToWaitMs;
    this.#askedToWaitMs = null;
    const waitMs = asked !== null && asked >= 0 ? asked : this.#backoffMs();
    this.#attempt += 1;
    this.#listener.onNotice(`${reason}; connecting again in ${(waitMs / 1000).toFixed(1)} s`);
    this.#timer = setTimeout(() => this.#connect(), waitMs);
  }

  #backoffMs(): number {
    return this.#options.backoff?.(this.#attempt) ?? backoffMs(this.#attempt, Math.random());
  }

  #giveUp(reason: string): void {
    this.#over({ isUnreachable: false, reason });
  }

  #over(end: SubscriptionEnd): void {
    if (this.#isStopped) return;
    this.stop();
    this.#listener.onEnd(end);
  }
}

/** 4xx but for too many requests: the same request will be refused again. */
function isRefusedForGood(status: number | null): boolean {
  return status !== null && status >= 400 && status < 500 && status !== 429;
}

function endText(end: WebSocketEnd): string {
  if (end.problem !== null) return end.problem;
  return `the server closed the connection (${end.code}${end.reason === "" ? "" : ` ${end.reason}`})`;
}

function publicationText(topic: string, seq: string, data: string): string {
  const position = seq === "" || seq === "0" ? "" : `"seq":${seq},`;
  return `{"topic":${JSON.stringify(topic)},${position}"data":${data}}`;
}

function messageOf(error: string): string {
  const members = memberTexts(error);
  return `${stringOf(members.get("message"))} (${stringOf(members.get("code"))})`;
}

function stringOf(json: string | undefined): string {
  if (json === undefined || !json.startsWith('"')) return "";
  const value: unknown = JSON.parse(json);
  return typeof value === "string" ? value : "";
}
