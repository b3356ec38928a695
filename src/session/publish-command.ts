/** `publish`: may this client publish this now? Then the broker has it, and answers; meanwhile other commands run. */
import { RequestError } from "../base/errors.ts";
import { limitCounters } from "../base/limit-counters.ts";
import { TokenBucket } from "../base/token-bucket.ts";
import type { Command } from "../protocol/parse-command.ts";
import type { NativeSession } from "./native-session.ts";

/** @param command its data are borrowed until return. @throws RequestError */
export function runPublish(
  session: NativeSession,
  idJson: string,
  { topic: name, data }: Extract<Command, { method: "publish" }>,
): void {
  const { services, identity, connection } = session;
  const topic = services.topics.topic(name);
  services.topics.requirePublish(identity, topic.name);
  requireLimits(session, data);
  session.answer(
    idJson,
    services.broker.publish(topic, Buffer.from(data), { origin: connection.id }),
    (position, reply) => {
      const place = position === null ? {} : { epoch: position.epoch, seq: position.seq };
      reply.text(JSON.stringify({ topic: topic.name, ...place }));
    },
  );
}

/** The size of a message, and the rates of a connection and of a user. */
function requireLimits(session: NativeSession, data: Uint8Array): void {
  const { limits, clock, users } = session.services;
  const { messageBytesMax, clientPublishesPerSecMax, clientPublishesPerUserPerSecMax } = limits;
  const nowMs = clock.nowMs();
  if (data.length > messageBytesMax) {
    limitCounters.hit("messageBytesMax");
    throw new RequestError("too_large", `a message has at most ${messageBytesMax} bytes`);
  }
  session.publishBudget ??= new TokenBucket(clientPublishesPerSecMax, nowMs);
  if (!session.publishBudget.take(1, nowMs)) {
    limitCounters.hit("clientPublishesPerSecMax");
    throw new RequestError("rate_limited", `at most ${clientPublishesPerSecMax} messages a second`);
  }
  if (!users.takePublish(session.identity?.sub ?? null, nowMs)) {
    throw new RequestError(
      "rate_limited",
      `at most ${clientPublishesPerUserPerSecMax} messages a second over all connections of a user`,
    );
  }
}
