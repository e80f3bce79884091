/**
 * What the node's table knows of other nodes: sets that change while the node lives. Pure data.
 *
 * @module
 */
import type { Cidr } from "../net/cidr.ts";
import type { IpAddress, IpFamily } from "../net/ip.ts";
import { rememberedAddress, rememberedCidr } from "../net/remembered.ts";
import { encodeKey } from "../nftables/datatype.ts";
import { compareBytes } from "../nftables/element.ts";
import type { Element, NftSet, Table } from "../nftables/ruleset.ts";
import { atOnce, type Steps } from "../steps.ts";

/** Other nodes, as far as the rules for packets depend on them. */
export interface NodePeers {
  /** Networks that pods reach by their own addresses: other nodes, and their pods. Canonical. */
  readonly networks: readonly string[];
  /** UDP ports of this node's tunnels to them: nobody else can send there. */
  readonly tunnelPorts: readonly number[];
  /** Addresses that packets to these ports may come from. Canonical. */
  readonly tunnelSources: readonly string[];
  /** Addresses of nodes that pods reach through a tunnel: their packets are marked. Canonical. */
  readonly tunnelled: readonly string[];
}

/**
 * The bit of a packet's mark by which packets of pods find their own table of routes. Kubernetes has 0x4000 and 0x8000,
 * Cilium 0xf00, others the upper half.
 */
export const TUNNELLED_MARK = 0x2000;

/** The bit of what is forwarded to the port of a tunnel, until it leaves. */
export const FORWARDED_MARK = 0x1000;

/** Tunnels' names begin with this. */
export const TUNNEL_PREFIX = "podnet-vx";

/** Of a node alone. */
export const NO_PEERS: NodePeers = {
  networks: [],
  tunnelPorts: [],
  tunnelSources: [],
  tunnelled: [],
};

/** Whether both know the same, in the same order. */
export function samePeers(a: NodePeers, b: NodePeers | undefined): boolean {
  return a === b || b !== undefined &&
      isSameList(a.networks, b.networks) &&
      isSameList(a.tunnelPorts, b.tunnelPorts) &&
      isSameList(a.tunnelSources, b.tunnelSources) &&
      isSameList(a.tunnelled, b.tunnelled);
}

function isSameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a === b ||
    a.length === b.length && a.every((one, i) => one === b[i]);
}

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

/** Nodes that pods reach through a tunnel. */
export const tunnelledSet = (family: IpFamily): string => `tunnelled${family}`;

/** The sets with what is in them. */
export function peerSets(peers: NodePeers): PeerSet[] {
  return atOnce(makePeerSets(peers));
}

/** A set with what is in it. */
export type PeerSet = NftSet & { readonly elements: readonly Element[] };

/** As {@linkcode peerSets}, of many. */
export function* makePeerSets(
  { networks, tunnelPorts, tunnelSources, tunnelled }: NodePeers,
): Steps<PeerSet[]> {
  const cidrs: Cidr[] = [];
  for (const text of networks) {
    yield;
    cidrs.push(rememberedCidr(text).value);
  }
  const ranges: Record<IpFamily, Element[]> = { 4: [], 6: [] };
  for (const cidr of withoutCovered(cidrs)) {
    yield;
    ranges[cidr.family].push(range(cidr));
  }
  const addresses = {
    sources: tunnelSources.map((text) => rememberedAddress(text).value),
    tunnelled: tunnelled.map((text) => rememberedAddress(text).value),
  };
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
          elements: ranges[family],
        },
        {
          name: tunnelSourcesSet(family),
          key,
          elements: keysOf(addresses.sources, family),
        },
        {
          name: tunnelledSet(family),
          key,
          elements: keysOf(addresses.tunnelled, family),
        },
      ];
    }),
  ];
}

function keysOf(addresses: readonly IpAddress[], of: IpFamily): Element[] {
  return addresses.filter(({ family }) => family === of)
    .map(({ bytes }) => ({ key: bytes }));
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
  const byPlace = cidrs.toSorted((a, b) =>
    a.family - b.family ||
    compareBytes(a.network.bytes, b.network.bytes) ||
    a.prefixLength - b.prefixLength
  );
  const kept: Cidr[] = [];
  for (const cidr of byPlace) {
    if (!kept.at(-1)?.contains(cidr)) kept.push(cidr);
  }
  return kept;
}

/** All addresses of a network. */
export function range(cidr: Cidr): Element {
  return { key: cidr.network.bytes, keyEnd: cidr.last.bytes };
}
