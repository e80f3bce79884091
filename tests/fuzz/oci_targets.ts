/**
 * What OCI runtimes say of containers, and the annotations of whoever starts them.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { describe } from "../../src/cli/errors.ts";
import { ANNOTATIONS, readAnnotations } from "../../src/cli/oci_annotations.ts";
import { UsageError } from "../../src/cli/usage.ts";
import { SandboxError } from "../../src/errors.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { sandboxIdOf, sandboxNameOf } from "../../src/oci/container_sandbox.ts";
import { parseContainerState } from "../../src/oci/container_state.ts";
import { parseSandboxSpec } from "../../src/spec/parse.ts";
import { documents } from "./documents.ts";
import { attempt, type Target, target } from "./target.ts";

const STATE = {
  ociVersion: "1.0.2",
  id: "web",
  status: "creating",
  pid: 72,
  bundle: "/run/b",
  annotations: {
    "io.podnet.publish": "8080:80 127.0.0.1:5353:53/udp",
    "io.podnet.ip": "10.244.1.7",
    "io.podnet.label.app": "web",
    "io.podnet.sysctl.net.core.somaxconn": "77",
    "io.podnet.ingress-bandwidth": "10M:1M",
    "io.podnet.without-default-route": "true",
  },
};

const podCidrs = [Cidr.parse("10.244.1.0/24"), Cidr.parse("fd00::/64")];

/** Names of annotations with something behind them, and texts that were right once. */
const annotations = fc.dictionary(
  fc.oneof(
    fc.constantFrom("name", ...ANNOTATIONS).map((name) => `io.podnet.${name}`),
    fc.tuple(fc.constantFrom("label", "sysctl"), fc.string({ unit: "binary" }))
      .map(([name, key]) => `io.podnet.${name}.${key}`),
    fc.string({ unit: "binary" }).map((key) => `io.podnet.${key}`),
  ),
  fc.oneof(
    fc.constantFrom(...Object.values(STATE.annotations)),
    fc.string({ unit: "binary" }),
    fc.array(fc.constantFrom("8080:80", "[::]:1:1", "0", ",", " "))
      .map((words) => words.join("")),
  ),
  { maxKeys: 5, noNullPrototype: true },
);

/** A spec that is taken or refused, and a refusal that is one line for each problem. */
async function check(
  annotations: Readonly<Record<string, string>>,
  id: string,
): Promise<void> {
  let read: Awaited<ReturnType<typeof readAnnotations>>;
  try {
    read = await readAnnotations(annotations, sandboxNameOf(id));
  } catch (error) {
    assert(error instanceof UsageError, String(error));
    return;
  }
  const { spec, given } = read;
  try {
    parseSandboxSpec(spec, { podCidrs });
  } catch (error) {
    assert(error instanceof SandboxError, String(error));
    const { lines, exitCode } = await describe(error, given);
    assertEquals(exitCode, 2);
    // deno-lint-ignore no-control-regex
    assert(lines.every((line) => !/[\x00-\x1f]/.test(line)));
  }
}

/** The targets. */
export const ociTargets: readonly Target[] = [
  target("OCI states", documents(STATE), async (text) => {
    const state = attempt(() => parseContainerState(text), SandboxError);
    if (state === undefined) return;
    assert(state.status === "stopped" || (state.pid ?? 0) > 0);
    assert(/^oci-[0-9a-f]{24}$/.test(sandboxIdOf(state)));
    assertEquals(Reflect.get({}, "polluted"), undefined);
    await check(state.annotations, state.id);
  }, { runs: 800, async: true }),
  target(
    "OCI annotations",
    fc.tuple(annotations, fc.string({ unit: "binary", minLength: 1 })),
    ([annotations, id]) => check(annotations, id),
    { runs: 800, async: true },
  ),
];
