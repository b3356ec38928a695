/**
 * What the operator asks by signals. The first SIGTERM or SIGINT (and SIGHUP when a terminal is attached: it was
 * closed) asks for an orderly end, the second ends everything at once. Without a terminal SIGHUP asks for new workers.
 */
import { constants } from "node:os";
import { isatty } from "node:tty";

/** Declared by what obeys. */
export interface SignalListener {
  /** End in order. Once. */
  onStop(signal: NodeJS.Signals): void;
  /** End now: the process exits with 128 + the signal's number right after this returns. */
  onStopAgain(signal: NodeJS.Signals): void;
  onReplace(): void;
}

/**
 * Begins to listen to signals.
 * @returns stops listening; the system's defaults hold again.
 */
export function listenToSignals(listener: SignalListener): () => void {
  let stopping = false;
  // Asked now: a terminal that was closed no longer answers that it is one.
  const terminalAttached = [0, 1, 2].some((descriptor) => isatty(descriptor));
  const stop = (signal: NodeJS.Signals): void => {
    if (!stopping) {
      stopping = true;
      listener.onStop(signal);
      return;
    }
    listener.onStopAgain(signal);
    // The only place in the server that cuts its own process short: the operator insists.
    process.exit(128 + constants.signals[signal]);
  };
  const hangUp = (signal: NodeJS.Signals): void => {
    if (terminalAttached) stop(signal);
    else if (!stopping) listener.onReplace();
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  process.on("SIGHUP", hangUp);
  return () => {
    process.off("SIGTERM", stop);
    process.off("SIGINT", stop);
    process.off("SIGHUP", hangUp);
  };
}
