/**
 * What the nodes of a cluster know of each other: pure values, whatever they are kept in.
 *
 * @module
 */

/** How packets of another node's pods can be reached through a VXLAN tunnel (RFC 7348). */
export interface VxlanEndpoint {
  /** VXLAN network identifier, 1–16777215. */
  readonly vni: number;
  /** UDP port. */
  readonly port: number;
  /** MAC address of the node's end of the tunnel. */
  readonly mac: string;
}

/** How packets of another node's pods can be reached through WireGuard. */
export interface WireguardEndpoint {
  /** Curve25519 public key, base64. */
  readonly publicKey: string;
  /** UDP port. */
  readonly port: number;
}

/** A node of a cluster, as it tells the others of itself. */
export interface ClusterMember {
  /** Unique in the cluster. */
  readonly name: string;
  /** The networks that its pods have their addresses from: one of an IP version at most, canonical. */
  readonly podCidrs: readonly string[];
  /** Its own addresses, by which other nodes reach it: the preferred one of each IP version first, canonical. */
  readonly addresses: readonly string[];
  /** Missing when it takes no such packets. */
  readonly vxlan?: VxlanEndpoint;
  /** Missing when it takes no such packets. */
  readonly wireguard?: WireguardEndpoint;
}
