/** `topics`: the rules that say which topics there are and what their readers are promised (PRODUCT: delivery). */
import { z } from "zod";

import { rulePatternProblem, subjectIndexOf } from "../base/topic.ts";
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

/** Who may subscribe, or publish. What they mean is said in docs/SECURITY.md too. */
const audienceWords = ["anyone", "token", "granted", "nobody"] as const;

function audience(description: string) {
  return z
    .enum(audienceWords, { error: `one of ${audienceWords.join(", ")}, or null` })
    .nullable()
    .default(null)
    .meta({ description });
}

const ruleSchema = z
  .strictObject(
    {
      match: z
        .string({ error: "a pattern such as quote.**" })
        .superRefine((value, context) => {
          const problem = rulePatternProblem(value);
          if (problem !== null) context.addIssue({ code: "custom", message: problem });
        })
        .meta({
          description:
            "Pattern of topic names: `*` is one segment, `**` one or more, `{sub}` one that is the subject (`sub`) of the " +
            "token: of `user.{sub}.**` everybody with a token has the part with their own name.",
        }),
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
      subscribe: audience(
        "Who may subscribe. `anyone`: everybody, whatever their token says. `token`: everybody with a token, whatever " +
          "it says; with `{sub}`, the subject. `granted`: whose token's `subscribe` covers the topic. `nobody`. null: " +
          "as `granted` with a token and as `anyone` without; with `{sub}`, as `token`.",
      ),
      clientPublish: flag(false, { description: "Browsers may publish on these topics." }),
      publish: audience(
        "Who may publish where `clientPublish` is true, in the words of `subscribe`; `granted` asks the token's `publish`.",
      ),
    },
    { error: "a rule such as {match: quote.**, delivery: latest}" },
  )
  .superRefine((rule, context) => {
    if (rule.publish !== null && !rule.clientPublish) {
      context.addIssue({ code: "custom", path: ["publish"], message: "only with clientPublish: true" });
    }
    if (subjectIndexOf(rule.match) === null) return;
    for (const key of ["subscribe", "publish"] as const) {
      if (rule[key] !== "anyone") continue;
      const message = "not with {sub} in match, which is for one subject only";
      context.addIssue({ code: "custom", path: [key], message });
    }
  })
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
