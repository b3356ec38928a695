/** limits.waitingCommandBytesMax and its total: at the limit, and one byte past it. */
import { beforeEach, describe, expect, it } from "vitest";

import { limitCounters } from "../../src/base/limit-counters.ts";
import { CommandQueue, WaitingTotal } from "../../src/session/command-queue.ts";
import { SessionWorld, tick } from "./session-world.ts";

const message = (bytes: number): Uint8Array => new Uint8Array(bytes);

beforeEach(() => limitCounters.reached.clear());

describe("commands that wait", () => {
  it("up to the limit of the connection, and not a byte more", () => {
    const queue = new CommandQueue(100, new WaitingTotal(1000));
    expect(queue.push(message(60))).toBeNull();
    expect(queue.push(message(40))).toBeNull();
    expect(queue.push(message(1))).toBe("commands that wait for earlier ones have at most 100 bytes");
    expect(limitCounters.reached.get("waitingCommandBytesMax")).toBe(1);
    expect(queue.shift()).toHaveLength(60);
    expect(queue.push(message(60))).toBeNull();
  });

  it("up to the limit of all connections, and not a byte more", () => {
    const total = new WaitingTotal(100);
    const [one, other] = [new CommandQueue(90, total), new CommandQueue(90, total)];
    expect(one.push(message(90))).toBeNull();
    expect(other.push(message(10))).toBeNull();
    expect(other.push(message(1))).toBe("the server has no room for commands that must wait");
    expect(limitCounters.reached.get("waitingCommandBytesTotalMax")).toBe(1);
    one.clear();
    expect(total.bytes).toBe(10);
    expect(other.push(message(80))).toBeNull();
    other.clear();
    other.clear();
    expect(total.bytes).toBe(0);
  });

  it("as they came, whatever becomes of the buffer that they lay in", () => {
    const queue = new CommandQueue(100, new WaitingTotal(100));
    const buffer = Buffer.from("abc");
    queue.push(buffer);
    buffer.fill(0);
    expect(Buffer.from(queue.shift() ?? []).toString()).toBe("abc");
  });

  it("1,024 of them, and not one more", () => {
    const queue = new CommandQueue(Number.POSITIVE_INFINITY, new WaitingTotal(Number.POSITIVE_INFINITY));
    for (let count = 0; count < 1024; count++) expect(queue.push(message(1))).toBeNull();
    expect(queue.push(message(1))).toBe("too many commands wait for earlier ones");
  });

  it("behind a subscription that is under way: rate_limited, and nothing is left when it is done or closed", async () => {
    const world = new SessionWorld();
    const waitingPing = '{"id":2,"method":"ping"}';
    world.limits = { ...world.limits, waitingCommandBytesMax: waitingPing.length };
    world.broker.opensAtOnce = false;
    const client = await world.client();
    client.session.receive(Buffer.from('{"id":1,"method":"subscribe","params":{"topics":["quote.A"]}}'));
    client.session.receive(Buffer.from(waitingPing));
    client.session.receive(Buffer.from('{"id":3,"method":"ping"}'));
    expect(client.connection.take().map((text) => JSON.parse(text) as unknown)).toEqual([
      {
        id: 3,
        error: {
          code: "rate_limited",
          message: "commands that wait for earlier ones have at most 24 bytes",
          temporary: true,
        },
      },
    ]);
    expect(world.waiting.bytes).toBe(24);
    world.answer();
    await tick();
    expect(client.connection.take()).toHaveLength(2);
    expect(world.waiting.bytes).toBe(0);
    client.session.receive(Buffer.from('{"id":4,"method":"subscribe","params":{"topics":["quote.B"]}}'));
    client.session.receive(Buffer.from(waitingPing));
    client.session.closed();
    expect(world.waiting.bytes).toBe(0);
  });
});
