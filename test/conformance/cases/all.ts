/** Every case, in the order of the RFCs. */
import type { Case } from "../case.ts";
import { closingCases } from "./closing.ts";
import { controlCases } from "./control.ts";
import { deflateMessageCases } from "./deflate-messages.ts";
import { deflateOfferCases } from "./deflate-offers.ts";
import { fragmentationCases } from "./fragmentation.ts";
import { framingCases } from "./framing.ts";
import { largeCases } from "./large.ts";
import { openingCases } from "./opening.ts";
import { utf8Cases } from "./utf8.ts";

export const allCases: readonly Case[] = [
  ...openingCases,
  ...framingCases,
  ...fragmentationCases,
  ...controlCases,
  ...largeCases,
  ...closingCases,
  ...utf8Cases,
  ...deflateOfferCases,
  ...deflateMessageCases,
];
