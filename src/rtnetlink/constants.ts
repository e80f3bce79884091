/**
 * Numbers of linux/rtnetlink.h, linux/if.h, linux/if_addr.h and linux/neighbour.h, under their names there.
 *
 * @module
 */

/** Message types. */
export const RTM_NEWLINK = 16;
/** Delete a link. */
export const RTM_DELLINK = 17;
/** Ask for links. */
export const RTM_GETLINK = 18;
/** Change a link. */
export const RTM_SETLINK = 19;
/** Create or change an address. */
export const RTM_NEWADDR = 20;
/** Delete an address. */
export const RTM_DELADDR = 21;
/** Ask for addresses. */
export const RTM_GETADDR = 22;
/** Create or change a route. */
export const RTM_NEWROUTE = 24;
/** Delete a route. */
export const RTM_DELROUTE = 25;
/** Ask for routes. */
export const RTM_GETROUTE = 26;
/** Create or change a neighbour. */
export const RTM_NEWNEIGH = 28;
/** Delete a neighbour. */
export const RTM_DELNEIGH = 29;
/** Ask for neighbours. */
export const RTM_GETNEIGH = 30;
/** Create a rule that chooses a routing table. */
export const RTM_NEWRULE = 32;
/** Delete such a rule. */
export const RTM_DELRULE = 33;
/** Ask for the rules that choose a routing table. */
export const RTM_GETRULE = 34;
/** Create a queueing discipline. */
export const RTM_NEWQDISC = 36;
/** Delete a queueing discipline. */
export const RTM_DELQDISC = 37;
/** Ask for queueing disciplines. */
export const RTM_GETQDISC = 38;
/** Create a filter of packets. */
export const RTM_NEWTFILTER = 44;
/** Delete a filter of packets. */
export const RTM_DELTFILTER = 45;
/** Ask for filters of packets. */
export const RTM_GETTFILTER = 46;

/** Sysctls of a link have changed. */
export const RTM_NEWNETCONF = 80;

/** Multicast groups. */
export const RTNLGRP_LINK = 1;
/** Neighbours. */
export const RTNLGRP_NEIGH = 3;
/** Queueing disciplines and filters. */
export const RTNLGRP_TC = 4;
/** IPv4 addresses. */
export const RTNLGRP_IPV4_IFADDR = 5;
/** IPv4 routes. */
export const RTNLGRP_IPV4_ROUTE = 7;
/** Rules that choose a routing table for IPv4. */
export const RTNLGRP_IPV4_RULE = 8;
/** IPv6 addresses. */
export const RTNLGRP_IPV6_IFADDR = 9;
/** IPv6 routes. */
export const RTNLGRP_IPV6_ROUTE = 11;
/** Rules that choose a routing table for IPv6. */
export const RTNLGRP_IPV6_RULE = 19;
/** Sysctls of links for IPv4. */
export const RTNLGRP_IPV4_NETCONF = 24;
/** Sysctls of links for IPv6. */
export const RTNLGRP_IPV6_NETCONF = 25;

/** Flags of a link: administratively up. */
export const IFF_UP = 0x1;
/** The link below has a carrier. */
export const IFF_LOWER_UP = 0x10000;

/** Leave the IPv6 statistics of a link out. */
export const RTEXT_FILTER_SKIP_STATS = 8;

/** Flags of an address: of IPv6, one that changes now and then, for privacy. */
export const IFA_F_TEMPORARY = 0x01;
/** No duplicate address detection. */
export const IFA_F_NODAD = 0x02;
/** Duplicate address detection found another owner. */
export const IFA_F_DADFAILED = 0x08;
/** Not to be used for what is new. */
export const IFA_F_DEPRECATED = 0x20;
/** Not usable yet. */
export const IFA_F_TENTATIVE = 0x40;
/** Without a lifetime. */
export const IFA_F_PERMANENT = 0x80;
/** No route to the network of the address. */
export const IFA_F_NOPREFIXROUTE = 0x200;
/** Of addresses that the kernel makes temporary ones from. */
export const IFA_F_MANAGETEMPADDR = 0x100;
/** Whether multicast groups are joined by it. */
export const IFA_F_MCAUTOJOIN = 0x400;

/** Scope of an address or a route: everywhere. */
export const RT_SCOPE_UNIVERSE = 0;
/** On the link. */
export const RT_SCOPE_LINK = 253;
/** In this host. */
export const RT_SCOPE_HOST = 254;
/** In deletions: any scope. */
export const RT_SCOPE_NOWHERE = 255;

/** Routing tables. */
export const RT_TABLE_UNSPEC = 0;
/** In headers: the number is in an attribute. */
export const RT_TABLE_COMPAT = 252;
/** The table that all routes are in unless said otherwise. */
export const RT_TABLE_MAIN = 254;
/** The kernel's table of its own addresses. */
export const RT_TABLE_LOCAL = 255;

/** Who installed a route: nobody in particular; in dumps and deletions any. */
export const RTPROT_UNSPEC = 0;
/** The kernel. */
export const RTPROT_KERNEL = 2;

/** Kinds of routes: send to a gateway or device. */
export const RTN_UNICAST = 1;
/** Deliver here. */
export const RTN_LOCAL = 2;
/** Drop in silence. */
export const RTN_BLACKHOLE = 6;
/** Drop and tell the sender. */
export const RTN_UNREACHABLE = 7;
/** Drop and tell the sender that it is forbidden. */
export const RTN_PROHIBIT = 8;

/** Flags of a question for a route: answer with the entry of the table that matches. */
export const RTM_F_FIB_MATCH = 0x2000;
/** Flags of a route: believe that the gateway is on the link. */
export const RTNH_F_ONLINK = 4;
/** The carrier of the route's link is down. */
export const RTNH_F_LINKDOWN = 16;

/** States of a neighbour: needs no link-layer address. */
export const NUD_NOARP = 0x40;
/** Set by hand; never expires. */
export const NUD_PERMANENT = 0x80;

/** Flags of a neighbour: of the link itself, not of the bridge that it is a port of. */
export const NTF_SELF = 2;
/** Of the bridge that the link is a port of. */
export const NTF_MASTER = 4;
/** Of a forwarding entry: it stays on its port (Linux 5.0). */
export const NTF_STICKY = 0x40;
