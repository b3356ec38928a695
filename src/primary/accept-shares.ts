/**
 * Keeps the workers' numbers of sockets alike. All of them accept from one queue, and whoever wakes first takes what is
 * there; without a word from here an idle machine gave one of two workers 68 of 100. The word is a number: who has more
 * sockets than this lets the others go first.
 */

/** A worker, for this purpose. */
export interface ShareHolder {
  readonly isAccepting: boolean;
  readonly sockets: number;
  /** When it said anything last. */
  readonly heardMs: number;
  sendShare(sockets: number | null): void;
}

/** Between two words. */
const wordMs = 50;
/** Who has been silent for so long may be standing still: the others do not wait for it. */
const silentMsMax = 1500;
/** How much more than the mean is no reason to step back. */
const slack = 1.1;
/** As many as come to a worker between two words when 100 a second do: to step back costs more than to accept them. */
const slackSockets = 10;
/** A share that is so little off the one that was told is as good, and is not told: each word costs two processes. */
const toldSlack = 0.04;

export class AcceptShares {
  readonly #holders: () => readonly ShareHolder[];
  readonly #told = new WeakMap<ShareHolder, number | null>();
  #timer: NodeJS.Timeout | null = null;

  constructor(holders: () => readonly ShareHolder[]) {
    this.#holders = holders;
  }

  /** Some number has changed; everybody is told within `wordMs`. */
  changed(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#tell();
    }, wordMs);
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #tell(): void {
    const accepting = this.#holders().filter(({ isAccepting }) => isAccepting);
    const share = shareOf(accepting, performance.now());
    for (const holder of accepting) {
      if (isAsGood(this.#told.get(holder), share)) continue;
      this.#told.set(holder, share);
      holder.sendShare(share);
    }
  }
}

function isAsGood(told: number | null | undefined, share: number | null): boolean {
  if (typeof told !== "number" || share === null) return told === share;
  return Math.abs(share - told) <= told * toldSlack;
}

/** @returns the number above which a worker steps back; null when there is nobody to step back for. */
export function shareOf(accepting: readonly ShareHolder[], nowMs: number): number | null {
  const heard = accepting.filter(({ heardMs }) => nowMs - heardMs < silentMsMax);
  if (heard.length < 2) return null;
  const sum = heard.reduce((total, { sockets }) => total + sockets, 0);
  return Math.round((sum / heard.length) * slack) + slackSockets;
}
