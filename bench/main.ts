/**
 * The benchmark: podnet against the same work in C and against its peers.
 *
 *     deno task bench [PART…] [--quick] [--beside=CHECKOUT] [--results=DIR]
 *
 * Parts are those of `parts/`, all by default. `--quick` is for a first look.
 * `--beside` measures the podnet of another checkout in the same run, where it
 * matters most: in the part `create`. A whole run writes `results/` and what
 * the README and docs/performance.md say of them; with `--results` any run
 * writes into that directory, and nothing else.
 *
 * @module
 */
import { runIsolated } from "../scripts/isolate.ts";
import { BENCH_PEERS, installPeers } from "../scripts/install_peers.ts";
import { writePages } from "./pages.ts";

const INSIDE = new URL("inside.ts", import.meta.url).pathname;

const problem = await installPeers(BENCH_PEERS);
if (problem !== undefined) {
  console.error(problem);
  Deno.exit(1);
}
const results = new URL("results", import.meta.url).pathname;
const values = (option: string) =>
  Deno.args.filter((word) => word.startsWith(`--${option}=`))
    .map((word) => word.slice(`--${option}=`.length));
// Private namespaces have a /tmp of their own, where these are to be seen all the same.
const kept = [results, ...values("beside"), ...values("results")];
for (const directory of [results, ...values("results")]) {
  await Deno.mkdir(directory, { recursive: true });
}
const file = `${results}/latest.json`;
const before = await changed(file);
const code = await runIsolated([
  "deno",
  "run",
  "-A",
  "--quiet",
  "--cached-only",
  INSIDE,
  ...Deno.args,
], kept);
if (await changed(file) !== before) await writePages();
Deno.exit(code);

/** When a file was written; undefined when it is not there. */
async function changed(path: string): Promise<number | undefined> {
  try {
    return (await Deno.stat(path)).mtime?.getTime();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
