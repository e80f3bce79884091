/**
 * Whatever callers write and whatever lies on disk: taken, or refused by the typed error.
 *
 * The same properties run for as long as one likes with `deno task fuzz`.
 */
import { assertEquals, assertThrows } from "@std/assert";
import { SandboxError } from "../../src/errors.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { parseContainerSpec, parseSandboxSpec } from "../../src/spec/parse.ts";
import { inputTargets } from "./input_targets.ts";
import { tryInputs } from "./target.ts";

const SEED = 20261124;

for (const target of inputTargets) {
  Deno.test(target.name, async () => {
    await tryInputs(target, { runs: target.runs ?? 200, seed: SEED });
  });
}

Deno.test("parseSandboxSpec() refuses lists of four thousand million entries without looking at them all", () => {
  const ports = new Array(2 ** 32 - 1);
  for (
    const parse of [
      () => parseSandboxSpec({ name: "web", ports }, { podCidrs: [] }),
      () => parseContainerSpec({ name: "app", ports }),
    ]
  ) {
    const error = assertThrows(parse, SandboxError);
    assertEquals(error.code, "InvalidSpec");
  }
});

Deno.test("parseSandboxSpec() asks for each value once", () => {
  let asked = 0;
  const spec = {
    get name() {
      return ["web", "../x"][asked++];
    },
  };
  const podCidrs = [Cidr.parse("10.244.1.0/24")];
  assertEquals(parseSandboxSpec(spec, { podCidrs }).name, "web");
  assertEquals(asked, 1);
});
