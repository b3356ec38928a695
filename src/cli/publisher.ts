/** Where `publish` and `replay` send to: an HTTP server or Redis, seen alike. */

/** One message to publish. */
export interface Message {
  readonly topic: string;
  /** One JSON value, sent byte for byte. */
  readonly data: Uint8Array;
}

/** What became of one message. */
export type Outcome =
  | {
      readonly accepted: true;
      readonly topic: string;
      readonly epoch: string | null;
      readonly seq: number | null;
    }
  | { readonly accepted: false; readonly code: string; readonly reason: string };

/** Sends batches, one at a time. */
export interface Publisher {
  /** Most messages and bytes of `data` in one batch. */
  readonly batchMessagesMax: number;
  readonly batchBytesMax: number;
  /**
   * Publishes in order and answers for each. Waits and repeats while the other side is away for a moment.
   * @throws CliError when going on is useless (nobody there, wrong key).
   */
  publish(messages: readonly Message[]): Promise<readonly Outcome[]>;
  /** Lets go of connections. */
  close(): Promise<void>;
}
