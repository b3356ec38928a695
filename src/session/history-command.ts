/** `history`: a page of a topic's past, read from the broker. Never more than a connection may have pending. */
import { RequestError } from "../base/errors.ts";
import type { HistoryPage } from "../broker/broker.ts";
import type { Command } from "../protocol/parse-command.ts";
import type { ReplyWriter } from "../protocol/reply-writer.ts";
import type { NativeSession } from "./native-session.ts";

/** To read a page of history costs us and the broker, or the primary process, about 10 ms a megabyte. */
const chargeMsPerByte = 10e-6;

/** @throws RequestError */
export function runHistory(
  session: NativeSession,
  idJson: string,
  command: Extract<Command, { method: "history" }>,
): void {
  const { services, connection } = session;
  const topic = services.topics.topic(command.topic);
  services.topics.requireSubscribe(session.identity, topic.name);
  if (topic.history === null) throw new RequestError("bad_request", "this topic keeps no history");
  const { pendingBytesMax } = services.limits;
  const { since, limit } = command;
  session.hold();
  const encode = (page: HistoryPage, reply: ReplyWriter): void => {
    const { epoch, seq } = page.position;
    reply.text(`{"topic":${JSON.stringify(topic.name)},"epoch":${JSON.stringify(epoch)},"seq":${seq},`);
    if (since !== null) reply.text(`"recovered":${page.complete},`);
    let dataBytes = 0;
    for (const { data } of page.entries) dataBytes += data.length;
    // It was read for this connection, by us and by those whom we asked.
    connection.charge(dataBytes * chargeMsPerByte);
    if (dataBytes <= pendingBytesMax) reply.messages(page.entries).text("}");
    if (Math.max(dataBytes, reply.byteLength) > pendingBytesMax) {
      throw new RequestError("too_large", "the reply would be too large: ask for fewer with params.limit");
    }
  };
  session.answer(idJson, services.broker.history(topic, since, limit), encode, () => session.next());
}
