/**
 * Facts of a node that is not healthy in one respect, and what is to be told of them.
 *
 * @module
 */
import type { Facts } from "../../src/diagnosis/facts/facts.ts";
import type { NetworkFacts } from "../../src/diagnosis/facts/network.ts";
import type { NodeFacts } from "../../src/diagnosis/facts/node_facts.ts";
import type {
  FindingCode,
  Severity,
} from "../../src/diagnosis/rules/finding.ts";
import { healthy, route } from "./healthy.ts";

/** What is spoiled, and the one finding that comes of it; without one there is none. */
export type Case = readonly [
  what: string,
  spoiled: Partial<Facts>,
  code?: FindingCode,
  severity?: Severity,
];

/** Facts with another network. */
export const network = (parts: Partial<NetworkFacts>): Partial<Facts> => ({
  network: { ...healthy.network, ...parts },
});
/** Facts with another sysctl. */
export const sysctl = (name: string, value: string): Partial<Facts> =>
  network({ sysctls: { ...healthy.network.sysctls, [name]: value } });
/** Facts with another node. */
export const node = (parts: Partial<NodeFacts>): Partial<Facts> => ({
  node: { ...healthy.node, ...parts },
});
/** Facts with another state directory. */
export const stateDirectory = (
  parts: Partial<Facts["stateDirectory"]>,
): Partial<Facts> => ({
  stateDirectory: { ...healthy.stateDirectory, ...parts },
});
/** Facts with other limits. */
export const limits = (parts: Partial<Facts["limits"]>): Partial<Facts> => ({
  limits: { ...healthy.limits, ...parts },
});
/** Facts with other rights. */
export const privileges = (
  parts: Partial<Facts["privileges"]>,
): Partial<Facts> => ({
  privileges: { ...healthy.privileges, ...parts },
});
/** Facts with a policy rule for table 77, which has a default route. */
export const rule = (
  parts: Partial<NetworkFacts["policyRules"][number]>,
): Partial<Facts> =>
  network({
    policyRules: [...healthy.network.policyRules, {
      family: 4,
      priority: 100,
      table: 77,
      action: 1,
      hasOtherConditions: false,
      inverted: false,
      ...parts,
    }],
    routes: [...healthy.network.routes, route("default", { table: 77 })],
  });
