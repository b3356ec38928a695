/** What the front door of a worker did, as plain integers for metrics. */

import { refusalReasons, type RefusalReason } from "../handshake/refusal.ts";

/** One object for all listeners. All but the two gauges only grow. */
export class FrontDoorCounters {
  /** Sockets that the listeners gave us. */
  accepted = 0;
  /** Handshakes answered with 101. */
  upgraded = 0;
  /** Sockets given to node:http, and gauge: those of them that live. */
  handedToHttp = 0;
  httpOpen = 0;
  /** Gauge: sockets whose request head has not come whole, or whose refusal is on its way out. */
  waiting = 0;
  /** Connections not upgraded by reason, every reason of the closed list present. */
  readonly refused = new Map<RefusalReason, number>(refusalReasons.map((reason) => [reason, 0]));

  refuse(reason: RefusalReason): void {
    this.refused.set(reason, (this.refused.get(reason) ?? 0) + 1);
  }
}
