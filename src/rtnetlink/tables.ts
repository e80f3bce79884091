/**
 * Attribute tables of rtnetlink (host byte order): linux/if_link.h, linux/if_addr.h, linux/rtnetlink.h,
 * linux/neighbour.h and linux/veth.h.
 *
 * @module
 */
import { type Attrs, attrs, type AttrsOf } from "../netlink/attrs.ts";
import { body, struct, type StructCodec } from "../netlink/struct.ts";
import { variant, type VariantOf } from "../netlink/variant.ts";
import {
  be16,
  bytes,
  choice,
  type Codec,
  cstring,
  i32,
  type Infer,
  u16,
  u32,
  u8,
} from "../netlink/codec.ts";
import { ipv4Devconf } from "./devconf.ts";

type Message<H, A> = Codec<{ header: Infer<H>; attrs: Infer<A> }>;

/** IFNAMSIZ, including the terminator. */
const ifname = cstring(16);
/** IFALIASZ, including the terminator. */
const alias = cstring(256);

const ifinfomsgFields = {
  family: u8,
  pad: u8,
  type: u16,
  index: i32,
  flags: u32,
  change: u32,
};
/** `struct ifinfomsg`. */
export const ifinfomsg: StructCodec<typeof ifinfomsgFields> = struct(
  "ifinfomsg",
  ifinfomsgFields,
);

const ifaddrmsgFields = {
  family: u8,
  prefixlen: u8,
  flags: u8,
  scope: u8,
  index: u32,
};
/** `struct ifaddrmsg`. */
export const ifaddrmsg: StructCodec<typeof ifaddrmsgFields> = struct(
  "ifaddrmsg",
  ifaddrmsgFields,
);

const rtmsgFields = {
  family: u8,
  dstLen: u8,
  srcLen: u8,
  tos: u8,
  table: u8,
  protocol: u8,
  scope: u8,
  type: u8,
  flags: u32,
};
/** `struct rtmsg`. */
export const rtmsg: StructCodec<typeof rtmsgFields> = struct(
  "rtmsg",
  rtmsgFields,
);

const ndmsgFields = {
  family: u8,
  pad1: u8,
  pad2: u16,
  ifindex: i32,
  state: u16,
  flags: u8,
  type: u8,
};
/** `struct ndmsg`. */
export const ndmsg: StructCodec<typeof ndmsgFields> = struct(
  "ndmsg",
  ndmsgFields,
);

const inetRows = {
  conf: [1, ipv4Devconf],
} as const;
/** IFLA_AF_SPEC, IPv4: the sysctls of net.ipv4.conf.<device>. */
export const inetAttrs: Attrs<typeof inetRows> = attrs("IFLA_INET_", inetRows);

const inet6Rows = {
  flags: [1, u32],
  conf: [2, bytes, "array of the sysctls of net.ipv6.conf.<device>"],
  addrGenMode: [
    8,
    choice(u8, { eui64: 0, none: 1, stablePrivacy: 2, random: 3 }),
    "how the kernel makes the link-local address",
  ],
} as const;
/** IFLA_AF_SPEC, IPv6. */
export const inet6Attrs: Attrs<typeof inet6Rows> = attrs(
  "IFLA_INET6_",
  inet6Rows,
);

const afSpecRows = {
  inet: [2, inetAttrs],
  inet6: [10, inet6Attrs],
} as const;
/** IFLA_AF_SPEC: the attribute number is the address family. */
export const afSpecAttrs: Attrs<typeof afSpecRows> = attrs("AF_", afSpecRows);

const linkRows = {
  address: [1, bytes, "MAC address"],
  broadcast: [2, bytes],
  ifname: [3, ifname],
  mtu: [4, u32],
  link: [5, i32, "ifindex of the lower or peer device"],
  qdisc: [6, cstring()],
  master: [10, u32, "ifindex of the bridge, bond or VRF"],
  txqlen: [13, u32],
  operstate: [
    16,
    choice(u8, {
      unknown: 0,
      notPresent: 1,
      down: 2,
      lowerLayerDown: 3,
      testing: 4,
      dormant: 5,
      up: 6,
    }),
    "RFC 2863",
  ],
  linkmode: [17, u8],
  netNsPid: [19, u32],
  ifalias: [20, alias],
  afSpec: [26, afSpecAttrs],
  group: [27, u32],
  netNsFd: [28, u32, "namespace the link is born in or moved to"],
  extMask: [29, u32, "RTEXT_FILTER_*"],
  promiscuity: [30, u32],
  numTxQueues: [31, u32],
  numRxQueues: [32, u32],
  carrier: [33, u8],
  linkNetnsid: [37, i32, "namespace of `link`, as this one numbers it"],
  gsoMaxSize: [41, u32],
  targetNetnsid: [46, i32],
  newIfindex: [49, i32],
  minMtu: [50, u32],
  maxMtu: [51, u32],
  altIfname: [53, cstring(128)],
  groMaxSize: [58, u32],
} as const;

/** What the kernel reads of a veth peer: a link without a kind. */
export const peerAttrs: Attrs<typeof linkRows> = attrs("IFLA_", linkRows);
/** `struct ifinfomsg` and attributes of a veth peer. */
export const peerMessage: Message<typeof ifinfomsg, typeof peerAttrs> = body(
  ifinfomsg,
  peerAttrs,
);

const vethRows = { peer: [1, peerMessage] } as const;
/** Driver options of a veth pair. */
export const vethAttrs: Attrs<typeof vethRows> = attrs("VETH_INFO_", vethRows);

const bridgeRows = {
  forwardDelay: [1, u32, "hundredths of a second"],
  helloTime: [2, u32, "hundredths of a second"],
  maxAge: [3, u32, "hundredths of a second"],
  ageingTime: [4, u32, "hundredths of a second"],
  stpState: [5, u32],
  priority: [6, u16],
  vlanFiltering: [7, u8],
  groupFwdMask: [9, u16],
  mcastSnooping: [23, u8],
  nfCallIptables: [36, u8],
  nfCallIp6tables: [37, u8],
  nfCallArptables: [38, u8],
  vlanDefaultPvid: [39, u16],
} as const;
/** Driver options of a bridge. */
export const bridgeAttrs: Attrs<typeof bridgeRows> = attrs(
  "IFLA_BR_",
  bridgeRows,
);

const vlanRows = {
  id: [1, u16],
  protocol: [5, be16, "EtherType"],
} as const;
/** Driver options of a VLAN device. */
export const vlanAttrs: Attrs<typeof vlanRows> = attrs("IFLA_VLAN_", vlanRows);

const macvlanRows = {
  mode: [
    1,
    choice(u32, { private: 1, vepa: 2, bridge: 4, passthru: 8, source: 16 }),
  ],
} as const;
/** Driver options of a macvlan device. */
export const macvlanAttrs: Attrs<typeof macvlanRows> = attrs(
  "IFLA_MACVLAN_",
  macvlanRows,
);

const vxlanRows = {
  id: [1, u32, "VXLAN network identifier"],
  group: [2, bytes, "IPv4 group or remote"],
  link: [3, u32, "ifindex of the underlay"],
  local: [4, bytes, "IPv4 source"],
  ttl: [5, u8],
  learning: [7, u8],
  port: [15, be16, "UDP destination port"],
  group6: [16, bytes, "IPv6 group or remote"],
  local6: [17, bytes, "IPv6 source"],
  df: [
    29,
    choice(u8, { unset: 0, set: 1, inherit: 2 }),
    "whether what is sent may be cut in pieces: inherit does as the packet inside says",
  ],
} as const;
/** Driver options of a VXLAN device. */
export const vxlanAttrs: Attrs<typeof vxlanRows> = attrs(
  "IFLA_VXLAN_",
  vxlanRows,
);

const dummyRows = {} as const;
/** A dummy device has no options. */
export const dummyAttrs: Attrs<typeof dummyRows> = attrs(
  "IFLA_DUMMY_",
  dummyRows,
);

const linkFormats = {
  veth: vethAttrs,
  bridge: bridgeAttrs,
  vlan: vlanAttrs,
  macvlan: macvlanAttrs,
  vxlan: vxlanAttrs,
  dummy: dummyAttrs,
} as const;
/** IFLA_LINKINFO: the driver and its options. */
export const linkinfo: Codec<VariantOf<typeof linkFormats>> = variant(
  1,
  2,
  linkFormats,
);

/** A link's driver and its options, such as `{ bridge: { vlanFiltering: 1 } }`. */
export type LinkInfo = VariantOf<typeof linkFormats>;

const allLinkRows = {
  ...linkRows,
  linkinfo: [18, linkinfo, "driver and driver options"],
} as const;
/** Attributes of a link. */
export const linkAttrs: Attrs<typeof allLinkRows> = attrs("IFLA_", allLinkRows);
/** Attributes of a link. */
export type LinkAttrs = AttrsOf<typeof allLinkRows>;
/** RTM_NEWLINK and its sisters. */
export const linkMessage: Message<typeof ifinfomsg, typeof linkAttrs> = body(
  ifinfomsg,
  linkAttrs,
);

const linkNameRows = {
  ifname: linkRows.ifname,
  ifalias: linkRows.ifalias,
} as const;
const linkNameAttrs: Attrs<typeof linkNameRows> = attrs("IFLA_", linkNameRows);
/** RTM_NEWLINK as far as it names the link. */
export const linkNameMessage: Message<typeof ifinfomsg, typeof linkNameAttrs> =
  body(ifinfomsg, linkNameAttrs);

const addressLifetimeFields = {
  preferred: u32,
  valid: u32,
  created: u32,
  updated: u32,
};
/** `struct ifa_cacheinfo`: for how many seconds from now an address is good, and when it came and changed. */
export const addressLifetime: StructCodec<typeof addressLifetimeFields> =
  struct("ifa_cacheinfo", addressLifetimeFields);

const addressRows = {
  address: [1, bytes, "the other end, or the address itself"],
  local: [2, bytes, "the address, unless it is an IPv6 address without a peer"],
  label: [3, ifname],
  broadcast: [4, bytes],
  cacheinfo: [6, addressLifetime],
  flags: [8, u32],
  rtPriority: [9, u32],
  proto: [11, u8],
} as const;
/** Attributes of an address. */
export const addressAttrs: Attrs<typeof addressRows> = attrs(
  "IFA_",
  addressRows,
);
/** Attributes of an address. */
export type AddressAttrs = AttrsOf<typeof addressRows>;
/** RTM_NEWADDR and its sisters. */
export const addressMessage: Message<typeof ifaddrmsg, typeof addressAttrs> =
  body(ifaddrmsg, addressAttrs);

const metricRows = {
  lock: [1, u32],
  mtu: [2, u32],
  advmss: [8, u32],
} as const;
/** RTA_METRICS. */
export const metricAttrs: Attrs<typeof metricRows> = attrs("RTAX_", metricRows);

const routeRows = {
  dst: [1, bytes],
  src: [2, bytes],
  iif: [3, u32],
  oif: [4, u32],
  gateway: [5, bytes],
  priority: [6, u32],
  prefsrc: [7, bytes],
  metrics: [8, metricAttrs],
  multipath: [9, bytes, "array of struct rtnexthop"],
  cacheinfo: [12, bytes],
  table: [15, u32],
  mark: [16, u32],
  pref: [20, u8],
  uid: [25, u32],
} as const;
/** Attributes of a route. */
export const routeAttrs: Attrs<typeof routeRows> = attrs("RTA_", routeRows);
/** Attributes of a route. */
export type RouteAttrs = AttrsOf<typeof routeRows>;
/** RTM_NEWROUTE and its sisters. */
export const routeMessage: Message<typeof rtmsg, typeof routeAttrs> = body(
  rtmsg,
  routeAttrs,
);

const neighbourRows = {
  dst: [1, bytes],
  lladdr: [2, bytes],
  cacheinfo: [3, bytes],
  probes: [4, u32],
  vlan: [5, u16],
  port: [6, be16],
  vni: [7, u32],
  ifindex: [8, u32],
  master: [9, u32],
  protocol: [12, u8],
} as const;
/** Attributes of a neighbour. */
export const neighbourAttrs: Attrs<typeof neighbourRows> = attrs(
  "NDA_",
  neighbourRows,
);
/** Attributes of a neighbour. */
export type NeighbourAttrs = AttrsOf<typeof neighbourRows>;
/** RTM_NEWNEIGH and its sisters. */
export const neighbourMessage: Message<typeof ndmsg, typeof neighbourAttrs> =
  body(ndmsg, neighbourAttrs);
