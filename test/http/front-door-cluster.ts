/** Started by front-door-listen.test.ts: a primary with two workers, each with a front door. Ends with its stdin. */

import cluster from "node:cluster";

import { openDoor } from "./front-door-fixture.ts";

const path = process.argv[2]!;

if (cluster.isPrimary) {
  const workers = [cluster.fork(), cluster.fork()];
  for (const worker of workers) worker.on("message", (line) => process.stdout.write(`${String(line)}\n`));
  process.stdin.resume().on("end", () => {
    for (const worker of workers) worker.send("stop");
  });
} else {
  // Listened to from the beginning: a test that gave up waiting says stop before the door is open.
  const stopped = new Promise((resolve) => process.once("message", resolve));
  const door = await openDoor({ unixSocket: path });
  process.send?.(door.addresses.join(" "));
  await stopped;
  await door.stop();
  process.disconnect();
}
