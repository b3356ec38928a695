/** Why servers deviate, for docs/CONFORMANCE.md. A deviation that nobody explained is an error. */
import type { Explanation } from "./report.ts";

/** By the first word of a server's name. */
export const explanations: Readonly<Record<string, readonly Explanation[]>> = {
  // Nothing to explain. What Tapecast limits or chooses beyond the RFCs stands in the same document by hand.
  Tapecast: [],
  ws: [
    {
      ids: ["4.2.1-http-", "4.2.1-fragment", "4.2.1-host-"],
      why: "node:http lets these through to its `upgrade` event, and ws does not look at them again",
    },
    { ids: ["4.2.1-upgrade-list"], why: "it compares the whole value of Upgrade, which may be a list" },
    {
      ids: ["4.4-version-", "4.2.1-frames-behind-refusal"],
      why: "it takes version 8 as well, and reads the value as a number, so that 013 is 13",
    },
    {
      ids: ["9.1-extensions-spaces", "9.1-extensions-empty-elements"],
      why: "its grammar knows no tab and no empty list element",
    },
    { ids: ["5.2-minimal-"], why: "it takes lengths in longer forms than needed" },
    {
      ids: ["5.4-4mib-"],
      why: "it limits the number of fragments, whatever their size (RFC 6455 §10.4 allows limits)",
    },
    {
      ids: ["8.1-fast-"],
      why: "it checks text when the message is whole, as the public suite finds too (6.4.1–6.4.4)",
    },
    {
      ids: ["7692-"],
      why: "it refuses the handshake with 400 where the offer must be declined, and takes numbers with leading zeros and signs",
    },
  ],
};
