/**
 * By which way a node reaches one other, and what it needs itself for all of them: pure.
 *
 * @module
 */
import { NO_PEERS } from "../hostport/peers.ts";
import type { Cidr } from "../net/cidr.ts";
import { IpAddress, type IpFamily } from "../net/ip.ts";
import { MacAddress } from "../net/mac.ts";
import {
  type Remembered,
  rememberedAddress,
  rememberedCidr,
  remembering,
} from "../net/remembered.ts";
import type { Peer } from "./accept.ts";
import { firstOf, outerFamily, overhead } from "./endpoint.ts";
import type { ClusterMember } from "./member.ts";
import { PathError } from "./path_error.ts";
import type { NormalisedPathOptions } from "./path_options.ts";
import {
  type PathFacts,
  type PathForwarding,
  type PathNeighbour,
  type PathRoute,
  type PathShare,
  type TunnelLink,
  tunnelName,
  WIREGUARD_LINK,
  type WireguardPlan,
} from "./path_plan.ts";
import type { ConnectedNetwork } from "./underlay.ts";

/** What others make necessary. */
export interface Need {
  /** IP versions of the tunnels that lead to somebody. */
  readonly outers: ReadonlySet<IpFamily>;
  /** IP versions of the addresses of nodes that pods reach through a tunnel. */
  readonly ofPods: ReadonlySet<IpFamily>;
}

/** A share in the making. */
interface Draft {
  outer?: IpFamily;
  wireguard?: WireguardPlan["peers"][number];
  readonly forwarding: PathForwarding[];
  readonly neighbours: PathNeighbour[];
  readonly routes: PathRoute[];
}

const NOTHING: PathShare = {
  addresses: [],
  forwarding: [],
  neighbours: [],
  routes: [],
  rules: [],
  peers: NO_PEERS,
  refused: [],
};

/** The share of a member that there is no path to. */
export function refusedShare(...refused: readonly PathError[]): PathShare {
  return { ...NOTHING, refused };
}

/** Makes shares. */
export class ShareMaker {
  readonly #networks: readonly (ConnectedNetwork & { readonly cidr: Cidr })[];
  readonly #mtu: number;
  readonly #self: ClusterMember;
  readonly #options: NormalisedPathOptions;
  /** The node's own address in each of its pod CIDRs. */
  readonly #gateways: ReadonlyMap<IpFamily, string>;
  /** Which tunnel there is whoever is there; undefined when there can be none. */
  readonly #outer: IpFamily | undefined;

  constructor({ underlay, self, options }: PathFacts) {
    // The longest prefix first.
    this.#networks = underlay.networks.map((one) => ({
      ...one,
      cidr: rememberedCidr(one.network).value,
    })).toSorted((a, b) => b.cidr.prefixLength - a.cidr.prefixLength);
    this.#mtu = underlay.mtu;
    this.#self = self;
    this.#options = options;
    this.#gateways = new Map(
      self.podCidrs.map(rememberedCidr).map((cidr) => [
        cidr.value.family,
        gatewayOf(cidr),
      ]),
    );
    const { backend } = options;
    // Others may see no common segment where this node does, and send into the tunnel.
    this.#outer = self.vxlan !== undefined &&
        (backend === "auto" || backend === "vxlan")
      ? outerFamily(self.addresses, self.addresses)
      : undefined;
  }

  /** That of a member that is accepted. */
  shareOf(peer: Peer): PathShare {
    const draft: Draft = { forwarding: [], neighbours: [], routes: [] };
    const refused: PathError[] = [];
    try {
      this.#add(peer, draft);
    } catch (error) {
      if (!(error instanceof PathError)) throw error;
      refused.push(error);
    }
    const { podCidrs, hosts, addresses, vxlan } = peer;
    return {
      ...NOTHING,
      ...draft,
      peers: {
        networks: [...podCidrs, ...hosts].map(({ text }) => text),
        tunnelPorts: [],
        tunnelled: draft.routes.flatMap(({ ofPods, destination }) =>
          ofPods ? destination.slice(0, destination.indexOf("/")) : []
        ),
        tunnelSources: this.#outer === undefined || vxlan === undefined
          ? []
          : preferred(addresses),
      },
      refused,
    };
  }

  /** That of the node itself. */
  ownShare({ outers, ofPods }: Need): PathShare {
    const { clusterCidrs } = this.#options;
    const { podCidrs, vxlan } = this.#self;
    const tunnels = this.tunnels(outers);
    return {
      ...NOTHING,
      addresses: tunnels.flatMap(({ name: link }) => {
        const address = this.#gateways.get(4);
        return address === undefined ? [] : [{ link, address }];
      }),
      routes: clusterCidrs.map((destination) => ({ destination })),
      rules: podCidrs.filter((text) => ofPods.has(text.includes(":") ? 6 : 4)),
      peers: {
        ...NO_PEERS,
        networks: clusterCidrs,
        tunnelPorts: tunnels.length === 0 || vxlan === undefined
          ? []
          : [vxlan.port],
      },
    };
  }

  /** The tunnels of the node, when some are needed. */
  tunnels(needed: Need["outers"]): TunnelLink[] {
    const { vxlan, addresses } = this.#self;
    if (vxlan === undefined || this.#outer === undefined) return [];
    return ([4, 6] as const).flatMap((outer) => {
      const local = firstOf(outer, addresses);
      return local === undefined ||
          outer !== this.#outer && !needed.has(outer)
        ? []
        : [{
          name: tunnelName(outer),
          ...vxlan,
          local,
          mtu: this.#mtu - overhead("vxlan", outer),
        }];
    });
  }

  /** The WireGuard link, with that backend. */
  wireguard(
    peers: WireguardPlan["peers"],
  ): { readonly wireguard?: WireguardPlan } {
    const { wireguard, addresses } = this.#self;
    if (this.#options.backend !== "wireguard" || wireguard === undefined) {
      return {};
    }
    const outer = outerFamily(addresses, addresses) ?? 4;
    return {
      wireguard: {
        link: WIREGUARD_LINK,
        port: wireguard.port,
        mtu: this.#mtu - overhead("wireguard", outer),
        peers,
      },
    };
  }

  /** @throws {PathError} when some of the peer's pods cannot be reached; what can be is in the draft all the same */
  #add(peer: Peer, draft: Draft): void {
    if (this.#options.backend === "wireguard") {
      return this.#addWireguard(peer, draft);
    }
    const distant = peer.podCidrs.filter((cidr) =>
      !this.#addDirect(peer, cidr, draft)
    );
    // Pods reach a node as they reach its pods; a node without pods of an IP version, as its place says.
    const addresses = peer.addresses.filter((address) => {
      const { family } = rememberedAddress(address).value;
      return this.#gateways.has(family) &&
        this.#segmentOf(peer, family) === undefined;
    });
    if (distant.length === 0) return;
    if (this.#options.backend === "host-gw") {
      throw new PathError(
        "OffLink",
        peer.name,
        `no IPv${
          distant[0]?.value.family
        } address of it is on a network of this node, so ${
          distant.map(({ text }) => text).join(" and ")
        } cannot be routed there: use backend "auto" or "vxlan"`,
      );
    }
    this.#addTunnel(peer, distant, addresses, draft);
  }

  /** Where a peer is on a common segment, by an IP version; nowhere for backends that do not look. */
  #segmentOf(
    { addresses }: Peer,
    family: IpFamily,
  ): { readonly link: string; readonly gateway: string } | undefined {
    const { backend } = this.#options;
    const gateway = firstOf(family, addresses);
    if (gateway === undefined || backend === "vxlan") return undefined;
    const address = rememberedAddress(gateway).value;
    const network = this.#networks.find(({ cidr }) => cidr.contains(address));
    return network && { link: network.link, gateway };
  }

  #addDirect(
    peer: Peer,
    { value, text }: Remembered<Cidr>,
    draft: Draft,
  ): boolean {
    const segment = this.#segmentOf(peer, value.family);
    if (segment === undefined) return false;
    draft.routes.push({
      destination: text,
      member: peer.name,
      hop: { ...segment, onlink: false },
    });
    return true;
  }

  #addTunnel(
    peer: Peer,
    cidrs: readonly Remembered<Cidr>[],
    addresses: readonly string[],
    draft: Draft,
  ): void {
    const { name, vxlan } = peer;
    const own = this.#self.vxlan;
    if (vxlan === undefined || own === undefined) {
      throw new PathError(
        "NoTunnel",
        name,
        `it is on no network of this node, and ${
          vxlan === undefined ? "it" : "this node"
        } takes no VXLAN packets: use the same backend on all nodes`,
      );
    }
    if (vxlan.vni !== own.vni || vxlan.port !== own.port) {
      throw new PathError(
        "NoTunnel",
        name,
        `its tunnel has network identifier ${vxlan.vni} and port ${vxlan.port}, this node's ${own.vni} and ${own.port}: use the same options on all nodes`,
      );
    }
    const outer = outerFamily(this.#self.addresses, peer.addresses);
    const remote = outer && firstOf(outer, peer.addresses);
    if (outer === undefined || remote === undefined) {
      throw new PathError(
        "NoCommonFamily",
        name,
        "the two nodes have no addresses of the same IP version",
      );
    }
    draft.outer = outer;
    const link = tunnelName(outer);
    draft.forwarding.push({ link, mac: vxlan.mac, remote });
    const hops = new Map<IpFamily, string>();
    const hopOf = (family: IpFamily): string => {
      const known = hops.get(family);
      if (known !== undefined) return known;
      const address = nextHop(family, peer, vxlan.mac);
      hops.set(family, address);
      draft.neighbours.push({ link, address, mac: vxlan.mac });
      return address;
    };
    for (const { value, text } of cidrs) {
      const source = this.#gateways.get(value.family);
      draft.routes.push({
        destination: text,
        member: name,
        hop: {
          link,
          gateway: hopOf(value.family),
          onlink: true,
          ...source === undefined ? {} : { source },
        },
      });
    }
    for (const text of addresses) {
      const { value, host } = rememberedAddress(text);
      draft.routes.push({
        destination: host.text,
        member: name,
        ofPods: true,
        hop: { link, gateway: hopOf(value.family), onlink: true },
      });
    }
  }

  #addWireguard(peer: Peer, draft: Draft): void {
    const outer = outerFamily(this.#self.addresses, peer.addresses);
    const address = outer && firstOf(outer, peer.addresses);
    if (
      address === undefined || peer.wireguard === undefined ||
      this.#self.wireguard === undefined
    ) {
      throw new PathError(
        "NoTunnel",
        peer.name,
        address === undefined
          ? "the two nodes have no addresses of the same IP version"
          : "one of the two nodes has no WireGuard key: use the same backend on all nodes",
      );
    }
    const { publicKey, port } = peer.wireguard;
    draft.wireguard = {
      publicKey,
      endpoint: { address, port },
      allowedIps: peer.podCidrs.map(({ text }) => text),
    };
    for (const { value, text } of peer.podCidrs) {
      const source = this.#gateways.get(value.family);
      draft.routes.push({
        destination: text,
        member: peer.name,
        hop: {
          link: WIREGUARD_LINK,
          onlink: false,
          ...source === undefined ? {} : { source },
        },
      });
    }
  }
}

/** A node sends from its preferred address of either IP version. */
function preferred(addresses: readonly string[]): string[] {
  return ([4, 6] as const).flatMap((family) =>
    firstOf(family, addresses) ?? []
  );
}

/**
 * The next hop to a peer inside a tunnel. Of IPv6 a link-local address that follows from the MAC address (RFC 4291, A): one
 * of the peer's network would be refused while that network is routed elsewhere (ip6_route_check_nh_onlink).
 */
function nextHop(
  family: IpFamily,
  { podCidrs, addresses }: Peer,
  mac: string,
): string {
  if (family === 6) return linkLocal(mac);
  const cidr = podCidrs.find(({ value }) => value.family === 4);
  return cidr === undefined ? firstOf(4, addresses) ?? "" : gatewayOf(cidr);
}

/** The node's own address in a pod CIDR. */
function gatewayOf({ text }: Remembered<Cidr>): string {
  return gateway(text);
}

const gateway = remembering((text) =>
  String(rememberedCidr(text).value.at(1n))
);

const linkLocal = remembering((mac) => {
  const [first = 0, ...rest] = MacAddress.parse(mac).bytes;
  const id = [first ^ 0x02, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)];
  return String(IpAddress.fromBytes(
    Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, ...id),
  ));
});
