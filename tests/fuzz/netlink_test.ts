/**
 * Whatever the kernel sends, decoding gives a value or a typed error.
 *
 * The same properties run for as long as one likes with `deno task fuzz`.
 */
import { assert, assertEquals } from "@std/assert";
import { allInside, exportedCodecs, isWritable } from "./codecs.ts";
import { questions, recordKernel } from "./kernel.ts";
import {
  codecTargets,
  kernelTargets,
  messageTargets,
  nftTargets,
} from "./netlink_targets.ts";
import { bodiesOf } from "./kernel.ts";
import { tryInputs } from "./target.ts";

const SEED = 20261124;

Deno.test("no table is left out: every attrs() of the sources is reached from an exported codec", async () => {
  const reached = new Set<string>();
  for (const { codec } of await exportedCodecs()) {
    for (const { type } of isWritable(codec) ? allInside(codec) : []) {
      for (const [, prefix] of type.matchAll(/attrs<(\w+)>/g)) {
        reached.add(prefix ?? "");
      }
    }
  }
  const declared = new Set<string>();
  for (
    const folder of [
      "netlink",
      "rtnetlink",
      "nftables",
      "conntrack",
      "sockdiag",
    ]
  ) {
    const directory = new URL(`../../src/${folder}/`, import.meta.url);
    for (const { name } of Deno.readDirSync(directory)) {
      const source = Deno.readTextFileSync(new URL(name, directory));
      for (const [, prefix] of source.matchAll(/\battrs\(\s*"(\w+)"/g)) {
        declared.add(prefix ?? "");
      }
    }
  }
  assert(declared.size > 40, `only ${declared.size} tables were found`);
  assertEquals([...declared.difference(reached)], []);
});

for (
  const target of [
    ...await codecTargets(),
    ...messageTargets(),
    ...nftTargets(),
  ]
) {
  Deno.test(target.name, async () => {
    await tryInputs(target, { runs: target.runs ?? 200, seed: SEED });
  });
}

Deno.test("answers of the live kernel, damaged, end in a value or a typed error", async () => {
  const recordings = await recordKernel();
  assertEquals(recordings.length, questions.length);
  assert(bodiesOf(recordings).length > 100);
  for (const target of await kernelTargets(recordings)) {
    await tryInputs(target, { runs: target.runs ?? 200, seed: SEED });
  }
});
