/** `unsubscribe`: topics are left in slices (in-slices.ts), and after the reply no publication of them follows. */
import { inSlices } from "./in-slices.ts";
import type { NativeSession } from "./native-session.ts";

/** Topics that are left between two looks at the clock: about 50 µs. */
const topicsPerStep = 32;

/** Holds the session where it takes more than this turn. @param idJson the command's `id` as JSON, for the reply. */
export function runUnsubscribe(session: NativeSession, idJson: string, names: readonly string[]): void {
  let isHeld = false;
  let isDone = false;
  const done = (): void => {
    isDone = true;
    if (isHeld) session.next();
  };
  inSlices(
    session.connection,
    names,
    topicsPerStep,
    (group) => leave(session, group),
    () => end(session, idJson, names, done),
  );
  isHeld = !isDone;
  if (isHeld) session.hold();
}

/** What is published meanwhile may still come, until the reply. */
function leave(session: NativeSession, names: readonly string[]): void {
  const { hub, clock } = session.services;
  const nowMs = clock.nowMs();
  // A socket that is full: all of them in the last step.
  if (!hub.settle(session.reader, nowMs)) return;
  const logs = names.map((name) => session.subscribedLog(name)).filter((log) => log !== null);
  if (logs.length > 0) hub.change(session.reader, [], logs, nowMs);
}

function end(session: NativeSession, idJson: string, names: readonly string[], done: () => void): void {
  const { hub, clock } = session.services;
  if (!hub.settle(session.reader, clock.nowMs())) {
    session.drainAction = () => end(session, idJson, names, done);
    return;
  }
  leave(session, names);
  session.sendText(`{"id":${idJson},"result":{"topics":${JSON.stringify(names)}}}`);
  done();
}
