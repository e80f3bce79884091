/**
 * Fuzzing for as long as one likes:
 *
 *     deno task fuzz [SECONDS] [SEED] [TARGET]
 *
 * TARGET is a part of the names of those to try. Ends with a table of the inputs tried; a failure is printed with its seed
 * and the least input that fails.
 *
 * @module
 */
import { recordKernel } from "./kernel.ts";
import {
  codecTargets,
  kernelTargets,
  messageTargets,
  nftTargets,
} from "./netlink_targets.ts";
import { inputTargets } from "./input_targets.ts";
import { type Target, tryInputs } from "./target.ts";

/** Inputs of one target before it is the next one's turn. */
const TURN = 400;

const [secondsText = "60", seedText, wanted = ""] = Deno.args;
const seconds = Number(secondsText);
const seed = Number(seedText ?? crypto.getRandomValues(new Uint32Array(1))[0]);

/** What is after a dot, or the number of a codec's targets, would make the table a thousand lines long. */
function groupOf({ name }: Target): string {
  return / (reads|gives) /.test(name) ? name.split(/[.]/)[0] ?? name : name;
}

const targets = [
  ...await codecTargets(),
  ...messageTargets(),
  ...nftTargets(),
  ...await kernelTargets(await recordKernel()),
  ...inputTargets,
].filter(({ name }) => name.includes(wanted));
if (targets.length === 0) {
  console.error(`no target has "${wanted}" in its name`);
  Deno.exit(2);
}
const tried = new Map<string, number>();
const failed = new Set<Target>();
const end = performance.now() + seconds * 1000;
let turn = 0;
console.log(`${targets.length} targets, ${seconds} s, seed ${seed}`);
while (performance.now() < end && failed.size < targets.length) {
  const target = targets[turn % targets.length];
  const round = Math.floor(turn++ / targets.length);
  if (target === undefined || failed.has(target)) continue;
  try {
    const runs = await tryInputs(target, {
      runs: Math.max(TURN, target.runs ?? 0),
      seed: seed + round | 0,
    });
    const group = groupOf(target);
    tried.set(group, (tried.get(group) ?? 0) + runs);
  } catch (error) {
    failed.add(target);
    console.error(error instanceof Error ? error.message : error);
  }
}
const width = Math.max(...[...tried.keys()].map((name) => name.length));
for (const [name, count] of tried) {
  console.log(`${name.padEnd(width)}  ${`${count}`.padStart(10)}`);
}
const sum = [...tried.values()].reduce((sum, count) => sum + count, 0);
console.log(`${"all".padEnd(width)}  ${`${sum}`.padStart(10)} inputs`);
console.log(`${failed.size} failed`);
Deno.exit(failed.size === 0 ? 0 : 1);
