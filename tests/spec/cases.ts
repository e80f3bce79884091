/**
 * What the tests of specs share.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { isSandboxError, type Problem } from "../../src/errors.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { parseSandboxSpec, type SpecContext } from "../../src/spec/parse.ts";
import type { NormalisedSpec } from "../../src/spec/sandbox_spec.ts";

function cidrs(...texts: string[]): SpecContext {
  return { podCidrs: texts.map((text) => Cidr.parse(text)) };
}

/** A node with both IP versions. */
export const DUAL: SpecContext = cidrs("10.244.1.0/24", "fd00:10:244:1::/64");
export const IPV4_ONLY: SpecContext = cidrs("10.244.1.0/24");
export const IPV6_ONLY: SpecContext = cidrs("fd00:10:244:1::/64");

/** Parses a spec for a node. */
export function parse(spec: unknown, node: SpecContext = DUAL): NormalisedSpec {
  return parseSandboxSpec(spec, node);
}

/** What an action finds wrong with its input. */
export function problemsOf(action: () => unknown): readonly Problem[] {
  try {
    action();
  } catch (error) {
    assert(isSandboxError(error, "InvalidSpec"), String(error));
    return error.context.problems;
  }
  return [];
}

/** Fields of a spec with one host port. */
export function port(fields: Record<string, unknown>): {
  ports: Record<string, unknown>[];
} {
  return { ports: [{ hostPort: 8080, containerPort: 80, ...fields }] };
}

/** Fields of a spec with two host ports. */
export function ports(
  first: Record<string, unknown>,
  second: Record<string, unknown>,
): { ports: Record<string, unknown>[] } {
  return { ports: [...port(first).ports, ...port(second).ports] };
}

/** Fields besides a valid name, where their one problem is, and a part of what is said about it. */
export type BadInput = readonly [
  fields: Record<string, unknown>,
  path: string,
  message: string,
  node?: SpecContext,
];

/** One test for each subject: each input has its one problem and no other. */
export function testBadInput(
  subjects: Readonly<Record<string, readonly BadInput[]>>,
): void {
  for (const [subject, cases] of Object.entries(subjects)) {
    Deno.test(`parseSandboxSpec() names the one problem when ${subject}`, () => {
      for (const [fields, path, message, node] of cases) {
        const found = problemsOf(() =>
          parse({ name: "web-0", ...fields }, node)
        );
        const text = Deno.inspect([fields, found], { depth: 9 });
        assertEquals(found.map((problem) => problem.path), [path], text);
        assertStringIncludes(found[0]?.message ?? "", message, text);
      }
    });
  }
}
