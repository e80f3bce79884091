/**
 * Decides by which way a node reaches each of the others: pure.
 *
 * @module
 */
import type { Cidr } from "../net/cidr.ts";
import { IpAddress, type IpFamily } from "../net/ip.ts";
import { MacAddress } from "../net/mac.ts";
import {
  type Remembered,
  rememberedAddress,
  rememberedCidr,
  remembering,
} from "../net/remembered.ts";
import { compareText } from "../text.ts";
import { accept, type Peer } from "./accept.ts";
import { firstOf, outerFamily, overhead } from "./endpoint.ts";
import type { ClusterMember } from "./member.ts";
import { PathError } from "./path_error.ts";
import type { NormalisedPathOptions } from "./path_options.ts";
import {
  type PathForwarding,
  type PathNeighbour,
  type PathPlan,
  type PathRoute,
  type TunnelLink,
  tunnelName,
  WIREGUARD_LINK,
  type WireguardPlan,
} from "./path_plan.ts";
import type { ConnectedNetwork, Underlay } from "./underlay.ts";

/**
 * Plans the paths.
 *
 * - Pods of a node on a common segment are reached by a plain route over that segment, decided for each IP version.
 * - All others are reached through a tunnel, IPv4 and IPv6 pods by the same one. Each peer has one static forwarding entry,
 *   and one static neighbour an IP version: nothing is learnt, nothing is asked for, nothing goes to everybody.
 * - What the node itself sends through a tunnel has its gateway address as its source, which the peer routes back into the
 *   tunnel: the node's own address would be answered outside of it, and dropped by a strict rp_filter. What pods send to
 *   the address of a node behind a tunnel goes through the tunnel for the same reason, and since no router on the way need
 *   know pods' addresses. The node's own packets to that address, tunnels among them, do not.
 * - The pods of a member are nobody else's. Of members that claim the same, the first by name has it.
 *
 * @param self this node, also if it is among the members
 */
export function planPaths(
  { underlay, self, members, options }: {
    readonly underlay: Underlay;
    readonly self: ClusterMember;
    readonly members: readonly ClusterMember[];
    readonly options: NormalisedPathOptions;
  },
): PathPlan {
  const { peers, refused } = accept(underlay, self, members, options);
  const draft = new Draft(underlay, self, options);
  for (const peer of peers) {
    try {
      draft.add(peer);
    } catch (error) {
      if (!(error instanceof PathError)) throw error;
      refused.push(error);
    }
  }
  return draft.finish(peers, refused);
}

/** A plan in the making. */
class Draft {
  readonly #networks: readonly (ConnectedNetwork & { readonly cidr: Cidr })[];
  readonly #mtu: number;
  readonly #self: ClusterMember;
  readonly #options: NormalisedPathOptions;
  /** The node's own address in each of its pod CIDRs. */
  readonly #gateways: ReadonlyMap<IpFamily, string>;
  readonly #outers = new Set<IpFamily>();
  readonly #forwarding: PathForwarding[] = [];
  readonly #neighbours: PathNeighbour[] = [];
  readonly #routes: PathRoute[] = [];
  readonly #wireguardPeers: WireguardPlan["peers"][number][] = [];

  constructor(
    { networks, mtu }: Underlay,
    self: ClusterMember,
    options: NormalisedPathOptions,
  ) {
    // The longest prefix first.
    this.#networks = networks.map((one) => ({
      ...one,
      cidr: rememberedCidr(one.network).value,
    })).toSorted((a, b) => b.cidr.prefixLength - a.cidr.prefixLength);
    this.#mtu = mtu;
    this.#self = self;
    this.#options = options;
    this.#gateways = new Map(
      self.podCidrs.map(rememberedCidr).map((cidr) => [
        cidr.value.family,
        gatewayOf(cidr),
      ]),
    );
    // Others may see no common segment where this node does, and send into the tunnel.
    const own = outerFamily(self.addresses, self.addresses);
    if (self.vxlan !== undefined && own !== undefined) this.#outers.add(own);
  }

  /** @throws {PathError} when some of the peer's pods cannot be reached; what can be is in the plan all the same */
  add(peer: Peer): void {
    if (this.#options.backend === "wireguard") return this.#addWireguard(peer);
    const distant = peer.podCidrs.filter((cidr) =>
      !this.#addDirect(peer, cidr)
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
    this.#addTunnel(peer, distant, addresses);
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

  #addDirect(peer: Peer, { value, text }: Remembered<Cidr>): boolean {
    const segment = this.#segmentOf(peer, value.family);
    if (segment === undefined) return false;
    this.#routes.push({
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
    this.#outers.add(outer);
    const link = tunnelName(outer);
    this.#forwarding.push({ link, mac: vxlan.mac, remote });
    const hops = new Map<IpFamily, string>();
    const hopOf = (family: IpFamily): string => {
      const known = hops.get(family);
      if (known !== undefined) return known;
      const address = nextHop(family, peer, vxlan.mac);
      hops.set(family, address);
      this.#neighbours.push({ link, address, mac: vxlan.mac });
      return address;
    };
    for (const { value, text } of cidrs) {
      const source = this.#gateways.get(value.family);
      this.#routes.push({
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
      this.#routes.push({
        destination: host.text,
        member: name,
        ofPods: true,
        hop: { link, gateway: hopOf(value.family), onlink: true },
      });
    }
  }

  #addWireguard(peer: Peer): void {
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
    this.#wireguardPeers.push({
      publicKey,
      endpoint: { address, port },
      allowedIps: peer.podCidrs.map(({ text }) => text),
    });
    for (const { value, text } of peer.podCidrs) {
      const source = this.#gateways.get(value.family);
      this.#routes.push({
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

  finish(peers: readonly Peer[], refused: readonly PathError[]): PathPlan {
    const { clusterCidrs } = this.#options;
    const tunnels = this.#tunnels();
    return {
      tunnels,
      addresses: tunnels.flatMap(({ name: link }) => {
        const address = this.#gateways.get(4);
        return address === undefined ? [] : [{ link, address }];
      }),
      ...this.#wireguard(),
      forwarding: sorted(this.#forwarding, ({ link, mac }) => link + mac),
      neighbours: sorted(this.#neighbours, (one) => one.link + one.address),
      routes: sorted(
        [
          ...this.#routes,
          ...clusterCidrs.map((destination): PathRoute => ({ destination })),
        ],
        ({ destination, ofPods = false }) => `${ofPods} ${destination}`,
      ),
      rules: this.#self.podCidrs.filter((text) =>
        this.#routes.some(({ ofPods, destination }) =>
          ofPods && destination.includes(":") === text.includes(":")
        )
      ),
      peers: {
        networks: [
          ...new Set([
            ...clusterCidrs,
            ...peers.flatMap(({ podCidrs, hosts }) =>
              [...podCidrs, ...hosts].map(({ text }) => text)
            ),
          ]),
        ].sort(compareText),
        tunnelPorts: tunnels.length === 0 || this.#self.vxlan === undefined
          ? []
          : [this.#self.vxlan.port],
        tunnelled: this.#routes.flatMap(({ ofPods, destination }) =>
          ofPods ? destination.slice(0, destination.indexOf("/")) : []
        ).sort(compareText),
        tunnelSources: tunnels.length === 0
          ? []
          : peers.flatMap((peer) =>
            peer.vxlan === undefined ? [] : tunnelSources(peer.addresses)
          ).sort(compareText),
      },
      refused: sorted(refused, ({ member }) => member),
    };
  }

  #tunnels(): TunnelLink[] {
    const { vxlan, addresses } = this.#self;
    const { backend } = this.#options;
    if (
      vxlan === undefined || backend === "host-gw" || backend === "wireguard"
    ) return [];
    return ([4, 6] as const).flatMap((outer) => {
      const local = firstOf(outer, addresses);
      return local === undefined || !this.#outers.has(outer) ? [] : [{
        name: tunnelName(outer),
        ...vxlan,
        local,
        mtu: this.#mtu - overhead("vxlan", outer),
      }];
    });
  }

  #wireguard(): { readonly wireguard?: WireguardPlan } {
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
        peers: sorted(this.#wireguardPeers, ({ publicKey }) => publicKey),
      },
    };
  }
}

/** A node sends from its preferred address of either IP version. */
function tunnelSources(addresses: readonly string[]): string[] {
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

function sorted<T>(list: readonly T[], key: (one: T) => string): T[] {
  return list.map((one) => ({ one, by: key(one) }))
    .sort((a, b) => compareText(a.by, b.by)).map(({ one }) => one);
}
