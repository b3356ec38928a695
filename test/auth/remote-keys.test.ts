/** Keys from an address: an answer that never ends is given up, whenever the collector runs. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, it } from "vitest";

import { RemoteKeys } from "../../src/auth/remote-keys.ts";
import { systemClock } from "../../src/base/clock.ts";

let server: Server;

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

it("a body that dribbles and then stops", { timeout: 30_000 }, async () => {
  let isAsked = false;
  server = createServer((_, response) => {
    isAsked = true;
    response.write('{"keys":');
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const keys = new RemoteKeys(`http://127.0.0.1:${port}/jwks`, systemClock);
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const found = keys.find({ alg: "RS256", kid: "k1" }, { payload: "", signature: "" });
  const given = found.then(
    () => "a key",
    () => "given up",
  );
  const collecting = setInterval(collect, 100);
  const outcome = await Promise.race([given, delay(10_000, "waits on")]);
  clearInterval(collecting);
  expect([isAsked, outcome]).toEqual([true, "given up"]);
});
