/** `topics`: the rules that say which topics there are and what their readers are promised (PRODUCT: delivery). */
import { z } from "zod";

import { patternProblem } from "../base/topic.ts";
import { flag, integer } from "./option.ts";

/** Publications a second and reader on a `sample` topic whose rule does not say. */
const samplePerSecDefault = 60;

const historySchema = z
  .strictObject(
    {
      size: integer(1, 1_000_000, 1, { description: "Publications kept per topic.", unit: "messages" }),
      ttlMs: integer(1, 31_536_000_000, 300_000, {
        description: "Publications older than this are history no more.",
        unit: "milliseconds",
      }),
    },
    { error: "{size, ttlMs}, or left out" },
  )
  .nullable()
  .default(null)
  .meta({
    description: "What is kept for those who come later; left out, the topic is live only and has no `seq`.",
  });

const ruleSchema = z
  .strictObject(
    {
      match: z
        .string({ error: "a pattern such as quote.**" })
        .superRefine((value, context) => {
          const problem = patternProblem(value);
          if (problem !== null) context.addIssue({ code: "custom", message: problem });
        })
        .meta({ description: "Pattern of topic names: `*` is one segment, `**` one or more." }),
      delivery: z.enum(["latest", "every", "sample"], { error: "one of latest, every, sample" }).meta({
        description:
          "What a slow reader may miss. `latest`: older values (quotes). `every`: nothing (trades, chat). " +
          "`sample`: what is above `samplePerSecMax` (danmaku).",
      }),
      samplePerSecMax: z
        .int({ error: "a whole number from 1 to 100000" })
        .min(1, { error: "at least 1" })
        .max(100_000, { error: "at most 100000" })
        .nullable()
        .default(null)
        .meta({
          description: `Publications a second that one reader is given, for \`sample\` only; ${samplePerSecDefault} when left out.`,
          unit: "messages per second",
        }),
      history: historySchema,
      clientPublish: flag(false, { description: "Browsers may publish on these topics." }),
    },
    { error: "a rule such as {match: quote.**, delivery: latest}" },
  )
  .superRefine((rule, context) => {
    if (rule.delivery === "sample" || rule.samplePerSecMax === null) return;
    context.addIssue({ code: "custom", path: ["samplePerSecMax"], message: "only with delivery: sample" });
  })
  .transform((rule) => ({
    ...rule,
    samplePerSecMax: rule.delivery === "sample" ? (rule.samplePerSecMax ?? samplePerSecDefault) : null,
  }));

/** The list of rules with its default. */
export const topicsSchema = z
  .array(ruleSchema, { error: "a list of rules" })
  .max(1024, { error: "at most 1024 rules" })
  .prefault([
    { match: "quote.**", delivery: "latest", history: { size: 1, ttlMs: 86_400_000 } },
    { match: "trade.**", delivery: "every", history: { size: 300, ttlMs: 300_000 } },
    {
      match: "danmaku.**",
      delivery: "sample",
      samplePerSecMax: 60,
      history: { size: 50, ttlMs: 300_000 },
      clientPublish: true,
    },
    { match: "chat.**", delivery: "every", history: { size: 300, ttlMs: 300_000 }, clientPublish: true },
  ])
  .meta({
    description:
      "The first rule whose pattern matches a topic is the topic's rule; a topic without one is refused " +
      "(`unknown_topic`). An empty list is valid.",
  });
