/**
 * Long work of a session in steps: as many in a turn of the event loop as its connection has time for, the rest when it
 * is its turn again. When the connection is gone meanwhile, the rest is never done.
 */
import type { SessionConnection } from "./session-services.ts";

/**
 * Calls `step` for groups of `items`, in order, then `done`: all of it before it returns when there is time.
 * @param groupSize items between two looks at the clock.
 */
export function inSlices<Item>(
  connection: Pick<SessionConnection, "isSpent" | "inTurn">,
  items: readonly Item[],
  groupSize: number,
  step: (group: readonly Item[]) => void,
  done: () => void,
): void {
  let at = 0;
  const goOn = (): void => {
    // Each turn does something, however late it began.
    while (at < items.length) {
      step(items.slice(at, at + groupSize));
      at += groupSize;
      if (connection.isSpent) {
        connection.inTurn(goOn);
        return;
      }
    }
    done();
  };
  goOn();
}
