/** What the primary remembers of the sockets that node:cluster shares, held against a worker's channel that only records. */
import type { ChildProcess } from "node:child_process";
import { describe, expect, it } from "vitest";
import { ListenerHandles } from "../../src/primary/listener-handles.ts";

/** As node:cluster answers a worker that listens (lib/internal/cluster/primary.js, Node 20 to 26). */
const answer = { cmd: "NODE_CLUSTER", ack: 7, key: "127.0.0.1:8080:4:::0", data: null };
const tcp = { bind6: () => 0 };
const pipe = { open: () => 0 };

class Channel {
  connected = true;
  readonly sent: unknown[][] = [];
  readonly send = (...parts: unknown[]): boolean => this.sent.push(parts) > 0;
}

interface Watched {
  readonly channel: Channel;
  readonly handles: ListenerHandles;
  readonly say: (...parts: unknown[]) => unknown;
  /** What was told of. */
  readonly listeners: readonly object[];
}

function watched(): Watched {
  const channel = new Channel();
  const listeners: object[] = [];
  const handles = new ListenerHandles(
    channel as unknown as ChildProcess,
    (handle) => void listeners.push(handle),
  );
  // Looked up anew: the channel's own has been wrapped.
  return {
    channel,
    handles,
    listeners,
    say: (...parts) => (channel as { send: Channel["send"] }).send(...parts),
  };
}

describe("ListenerHandles", () => {
  it("lets every message through, and sends copies of the handle that an answer had", () => {
    const { channel, handles, say, listeners } = watched();
    expect(say(answer, tcp, {})).toBe(true);
    expect(say(answer, pipe)).toBe(true);
    expect(listeners).toEqual([tcp]);
    expect(channel.sent).toEqual([
      [answer, tcp, {}],
      [answer, pipe],
    ]);
    handles.send("tcp", 2);
    handles.send("unix", 1);
    expect(channel.sent.slice(2)).toEqual([
      [{ type: "listenerHandle", kind: "tcp" }, tcp],
      [{ type: "listenerHandle", kind: "tcp" }, tcp],
      [{ type: "listenerHandle", kind: "unix" }, pipe],
    ]);
  });

  it("knows none after anything else", () => {
    const { channel, handles, say } = watched();
    const others: unknown[][] = [
      [answer],
      [answer, null],
      [null, tcp],
      ["text", tcp],
      [{ ...answer, cmd: "OTHER" }, tcp],
      [{ cmd: "NODE_CLUSTER", key: "k" }, tcp],
      [{ cmd: "NODE_CLUSTER", ack: 7 }, tcp],
    ];
    for (const parts of others) say(...parts);
    handles.send("tcp", 1);
    handles.send("unix", 1);
    expect(channel.sent).toEqual(others);
  });

  it("sends at most 64 at once, and none to a worker that is gone", () => {
    const { channel, handles, say } = watched();
    say(answer, tcp);
    handles.send("tcp", 65);
    expect(channel.sent).toHaveLength(1 + 64);
    channel.connected = false;
    handles.send("tcp", 1);
    expect(channel.sent).toHaveLength(1 + 64);
  });
});
