/**
 * The benchmark: podnet against the same work in C and against its peers.
 *
 *     deno task bench [PART…] [--quick]
 *
 * @module
 */
import { runIsolated } from "../scripts/isolate.ts";
import { ALL_PEERS, installPeers } from "../scripts/install_peers.ts";

const INSIDE = new URL("inside.ts", import.meta.url).pathname;

const problem = await installPeers(ALL_PEERS);
if (problem !== undefined) {
  console.error(problem);
  Deno.exit(1);
}
const results = new URL("results", import.meta.url).pathname;
await Deno.mkdir(results, { recursive: true });
Deno.exit(
  await runIsolated([
    "deno",
    "run",
    "-A",
    "--quiet",
    "--cached-only",
    INSIDE,
    ...Deno.args,
  ], [results]),
);
