/**
 * The node's nf_tables table by its name and its sets and maps. All that changes with pods is elements of these; rules never do.
 *
 * @module
 */
import type { IpFamily } from "../net/ip.ts";
import type { Datatype } from "../nftables/datatype.ts";
import type { NftSet } from "../nftables/ruleset.ts";

/** Name of the table. */
export const TABLE = "podnet";

/**
 * Which rules `ruleset.ts` makes of given options: to be changed with them, so that a table with other rules is renewed. A
 * test knows what it has to be. Making the rules to compare them would cost a fresh process 3 ms.
 */
export const RULES = "676ce3a258a4";

/** The sets of one family. */
export interface FamilySets {
  /** Host IP unset or unspecified: protocol . port → pod . port. */
  readonly wildcard: NftSet;
  /** One host IP: address . protocol . port → pod . port. */
  readonly specific: NftSet;
  /** Which wildcard ports clients on the node's loopback may use. */
  readonly loopback: NftSet;
  /** Likewise for host IP 127.0.0.1 or ::1. */
  readonly loopbackSpecific: NftSet;
  /** pod . pod, for pods that reach themselves through a host port. */
  readonly hairpin: NftSet;
  /** Ports of pods on the node's own network: no rule reads them, they are claims and nothing else. */
  readonly hostNetwork: NftSet;
  /** Likewise for one host IP. */
  readonly hostNetworkSpecific: NftSet;
}

function familySets(family: IpFamily): FamilySets {
  const address: Datatype = family === 4 ? "ipv4_addr" : "ipv6_addr";
  const key: readonly Datatype[] = ["inet_proto", "inet_service"];
  const data: readonly Datatype[] = [address, "inet_service"];
  return {
    wildcard: { name: `hostports${family}`, key, data },
    specific: { name: `hostports${family}_ip`, key: [address, ...key], data },
    loopback: { name: `loopback${family}`, key },
    loopbackSpecific: { name: `loopback${family}_ip`, key: [address, ...key] },
    hairpin: { name: `hairpin${family}`, key: [address, address] },
    hostNetwork: { name: `hostnetwork${family}`, key },
    hostNetworkSpecific: {
      name: `hostnetwork${family}_ip`,
      key: [address, ...key],
    },
  };
}

/** The sets of each family. */
export const SETS: Readonly<Record<IpFamily, FamilySets>> = {
  4: familySets(4),
  6: familySets(6),
};

/** All of them. */
export const ALL_SETS: readonly NftSet[] = [
  ...Object.values(SETS[4]),
  ...Object.values(SETS[6]),
];
