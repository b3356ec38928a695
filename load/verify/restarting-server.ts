/** A server of a run, Tapecast or the control, that can be ended and started again at the same address. */
import { performance } from "node:perf_hooks";
import type { ServerProcess } from "./subject.ts";

/** One life of it. */
export interface Life {
  readonly pid: number;
  readonly adminUrl: string | null;
  /** SIGTERM, and by force in the end. */
  stop(): Promise<void>;
}

/** See the file head. */
export class RestartingServer implements ServerProcess {
  readonly url: string;
  readonly #start: () => Promise<Life>;
  readonly #stopMsMax: number;
  #life: Life;

  private constructor(url: string, start: () => Promise<Life>, stopMsMax: number, life: Life) {
    this.url = url;
    this.#start = start;
    this.#stopMsMax = stopMsMax;
    this.#life = life;
  }

  /** @param stopMsMax within which SIGTERM must have ended it. */
  static async start(port: number, start: () => Promise<Life>, stopMsMax: number): Promise<RestartingServer> {
    return new RestartingServer(`http://127.0.0.1:${port}`, start, stopMsMax, await start());
  }

  get pid(): number {
    return this.#life.pid;
  }

  get adminUrl(): string | null {
    return this.#life.adminUrl;
  }

  async restart(): Promise<void> {
    const startMs = performance.now();
    await this.#life.stop();
    const tookMs = performance.now() - startMs;
    this.#life = await this.#start();
    if (tookMs > this.#stopMsMax)
      throw new Error(`it took ${Math.round(tookMs)} ms to end, not ${this.#stopMsMax}`);
  }

  async stop(): Promise<void> {
    await this.#life.stop();
  }
}
