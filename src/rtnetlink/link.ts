/**
 * Links (network devices): what is asked of the kernel, and what it tells.
 *
 * @module
 */
import { MacAddress } from "../net/mac.ts";
import { type Codec, converted, type Infer } from "../netlink/codec.ts";
import { NLM_F_CREATE, NLM_F_EXCL, type Request } from "../netlink/message.ts";
import {
  IFF_LOWER_UP,
  IFF_UP,
  RTEXT_FILTER_SKIP_STATS,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
  RTM_SETLINK,
} from "./constants.ts";
import type { Ipv4Devconf } from "./devconf.ts";
import {
  type LinkAttrs,
  type LinkInfo,
  linkMessage,
  linkNameMessage,
} from "./tables.ts";

/** Number of lo, in every namespace (LOOPBACK_IFINDEX in include/net/net_namespace.h). */
export const LOOPBACK_INDEX = 1;

/** The body of a link message. */
export type LinkMessage = Infer<typeof linkMessage>;

/** How the kernel makes the link-local IPv6 address of a link. */
export type AddrGenMode = "eui64" | "none" | "stablePrivacy" | "random";

/** A link as the kernel reports it. */
export interface Link {
  /** Number of the link in its namespace. */
  readonly index: number;
  /** Name, such as `eth0`. */
  readonly name: string;
  /** Driver, such as `veth`; none for `lo` and most hardware. */
  readonly kind?: string;
  /** Ethernet address, if it has one of 6 bytes. */
  readonly mac?: MacAddress;
  /** Largest packet in bytes. */
  readonly mtu: number;
  /** IFF_* flags. */
  readonly flags: number;
  /** Whether it is administratively up. */
  readonly up: boolean;
  /** Whether there is a carrier: for veth, whether the other end is up too. */
  readonly carrier: boolean;
  /** RFC 2863 state. */
  readonly operationalState: string | number;
  /** Free text that names its owner. */
  readonly alias?: string;
  /** Number of the bridge, bond or VRF that it is a port of. */
  readonly master?: number;
  /** Number of the other end or the lower device, in the namespace of that. */
  readonly peerIndex?: number;
  /** The peer's namespace as this one numbers it; none if it is the same. */
  readonly peerNamespaceId?: number;
  /** Group number, 0 unless set. */
  readonly group: number;
  /** Number of transmit and receive queues. */
  readonly queues: { readonly transmit: number; readonly receive: number };
  /** How its link-local address is made, if IPv6 is there. */
  readonly addrGenMode?: AddrGenMode | number;
  /** net.ipv4.conf.<name>. */
  readonly ipv4?: Ipv4Devconf;
  /** The driver's options. */
  readonly info?: LinkInfo;
  /** The whole message. */
  readonly raw: LinkMessage;
}

/** The reply codec of link requests. */
export const link: Codec<Link> = converted(linkMessage, toLink);

function toLink(raw: LinkMessage): Link {
  const { header, attrs } = raw;
  const flags = header.flags ?? 0;
  const kind = kindOf(attrs.linkinfo);
  const ipv4 = attrs.afSpec?.inet?.conf;
  const addrGenMode = attrs.afSpec?.inet6?.addrGenMode;
  return {
    index: header.index ?? 0,
    name: attrs.ifname ?? "",
    ...(kind === undefined ? {} : { kind }),
    ...(attrs.address?.length === 6
      ? { mac: MacAddress.fromBytes(attrs.address) }
      : {}),
    mtu: attrs.mtu ?? 0,
    flags,
    up: (flags & IFF_UP) !== 0,
    carrier: (flags & IFF_LOWER_UP) !== 0,
    operationalState: attrs.operstate ?? "unknown",
    ...(attrs.ifalias === undefined ? {} : { alias: attrs.ifalias }),
    ...(attrs.master === undefined ? {} : { master: attrs.master }),
    ...(attrs.link === undefined ? {} : { peerIndex: attrs.link }),
    ...(attrs.linkNetnsid === undefined
      ? {}
      : { peerNamespaceId: attrs.linkNetnsid }),
    group: attrs.group ?? 0,
    queues: {
      transmit: attrs.numTxQueues ?? 0,
      receive: attrs.numRxQueues ?? 0,
    },
    ...(addrGenMode === undefined ? {} : { addrGenMode }),
    ...(ipv4 === undefined ? {} : { ipv4 }),
    ...(attrs.linkinfo === undefined ? {} : { info: attrs.linkinfo }),
    raw,
  };
}

function kindOf(info: LinkInfo | undefined): string | undefined {
  if (info === undefined) return undefined;
  if ("$other" in info) return info.$other.name || undefined;
  return Object.keys(info).find((key) => key !== "$unknown");
}

/** One end of a veth pair. */
export interface VethEnd {
  /**
   * Number of the link.
   * @default the kernel's choice
   */
  readonly index?: number;
  /** Name, at most 15 bytes. */
  readonly name: string;
  /** Ethernet address. */
  readonly mac: MacAddress;
  /**
   * Largest packet in bytes.
   * @default 1500
   */
  readonly mtu?: number;
}

/** Options of {@linkcode newVeth}. */
export interface NewVethOptions extends VethEnd {
  /** The other end. The kernel gives it the chosen number only if this end has one too (veth_newlink). */
  readonly peer: VethEnd & {
    /**
     * Descriptor of the network namespace in which the peer is born. Moving it there later would wait for an RCU grace
     * period with the kernel's network lock held.
     * @default the namespace of the socket
     */
    readonly namespaceFd?: number;
  };
}

/**
 * Creates a veth pair, both ends down, with one queue each.
 *
 * The kernel's default is one queue a possible CPU, which makes creation slow and saves nothing between two namespaces.
 *
 * Refused with EEXIST if a name or the number of this end is taken, with EBUSY if the number of the peer is. An alias, the
 * addrGenMode and sysctls are for {@linkcode setLink}: the kernel ignores them in a creation (rtnl_create_link,
 * net/core/rtnetlink.c).
 *
 * @throws {TypeError} if only the peer has a number: the kernel would ignore it
 */
export function newVeth(options: NewVethOptions): Request<LinkMessage> {
  const { peer } = options;
  if (peer.index !== undefined && options.index === undefined) {
    throw new TypeError(
      `to choose the index of ${peer.name}, choose that of ${options.name} too`,
    );
  }
  return linkRequest(`create veth ${options.name}`, RTM_NEWLINK, {
    header: { index: options.index ?? 0 },
    attrs: {
      ...vethEnd(options),
      linkinfo: {
        veth: {
          peer: {
            header: { index: peer.index ?? 0 },
            attrs: {
              ...vethEnd(peer),
              ...(peer.namespaceFd === undefined
                ? {}
                : { netNsFd: peer.namespaceFd }),
            },
          },
        },
      },
    },
  }, NLM_F_CREATE | NLM_F_EXCL);
}

function vethEnd(end: VethEnd) {
  return {
    address: end.mac.bytes,
    ifname: end.name,
    ...(end.mtu === undefined ? {} : { mtu: end.mtu }),
    numTxQueues: 1,
    numRxQueues: 1,
  };
}

/** Options of {@linkcode newLink}. */
export interface NewLinkOptions {
  /** Driver and its options, such as `{ bridge: { vlanFiltering: 1 } }` or `{ dummy: {} }`. */
  readonly info: LinkInfo;
  /** Name, at most 15 bytes. */
  readonly name: string;
  /**
   * Number of the link.
   * @default the kernel's choice
   */
  readonly index?: number;
  /**
   * Ethernet address.
   * @default random
   */
  readonly mac?: MacAddress;
  /**
   * Largest packet in bytes.
   * @default the driver's choice
   */
  readonly mtu?: number;
  /** Number of the device below, for a VLAN or macvlan. */
  readonly parent?: number;
  /** Number of the bridge or VRF that it becomes a port of. */
  readonly master?: number;
  /** Group number, which rules of nf_tables can ask for; 0 unless set. */
  readonly group?: number;
  /**
   * Descriptor of the network namespace in which it is born; the device below is of the socket's.
   * @default the namespace of the socket
   */
  readonly namespaceFd?: number;
  /**
   * Whether to bring it up at once.
   * @default false
   */
  readonly up?: boolean;
}

/**
 * Creates a link of any kind, such as a bridge. Refused with EEXIST if the name or number is taken. What is not an option
 * here is for {@linkcode setLink}.
 */
export function newLink(options: NewLinkOptions): Request<LinkMessage> {
  const kind = kindOf(options.info) ?? "link";
  const { index, mac, mtu, parent, master, group, up } = options;
  return linkRequest(`create ${kind} ${options.name}`, RTM_NEWLINK, {
    header: { index: index ?? 0, ...upOrDown(up) },
    attrs: {
      ...(mac === undefined ? {} : { address: mac.bytes }),
      ifname: options.name,
      ...(mtu === undefined ? {} : { mtu }),
      ...(parent === undefined ? {} : { link: parent }),
      ...(master === undefined ? {} : { master }),
      ...(group === undefined ? {} : { group }),
      ...(options.namespaceFd === undefined
        ? {}
        : { netNsFd: options.namespaceFd }),
      linkinfo: options.info,
    },
  }, NLM_F_CREATE | NLM_F_EXCL);
}

/** A link by its number, or by its name. */
export type LinkReference =
  | { readonly index: number; readonly name?: never }
  | { readonly name: string; readonly index?: never };

/** What {@linkcode setLink} changes; what is not given stays. */
export interface LinkChanges {
  /** Administrative state. */
  readonly up?: boolean;
  /** Largest packet in bytes. */
  readonly mtu?: number;
  /** Ethernet address. */
  readonly mac?: MacAddress;
  /** Number of the bridge or VRF that it becomes a port of; 0 releases it. */
  readonly master?: number;
  /** Free text, at most 255 bytes; empty removes it. */
  readonly alias?: string;
  /** Group number, by which {@linkcode deleteLinks} finds it; 0 unless set. */
  readonly group?: number;
  /** New name, at most 15 bytes; only together with `index`. */
  readonly rename?: string;
  /** Descriptor of the network namespace to move it to; slow, see {@linkcode newVeth}. */
  readonly namespaceFd?: number;
  /** Number that it gets in the namespace it is moved to (Linux 5.12); refused with EBUSY if it is taken. */
  readonly newIndex?: number;
  /** How the link-local IPv6 address is made when the link comes up. */
  readonly addrGenMode?: AddrGenMode;
  /** net.ipv4.conf.<name>: applied without /proc. */
  readonly ipv4?: Ipv4Devconf;
}

/**
 * Changes a link.
 *
 * The kernel applies `up` before `addrGenMode` and `ipv4` (do_setlink, net/core/rtnetlink.c): to have no link-local
 * address at all, change the mode in an earlier message than the one that brings the link up.
 *
 * @throws {TypeError} if the link to rename is given by name: the kernel would look for the new one
 */
export function setLink(
  options: LinkReference & LinkChanges,
): Request<LinkMessage> {
  const { mtu, mac, master, alias, group, rename, namespaceFd } = options;
  const { addrGenMode, ipv4, newIndex } = options;
  if (rename !== undefined && options.index === undefined) {
    throw new TypeError(`to rename ${options.name}, give its index`);
  }
  const ifname = rename ?? options.name;
  const afSpec = {
    ...(ipv4 === undefined ? {} : { inet: { conf: ipv4 } }),
    ...(addrGenMode === undefined ? {} : { inet6: { addrGenMode } }),
  };
  return linkRequest(`set link ${describe(options)}`, RTM_SETLINK, {
    header: {
      index: options.index ?? 0,
      ...upOrDown(options.up),
    },
    attrs: {
      ...(ifname === undefined ? {} : { ifname }),
      ...(mac === undefined ? {} : { address: mac.bytes }),
      ...(mtu === undefined ? {} : { mtu }),
      ...(master === undefined ? {} : { master }),
      ...(alias === undefined ? {} : { ifalias: alias }),
      ...(group === undefined ? {} : { group }),
      ...(namespaceFd === undefined ? {} : { netNsFd: namespaceFd }),
      ...(newIndex === undefined ? {} : { newIfindex: newIndex }),
      ...(ipv4 === undefined && addrGenMode === undefined ? {} : { afSpec }),
    },
  });
}

/**
 * Deletes a link, and with a veth its peer. Refused with ENODEV if it is not there.
 *
 * Waits for RCU grace periods, 30 ms and more: to end a pod, let its namespace go instead.
 */
export function deleteLink(reference: LinkReference): Request<LinkMessage> {
  return linkRequest(
    `delete link ${describe(reference)}`,
    RTM_DELLINK,
    referring(reference, {}),
  );
}

/** Deletes all links of a group, in one go. Refused with ENODEV if there is none. */
export function deleteLinks(group: number): Request<LinkMessage> {
  return linkRequest(`delete links of group ${group}`, RTM_DELLINK, {
    header: {},
    attrs: { group },
  });
}

/** Asks for one link. Refused with ENODEV if it is not there. Also makes the kernel notice carrier changes at once. */
export function getLink(reference: LinkReference): Request<LinkMessage, Link> {
  return {
    ...linkRequest(
      `get link ${describe(reference)}`,
      RTM_GETLINK,
      referring(reference, { extMask: RTEXT_FILTER_SKIP_STATS }),
    ),
    reply: link,
    isAnswered: true,
  };
}

/** Options of {@linkcode dumpLinks}. */
export interface DumpLinksOptions {
  /**
   * Only links of this driver, such as `veth`. The kernel ignores a driver that is not loaded and then reports all links:
   * look at {@linkcode Link.kind}.
   */
  readonly kind?: string;
  /** Only ports of the bridge or VRF with this number. */
  readonly master?: number;
}

/** Asks for all links of the namespace. */
export function dumpLinks(
  options: DumpLinksOptions = {},
): Request<LinkMessage, Link> {
  const { kind, master } = options;
  return {
    ...linkRequest("dump links", RTM_GETLINK, {
      header: {},
      attrs: {
        ...(master === undefined ? {} : { master }),
        extMask: RTEXT_FILTER_SKIP_STATS,
        ...(kind === undefined ? {} : { linkinfo: { $other: { name: kind } } }),
      },
    }),
    reply: link,
  };
}

/** What {@linkcode dumpLinkNames} tells of a link. */
export type LinkName = Pick<Link, "index" | "name" | "alias">;

/** Asks for the names of all links: on a node with a thousand pods the rest of what the kernel says takes its time to read. */
export function dumpLinkNames(): Request<LinkMessage, LinkName> {
  return {
    ...dumpLinks(),
    reply: converted(linkNameMessage, ({ header, attrs }): LinkName => ({
      index: header.index ?? 0,
      name: attrs.ifname ?? "",
      ...(attrs.ifalias === undefined ? {} : { alias: attrs.ifalias }),
    })),
  };
}

function linkRequest(
  operation: string,
  type: number,
  value: LinkMessage,
  flags = 0,
): Request<LinkMessage> {
  return { operation, type, flags, codec: linkMessage, value };
}

function referring(reference: LinkReference, attrs: LinkAttrs): LinkMessage {
  return reference.index === undefined
    ? { header: {}, attrs: { ifname: reference.name, ...attrs } }
    : { header: { index: reference.index }, attrs };
}

function describe(reference: LinkReference): string {
  return reference.name ?? `#${reference.index}`;
}

/** Value and mask of the flag: none if it stays. */
function upOrDown(up: boolean | undefined): { flags: number; change: number } {
  return { flags: up ? IFF_UP : 0, change: up === undefined ? 0 : IFF_UP };
}
