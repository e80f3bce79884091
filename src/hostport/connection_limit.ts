/**
 * The rules of the node's table that limit how many connections a pod has. Pure data.
 *
 * The kernel has one table of connections for the whole node, and drops whatever is new when it is full: a pod that opens
 * connections without end would cut off all others. Counting is a walk over all that a pod has (nf_conncount_add), so one
 * in {@linkcode SAMPLE} is counted; a pod that has too many by that is `full`, and all that is new of it is looked at until
 * it has fewer.
 *
 * A pod is its link; on a bridge, which is one link for all, it is its MAC: addresses it can change.
 *
 * @module
 */
import { countOver, forget, remember, sampled } from "../nftables/dynamic.ts";
import { ether, meta, type Selector } from "../nftables/expression.ts";
import type { Chain, NftSet } from "../nftables/ruleset.ts";
import {
  equals,
  goto,
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

/** The sets and chains of a limit of `maximum` connections, about; none for 0. */
export function connectionLimit(
  maximum: number,
  fromPods: Statement,
  bridgeGroups: readonly number[],
): { readonly sets: readonly NftSet[]; readonly chains: readonly Chain[] } {
  if (maximum === 0) return { sets: [], chains: [] };
  const count = Math.ceil(maximum / SAMPLE);
  const ofLink = counted("", meta.iif, count);
  const ofMac = counted("bridged_", ether.saddr, count);
  return {
    sets: [...ofLink.sets, ...ofMac.sets],
    chains: [
      {
        name: "new_connections",
        hook: { type: "nat", hook: "prerouting", priority: BEFORE_SERVICES },
        rules: [
          rule([fromPods, goto(ofLink.first)]),
          ...bridgeGroups.map((group) =>
            rule([equals(meta.iifgroup, group), goto(ofMac.first)])
          ),
        ],
      },
      ...ofLink.chains,
      ...ofMac.chains,
    ],
  };
}

/** Counts by a property of the packet's sender. */
function counted(prefix: string, sender: Selector, count: number) {
  const first = `${prefix}sampled`;
  const connections = `${prefix}connections`;
  const full = `${prefix}full`;
  const sets: NftSet[] = [
    { name: connections, key: [sender.type], dynamic: { size: 65535 } },
    {
      name: full,
      key: [sender.type],
      // Links and MACs do not come back; those that are gone are forgotten.
      dynamic: { size: 65535, timeoutMs: 3_600_000 },
    },
  ];
  const chains: Chain[] = [
    {
      name: first,
      rules: [
        rule([sampled(SAMPLE), jump(connections)]),
        rule([inSet([sender], full), jump(connections)]),
      ],
    },
    {
      name: connections,
      rules: [
        rule([
          countOver(sender, connections, count),
          remember(sender, full),
          verdict("drop"),
        ]),
        rule([forget(sender, full)]),
      ],
    },
  ];
  return { first, sets, chains };
}
