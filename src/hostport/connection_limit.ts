/**
 * The rules of the node's table that limit how many connections a pod has. Pure data.
 *
 * The kernel has one table of connections for the whole node, and drops whatever is new when it is full: a pod that opens
 * connections without end would cut off all others. Counting is a walk over all that a pod has (nf_conncount_add), so one
 * in {@linkcode SAMPLE} is counted; a pod that has too many by that is `full`, and all that is new of it is looked at until
 * it has fewer.
 *
 * @module
 */
import { countOver, forget, remember, sampled } from "../nftables/dynamic.ts";
import { meta } from "../nftables/expression.ts";
import type { Chain, NftSet } from "../nftables/ruleset.ts";
import {
  inSet,
  jump,
  rule,
  type Statement,
  verdict,
} from "../nftables/statement.ts";

/** One connection in so many is counted, at random, or a pod would know which. */
const SAMPLE = 64;

/**
 * Chains of address translation see the first packet of a connection only, and established ones cost nothing. The first of
 * them that translates is the last: this is the earliest that the kernel allows (after `NF_IP_PRI_CONNTRACK`, -200).
 */
const BEFORE_SERVICES = -199;

const CONNECTION_SETS: readonly NftSet[] = [
  { name: "connections", key: ["iface_index"], dynamic: { size: 65535 } },
  {
    name: "full",
    key: ["iface_index"],
    // Links do not come back; those that are gone are forgotten.
    dynamic: { size: 65535, timeoutMs: 3_600_000 },
  },
];

/** The sets and chains of a limit of `maximum` connections, about; none for 0. */
export function connectionLimit(
  maximum: number,
  fromPods: Statement,
): { readonly sets: readonly NftSet[]; readonly chains: readonly Chain[] } {
  if (maximum === 0) return { sets: [], chains: [] };
  const count = Math.ceil(maximum / SAMPLE);
  const chains: Chain[] = [
    {
      name: "new_connections",
      hook: { type: "nat", hook: "prerouting", priority: BEFORE_SERVICES },
      rules: [
        rule([fromPods, sampled(SAMPLE), jump("connections")]),
        rule([fromPods, inSet([meta.iif], "full"), jump("connections")]),
      ],
    },
    {
      name: "connections",
      rules: [
        rule([
          countOver(meta.iif, "connections", count),
          remember(meta.iif, "full"),
          verdict("drop"),
        ]),
        rule([forget(meta.iif, "full")]),
      ],
    },
  ];
  return { sets: CONNECTION_SETS, chains };
}
