/**
 * What the node's table knows of other nodes: sets that change while the node lives. Pure data.
 *
 * @module
 */
import { Cidr } from "../net/cidr.ts";
import { IpAddress, type IpFamily } from "../net/ip.ts";
import { encodeKey } from "../nftables/datatype.ts";
import type { Element, NftSet, Table } from "../nftables/ruleset.ts";

/** Other nodes, as far as the rules for packets depend on them. */
export interface NodePeers {
  /** Networks that pods reach by their own addresses: other nodes, and their pods. Canonical. */
  readonly networks: readonly string[];
  /** UDP ports of this node's tunnels to them: nobody else can send there. */
  readonly tunnelPorts: readonly number[];
  /** Addresses that packets to these ports may come from. Canonical. */
  readonly tunnelSources: readonly string[];
}

/** Of a node alone. */
export const NO_PEERS: NodePeers = {
  networks: [],
  tunnelPorts: [],
  tunnelSources: [],
};

/** protocol . port of tunnels. */
export const TUNNEL_PORTS: NftSet = {
  name: "tunnel_ports",
  key: ["inet_proto", "inet_service"],
};

/** Networks of other nodes and of their pods. */
export const peersSet = (family: IpFamily): string => `peers${family}`;
/** Who may send into a tunnel. */
export const tunnelSourcesSet = (family: IpFamily): string =>
  `tunnel_sources${family}`;

/** The sets with what is in them. */
export function peerSets(
  { networks, tunnelPorts, tunnelSources }: NodePeers,
): (NftSet & { readonly elements: readonly Element[] })[] {
  const cidrs = withoutCovered(networks.map(Cidr.parse));
  const sources = tunnelSources.map(IpAddress.parse);
  return [
    {
      ...TUNNEL_PORTS,
      elements: tunnelPorts.map((port) => ({
        key: encodeKey(TUNNEL_PORTS.key, ["udp", port]),
      })),
    },
    ...([4, 6] as const).flatMap((family) => {
      const key = [family === 4 ? "ipv4_addr" : "ipv6_addr"] as const;
      return [
        {
          name: peersSet(family),
          key,
          interval: true,
          elements: cidrs.filter((cidr) => cidr.family === family).map(range),
        },
        {
          name: tunnelSourcesSet(family),
          key,
          elements: sources.filter((source) => source.family === family)
            .map(({ bytes }) => ({ key: bytes })),
        },
      ];
    }),
  ];
}

/** Whether a set of the table is about other nodes. */
export function isPeerSet(name: string): boolean {
  return PEER_SETS.has(name);
}

const PEER_SETS: ReadonlySet<string> = new Set(
  peerSets(NO_PEERS).map(({ name }) => name),
);

/** The table with other peers than it was made with; rules are the same whoever they are. */
export function withPeers(table: Table, peers: NodePeers): Table {
  const sets = new Map(peerSets(peers).map((set) => [set.name, set]));
  return {
    ...table,
    sets: table.sets.map((set) => sets.get(set.name) ?? set),
  };
}

/** Networks nest or are apart; the kernel's interval sets want them apart. */
export function withoutCovered(cidrs: readonly Cidr[]): Cidr[] {
  const byPlace = cidrs.map((cidr) => ({
    cidr,
    first: cidr.network.toBigInt(),
  })).toSorted((a, b) =>
    a.cidr.family - b.cidr.family ||
    (a.first < b.first ? -1 : a.first > b.first ? 1 : 0) ||
    a.cidr.prefixLength - b.cidr.prefixLength
  );
  const kept: Cidr[] = [];
  for (const { cidr } of byPlace) {
    if (!kept.at(-1)?.contains(cidr)) kept.push(cidr);
  }
  return kept;
}

/** All addresses of a network. */
export function range(cidr: Cidr): Element {
  return { key: cidr.network.bytes, keyEnd: cidr.at(cidr.size - 1n).bytes };
}
