/**
 * Redis lost data: FLUSHALL, a restart without it, a failover. The first topic that finds out begins a new epoch, and
 * speaks for all others: they are read from their last positions now, as after a reconnect. Otherwise readers of quiet
 * topics would learn it topic by topic, with whatever is published there next, and a page with forty of them be closed
 * forty times within a day.
 */
import type { BrokerListener } from "./broker.ts";

/** All topics are not read again more often than this. */
const intervalMs = 1000;

/**
 * A listener that hands everything on, and calls `onLoss` soon after a topic began a new epoch.
 * @param onLoss never called from within a call of the listener.
 */
export function watchingForLoss(listener: BrokerListener, onLoss: () => void): BrokerListener {
  let calledMs = Number.NEGATIVE_INFINITY;
  return {
    onOpened: (topic, snapshot) => listener.onOpened(topic, snapshot),
    onGap: (topic, position, lostCount) => {
      listener.onGap(topic, position, lostCount);
      const nowMs = performance.now();
      if (lostCount !== null || nowMs - calledMs < intervalMs) return;
      calledMs = nowMs;
      setImmediate(onLoss);
    },
    onEpoch: (topic, epoch) => listener.onEpoch(topic, epoch),
    onStatus: (status) => listener.onStatus(status),
  };
}
