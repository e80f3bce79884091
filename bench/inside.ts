/**
 * The benchmark itself; `main.ts` starts it in private namespaces.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { Bench } from "./bench.ts";
import {
  describeMachine,
  load,
  namespacesGone,
  slabObjects,
} from "./machine.ts";
import { measureCreate } from "./parts/create.ts";
import { measureFootprint } from "./parts/footprint.ts";
import { measureOnce } from "./parts/once.ts";
import { measurePause } from "./parts/pause.ts";
import { measurePeers } from "./parts/peers.ts";
import { measurePorts } from "./parts/ports.ts";
import { measureProfile } from "./parts/profile.ts";
import { measureRate } from "./parts/rate.ts";
import { measureStorm } from "./parts/storm.ts";
import { measureTraffic } from "./parts/traffic.ts";
import { measureWarm } from "./parts/warm.ts";
import { printResults, saveResults } from "./report.ts";
import { addCheckout, buildCommand, buildPrograms } from "./subjects.ts";

/** Every part: a set of measures that belong together. */
const parts: Record<string, (bench: Bench) => Promise<void>> = {
  create: measureCreate,
  pause: measurePause,
  peers: measurePeers,
  rate: measureRate,
  once: measureOnce,
  ports: measurePorts,
  warm: measureWarm,
  storm: measureStorm,
  traffic: measureTraffic,
  footprint: measureFootprint,
  profile: measureProfile,
};

const options = parseArgs(Deno.args, {
  boolean: ["quick"],
  string: ["beside", "results"],
  collect: ["beside"],
});
const { _: words, quick, beside, results, ...others } = options;
const wanted = words.map(String);
const unknown = [
  ...wanted.filter((word) => !(word in parts)),
  ...Object.keys(others).map((name) => `--${name}`),
];
if (unknown.length > 0) {
  console.error(
    `unknown: ${unknown.join(", ")}; parts are ${
      Object.keys(parts).join(", ")
    }`,
  );
  Deno.exit(64);
}
const loadBefore = load();
const namespaces = slabObjects("net_namespace") ?? 0;
await buildPrograms();
await buildCommand();
const bench = new Bench(quick, beside.map(addCheckout));
let failed = false;
for (const [name, measure] of Object.entries(parts)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  try {
    await measure(bench);
    await namespacesGone(namespaces);
  } catch (error) {
    // The other parts are worth their time all the same.
    console.error(`${name}:`, error);
    failed = true;
  }
}
const machine = await describeMachine(loadBefore);
printResults(bench.results, machine);
// Ratios are of one run, so only a whole one is kept, unless somebody says where.
const isWhole = wanted.length === 0 && beside.length === 0 && !quick && !failed;
const directory = results ??
  (isWhole ? new URL("results", import.meta.url).pathname : undefined);
if (directory !== undefined) {
  await saveResults(bench.results, machine, directory);
}
Deno.exit(failed ? 1 : 0);
