/**
 * The benchmark itself; `main.ts` starts it in private namespaces.
 *
 * @module
 */
import { Bench } from "./bench.ts";
import { measureCreate } from "./parts/create.ts";
import { measureOnce } from "./parts/once.ts";
import { measurePeers } from "./parts/peers.ts";
import { measurePorts } from "./parts/ports.ts";
import { measureRate } from "./parts/rate.ts";
import { measureStorm } from "./parts/storm.ts";
import { measureWarm } from "./parts/warm.ts";
import { report } from "./report.ts";
import { build } from "./subjects.ts";

/** Every part: a set of measures that belong together. */
const parts: Record<string, (bench: Bench) => Promise<void>> = {
  create: measureCreate,
  peers: measurePeers,
  rate: measureRate,
  once: measureOnce,
  ports: measurePorts,
  warm: measureWarm,
  storm: measureStorm,
};

const wanted = Deno.args.filter((word) => !word.startsWith("--"));
const unknown = [
  ...wanted.filter((word) => !(word in parts)),
  ...Deno.args.filter((word) => word.startsWith("--") && word !== "--quick"),
];
if (unknown.length > 0) {
  console.error(
    `unknown: ${unknown.join(", ")}; parts are ${
      Object.keys(parts).join(", ")
    }`,
  );
  Deno.exit(64);
}
await build();
const bench = new Bench(Deno.args.includes("--quick"));
for (const [name, measure] of Object.entries(parts)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  await measure(bench);
}
await report(bench.results);
