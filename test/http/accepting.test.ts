import { EventEmitter } from "node:events";
import type { Server } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Accepting } from "../../src/http/accepting.ts";

/** A handle as node:cluster gives it to a server: with a `close` of its own in front of the handle's. */
class FakeHandle {
  isListening = false;
  isClosed = false;
  onconnection: unknown = null;

  listen(): number {
    this.isListening = true;
    return 0;
  }

  close(): void {
    this.isListening = false;
    this.isClosed = true;
  }
}

let handles: FakeHandle[];
let wanted: number;
let told: number[];
let sockets: number;
let toldToPrimary: number;
let clients: unknown[];
let accepting: Accepting;

/** Gives as many copies as are wanted. */
function answer(): void {
  for (; wanted > 0; wanted -= 1) {
    const handle = new FakeHandle();
    handles.push(handle);
    accepting.take("tcp", handle);
  }
}

function listening(): number {
  return handles.filter(({ isListening }) => isListening).length;
}

beforeEach(() => {
  vi.useFakeTimers();
  wanted = 0;
  told = [];
  sockets = 42;
  toldToPrimary = 0;
  const own = new FakeHandle();
  own.listen();
  handles = [own];
  const clustered = Object.assign(own, { close: () => void (toldToPrimary += 1) });
  const port = {
    wantHandles: (_kind: string, count: number) => void (wanted += count),
    tellSockets: (count: number) => void told.push(count),
  };
  accepting = new Accepting(port, () => sockets);
  const server = Object.assign(new EventEmitter(), { _handle: clustered }) as unknown as Server;
  clients = [];
  accepting.add("tcp", server, (client) => void clients.push(client));
});

afterEach(() => void vi.useRealTimers());

describe("accepting in a worker of a cluster", () => {
  it("listens eight times and has two copies at hand", () => {
    expect(listening()).toBe(1);
    answer();
    expect([listening(), handles.length]).toEqual([8, 10]);
    expect(wanted).toBe(0);
  });

  it("gives what the copies accept to the door, and also that something could not be accepted", () => {
    answer();
    const copy = handles.at(-1)!;
    const client = {};
    (copy.onconnection as (status: number, client?: object) => void)(0, client);
    (copy.onconnection as (status: number, client?: object) => void)(-24);
    expect(clients).toEqual([client, undefined]);
  });

  it("steps back above its share, and comes again by itself without the primary", () => {
    answer();
    accepting.share = 100;
    accepting.accepted(100);
    expect(listening()).toBe(8);
    accepting.accepted(101);
    expect(listening()).toBe(0);
    expect(toldToPrimary, "or the last worker to step back would close the socket").toBe(0);
    vi.advanceTimersByTime(19);
    expect(listening()).toBe(0);
    vi.advanceTimersByTime(1);
    expect(listening()).toBe(1);
    answer();
    expect(listening()).toBe(8);
  });

  it("keeps copies that come while it steps back until it comes again", () => {
    answer();
    accepting.share = 0;
    accepting.accepted(1);
    answer();
    expect(listening()).toBe(0);
    vi.advanceTimersByTime(20);
    expect(listening()).toBe(8);
  });

  it("stays for 10 ms before it steps back again", () => {
    answer();
    accepting.share = 0;
    accepting.accepted(1);
    vi.advanceTimersByTime(20);
    answer();
    accepting.accepted(2);
    vi.advanceTimersByTime(9);
    accepting.accepted(3);
    expect(listening()).toBe(8);
    vi.advanceTimersByTime(1);
    accepting.accepted(4);
    expect(listening()).toBe(0);
  });

  it("never steps back without a copy at hand", () => {
    accepting.share = 0;
    accepting.accepted(1);
    expect(listening()).toBe(1);
  });

  it("does not step back when there is no share", () => {
    answer();
    accepting.share = null;
    accepting.accepted(1_000_000);
    expect(listening()).toBe(8);
  });

  it("tells how many sockets there are once for all that were accepted in 50 ms, and not for a few", () => {
    sockets = 7;
    accepting.accepted(7);
    vi.advanceTimersByTime(50);
    expect(told).toEqual([]);
    accepting.accepted(8);
    sockets = 9;
    accepting.accepted(9);
    vi.advanceTimersByTime(50);
    expect(told).toEqual([9]);
    accepting.accepted(16);
    vi.advanceTimersByTime(50);
    expect(told).toEqual([9]);
    sockets = 1000;
    accepting.accepted(17);
    vi.advanceTimersByTime(50);
    expect(told).toEqual([9, 1000]);
    // Of many a fiftieth; and those that left count as those that came.
    accepting.accepted(1019);
    accepting.accepted(981);
    vi.advanceTimersByTime(50);
    expect(told).toEqual([9, 1000]);
    sockets = 980;
    accepting.accepted(980);
    vi.advanceTimersByTime(50);
    expect(told).toEqual([9, 1000, 980]);
  });

  it("closes all handles, those too that come later; what is no handle is ignored", () => {
    accepting.take("tcp", undefined);
    answer();
    accepting.close();
    expect(listening(), "the server's own is closed by the server").toBe(1);
    const late = new FakeHandle();
    accepting.take("tcp", late);
    expect(late.isClosed).toBe(true);
    vi.advanceTimersByTime(1000);
    expect(told).toEqual([]);
  });
});
