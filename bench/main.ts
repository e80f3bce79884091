/**
 * The benchmark: podnet against the same work in C and against its peers.
 *
 *     deno task bench [PART…] [--quick] [--beside=CHECKOUT]
 *
 * Parts are those of `parts/`, all by default. `--quick` is for a first look.
 * `--beside` measures the podnet of another checkout in the same run, where it
 * matters most: in the part `create`. A whole run writes `results/`.
 *
 * @module
 */
import { runIsolated } from "../scripts/isolate.ts";
import { BENCH_PEERS, installPeers } from "../scripts/install_peers.ts";

const INSIDE = new URL("inside.ts", import.meta.url).pathname;

const problem = await installPeers(BENCH_PEERS);
if (problem !== undefined) {
  console.error(problem);
  Deno.exit(1);
}
const results = new URL("results", import.meta.url).pathname;
await Deno.mkdir(results, { recursive: true });
// Private namespaces have a /tmp of their own, where these are to be seen all the same.
const checkouts = Deno.args.filter((word) => word.startsWith("--beside="))
  .map((word) => word.slice("--beside=".length));
Deno.exit(
  await runIsolated([
    "deno",
    "run",
    "-A",
    "--quiet",
    "--cached-only",
    INSIDE,
    ...Deno.args,
  ], [results, ...checkouts]),
);
