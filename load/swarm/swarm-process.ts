/** The entry of a swarm process: requests in, answers out, over the channel to its parent; ends with it. */
import { SwarmCrowd } from "./swarm-crowd.ts";
import { readyId, type SwarmAnswers, type SwarmRequest } from "./swarm-plan.ts";

interface Envelope {
  readonly id: number;
  readonly request: SwarmRequest;
}

let crowd: SwarmCrowd | null = null;

// Ctrl-C reaches the whole process group; the parent decides what becomes of it.
process.on("SIGINT", () => undefined);
process.on("disconnect", () => process.exit(0));
process.on("message", ({ id, request }: Envelope) => {
  void answer(request).then((result) => process.send?.({ id, result }));
});
process.send?.({ id: readyId, result: {} });

async function answer(request: SwarmRequest): Promise<SwarmAnswers[SwarmRequest["kind"]]> {
  if (request.kind === "open") {
    crowd = new SwarmCrowd(request.plan);
    return { opened: await crowd.open() };
  }
  // Interrupted before it began: there is nobody to say good-bye to.
  if (crowd === null && request.kind === "close") return {};
  if (crowd === null) throw new Error(`${request.kind} before open`);
  switch (request.kind) {
    case "stall":
      crowd.stall(request.share);
      return {};
    case "resume":
      crowd.resume();
      return {};
    case "cut":
      crowd.spreadMs = request.spreadMs;
      return { cut: crowd.cut(request.share) };
    case "stats":
      return crowd.stats();
    case "behind":
      return {
        behind: crowd.books.behind(request.accepted) + crowd.away,
        problems: crowd.problems,
      };
    case "books":
      return { report: crowd.books.close(request.seqs), problems: crowd.problems };
    case "close":
      crowd.close();
      return {};
  }
}
