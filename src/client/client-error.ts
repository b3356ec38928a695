/**
 * What a call on the client rejects with: the server's stable code (docs/PROTOCOL.md, "Errors"), or `disconnected`
 * where the connection went away first.
 */
export class ClientError extends Error {
  override readonly name = "ClientError";
  /** One of the protocol's error codes, or `disconnected`. */
  readonly code: string;
  /** True when the same call may succeed later. After `disconnected` a publish may or may not have been stored. */
  readonly temporary: boolean;

  constructor(code: string, message: string, temporary: boolean) {
    super(message);
    this.code = code;
    this.temporary = temporary;
  }
}
