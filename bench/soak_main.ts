/**
 * The soak: `deno task soak [--peak=2000] [--alive=200] [--cycles=20000] [--every=1000] [--json]`.
 * Run in private namespaces, with `--v8-flags=--expose-gc,--max-semi-space-size=8`: the room for young objects, which
 * V8 doubles at a time of its own choosing, would be a step of 20 to 30 MB in the process's memory otherwise.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { describeMachine, load, sentence } from "./machine.ts";
import { type Sample, soak } from "./soak.ts";
import { findings } from "./soak_verdict.ts";
import { number, terminalTable } from "./table.ts";

const options = parseArgs(Deno.args, {
  string: ["peak", "alive", "cycles", "every"],
  boolean: ["json"],
  default: { peak: "2000", alive: "200", cycles: "20000", every: "1000" },
});
const loadBefore = load();
const start = performance.now();
const result = await soak({
  peak: Number(options.peak),
  alive: Number(options.alive),
  cycles: Number(options.cycles),
  every: Number(options.every),
}, (text) => console.error(`· ${text}`));

if (options.json) {
  console.log(JSON.stringify(result));
} else {
  const shown = (
    { exact, flat, told, times }: Sample,
  ): Record<string, number> => ({ ...exact, ...flat, ...told, ...times });
  const [first] = result.samples;
  const names = first === undefined ? [] : Object.keys(shown(first));
  console.log(terminalTable(
    ["after cycles", ...result.samples.map(({ cycles }) => String(cycles))],
    names.map((name) => [
      name,
      ...result.samples.map((sample) => number(shown(sample)[name] ?? 0)),
    ]),
  ));
  const all = findings(result);
  console.log(`\n${
    terminalTable(
      ["what", "first", "last", "growth", "noise", "verdict"],
      all.map(({ name, first, last, growth, noise, fine }) => [
        name,
        number(first),
        number(last),
        growth === undefined ? "" : number(growth),
        noise === undefined ? "" : number(noise),
        fine ? "flat" : "GROWS",
      ]),
    )
  }`);
  const seconds = (performance.now() - start) / 1000;
  console.log(
    `\nlongest stall of the event loop ${
      number(result.longestStallMs)
    } ms; ${options.cycles} cycles in ${number(seconds)} s`,
  );
  console.log(sentence(await describeMachine(loadBefore)));
}
Deno.exit(findings(result).every(({ fine }) => fine) ? 0 : 1);
