/** The entry of a bad client's process: told what to be over the channel to its parent, it goes on until that ends it. */
import { badClientKinds, type BadClientTarget } from "./bad-clients.ts";

interface Wish {
  readonly kind: string;
  readonly target: BadClientTarget;
}

// Ctrl-C reaches the whole process group; the parent decides what becomes of it.
process.on("SIGINT", () => undefined);
process.on("disconnect", () => process.exit(0));
process.on("message", ({ kind, target }: Wish) => {
  badClientKinds.find(({ name }) => name === kind)?.start(target);
});
process.send?.("ready");
