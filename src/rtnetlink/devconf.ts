/**
 * The network sysctls of one device, as rtnetlink carries them.
 *
 * The kernel takes them as nested attributes, numbered from 1 (inet_set_link_af, net/ipv4/devinet.c), and gives them as an
 * array of 32-bit integers whose element 0 is number 1 (inet_fill_link_af). It has nothing of the kind for setting those of
 * IPv6, which only /proc can.
 *
 * @module
 */
import { type Attrs, attrs, type AttrsOf } from "../netlink/attrs.ts";
import { type Codec, i32 } from "../netlink/codec.ts";
import { HOST_LITTLE_ENDIAN } from "../netlink/bytes.ts";

const ipv4DevconfRows = {
  forwarding: [1, i32],
  proxyArp: [3, i32],
  acceptRedirects: [4, i32],
  secureRedirects: [5, i32],
  sendRedirects: [6, i32],
  sharedMedia: [7, i32],
  rpFilter: [8, i32, "0 off, 1 strict, 2 loose"],
  acceptSourceRoute: [9, i32],
  logMartians: [11, i32],
  arpfilter: [13, i32],
  arpAnnounce: [18, i32],
  arpIgnore: [19, i32],
  promoteSecondaries: [20, i32],
  arpAccept: [21, i32],
  arpNotify: [22, i32],
  acceptLocal: [23, i32],
  routeLocalnet: [26, i32],
  ignoreRoutesWithLinkdown: [29, i32],
  dropUnicastInL2Multicast: [30, i32],
  dropGratuitousArp: [31, i32],
  arpEvictNocarrier: [33, i32],
} as const;
/** net.ipv4.conf.<device> (enum IPV4_DEVCONF_*, linux/ip.h). */
export const ipv4DevconfAttrs: Attrs<typeof ipv4DevconfRows> = attrs(
  "IPV4_DEVCONF_",
  ipv4DevconfRows,
);

/** Values of net.ipv4.conf.<device> by name. */
export type Ipv4Devconf = AttrsOf<typeof ipv4DevconfRows>;

/** IFLA_INET_CONF: attributes in a request, an array in a reply. */
export const ipv4Devconf: Codec<Ipv4Devconf> = {
  type: "ipv4_devconf",
  nested: true,
  write: ipv4DevconfAttrs.write,
  read(from, start, end) {
    // The first element is the boolean `forwarding`; an attribute header has its number in the upper half.
    const nested = end - start >= 8 &&
      from.view.getUint16(start + 2, HOST_LITTLE_ENDIAN) !== 0;
    if (nested) return ipv4DevconfAttrs.read(from, start, end);
    const conf: Record<string, number> = {};
    for (const [name, id] of ipv4Numbers) {
      const at = start + 4 * (id - 1);
      if (at + 4 <= end) {
        conf[name] = from.view.getInt32(at, HOST_LITTLE_ENDIAN);
      }
    }
    return conf;
  },
  nameOf: (id) => ipv4DevconfAttrs.nameOf?.(id),
};

const ipv4Numbers = Object.entries(ipv4DevconfAttrs.rows).map(
  ([name, [id]]) => [name, id] as const,
);
