/**
 * The long form of churn_test.ts: `deno task churn`. Options, each with a number: `--seed`, `--processes`, `--names`,
 * `--operations` (of each process), `--kills`.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import type { ChurnOptions } from "./churn.ts";
import { churnAndCheck } from "./churn_and_check.ts";

const DEFAULTS: ChurnOptions = {
  seed: Date.now() % 1_000_000,
  processes: 8,
  names: 400,
  operations: 4000,
  kills: 200,
};

const names = Object.keys(DEFAULTS) as (keyof ChurnOptions)[];
const given = parseArgs(Deno.args, { string: names });
const unknown = Object.keys(given).filter((name) =>
  name !== "_" && !(names as string[]).includes(name)
);
if (unknown.length > 0 || given._.length > 0) {
  console.error(
    `unknown: ${[...unknown, ...given._].join(" ")}; use ${
      names.map((name) => `--${name} N`).join(" ")
    }`,
  );
  Deno.exit(64);
}
const options = Object.fromEntries(
  names.map((name) => [name, Number(given[name] ?? DEFAULTS[name])]),
) as unknown as ChurnOptions;
await churnAndCheck(options);
