/**
 * Who a connection is: the token of its address, and `token`, by which it is renewed. A token's end ends the connection;
 * a new one with fewer rights ends the subscriptions that it does not cover.
 */
import { RequestError } from "../base/errors.ts";
import type { TopicLog } from "../hub/topic-log.ts";
import { closeCodes } from "../protocol/close-codes.ts";
import type { NativeSession } from "./native-session.ts";
import { TokenExpiry } from "./token-expiry.ts";

/** How long a connection that needs a token may stay without one. */
const authenticateTimeoutMs = 10_000;

/** Holds the session until the token is verified. @param idJson the command's `id` as JSON, for the reply. */
export function runToken(session: NativeSession, idJson: string, token: string): void {
  session.hold();
  void authenticate(session, token).then((error) => {
    if (session.isClosed) return;
    if (error === null) {
      session.sendText(`{"id":${idJson},"result":{}}`);
      dropForbidden(session);
    } else session.refuse(idJson, error);
    session.next();
  }, session.services.onUnexpected);
}

/** Resolves to what is wrong with the token, or null when it is now this connection's. */
export async function authenticate(session: NativeSession, token: string): Promise<RequestError | null> {
  const { connection } = session;
  const { auth, users } = session.services;
  try {
    const identity = await auth.verify(token, connection.remoteAddress);
    const before = session.identity;
    if (before !== null && before.sub !== null && before.sub !== identity.sub) {
      return new RequestError("forbidden", "the new token is not for the same subject");
    }
    if (session.isClosed) return null;
    if (before?.sub !== identity.sub && !users.enter(identity.sub)) {
      connection.close(closeCodes.connectionLimit, "connection_limit");
      return new RequestError("limit", "this user has as many connections as they may have");
    }
    session.identity = identity;
    if (session.expiry !== null || identity.expiresWallMs !== null) {
      expiryOf(session).set(identity.expiresWallMs);
    }
    return null;
  } catch (error) {
    return session.requestError(error);
  }
}

/** The connection has no token and needs one: it is given time to send it. */
export function expectToken(session: NativeSession): void {
  expiryOf(session).setAfter(authenticateTimeoutMs);
}

function expiryOf(session: NativeSession): TokenExpiry {
  const { wheel, clock } = session.services;
  session.expiry ??= new TokenExpiry(wheel, clock, () => {
    const isMissing = session.identity === null;
    if (isMissing) session.connection.close(closeCodes.unauthorized, "unauthorized");
    else session.connection.close(closeCodes.tokenExpired, "token_expired");
  });
  return session.expiry;
}

/**
 * Ends the subscriptions that the present rights do not cover, and says which. A reader whose socket is full would be
 * given more of them when it drains: it is closed instead, and comes back with its new rights.
 */
function dropForbidden(session: NativeSession): void {
  const { reader } = session;
  const { hub, clock, topics } = session.services;
  const forbidden: TopicLog[] = [];
  for (const { audience } of reader.memberships) {
    for (const log of audience.topics.keys()) {
      if (!topics.maySubscribe(session.identity, log.topic.name)) forbidden.push(log);
    }
  }
  if (forbidden.length === 0) return;
  if (!hub.settle(reader, clock.nowMs())) {
    session.connection.close(closeCodes.forbidden, "forbidden");
    return;
  }
  hub.change(reader, [], forbidden, clock.nowMs());
  const names = forbidden.map(({ topic }) => topic.name);
  session.sendText(JSON.stringify({ event: "unsubscribed", topics: names, reason: "forbidden" }));
}
