/** One ruleset in two forms: as nft reads it, and as our data. It uses every statement there is. */
import {
  type Datatype,
  encodeKey,
  type Value,
} from "../../src/nftables/datatype.ts";
import {
  ct,
  fibType,
  icmp,
  ip,
  ip6,
  masked,
  meta,
  th,
} from "../../src/nftables/expression.ts";
import type {
  Chain,
  Element,
  NftSet,
  Table,
} from "../../src/nftables/ruleset.ts";
import {
  copy,
  differs,
  dnatToMap,
  equals,
  fibExists,
  fibMissing,
  goto,
  has,
  inSet,
  jump,
  notInSet,
  rule,
  set,
  type Statement,
  verdict,
} from "../../src/nftables/statement.ts";
import {
  masquerade,
  masqueradeToPorts,
  snatTo,
} from "../../src/nftables/source_nat.ts";

/** What a person would write; nft prints it in its own way. */
export function sampleText(name: string): string {
  return `table inet ${name} {
  comment "podnet:test"
  map hp4 {
    type inet_proto . inet_service : ipv4_addr . inet_service
    elements = {
      tcp . 8080 comment "0123456789abcdef" : 10.244.1.5 . 80,
      udp . 53 : 10.244.1.6 . 5353
    }
  }
  map hp4ip { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
  map hp6 {
    type inet_proto . inet_service : ipv6_addr . inet_service
    elements = { tcp . 8080 comment "0123456789abcdef" : fd00::5 . 80 }
  }
  map hp6ip { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }
  set hairpin4 { type ipv4_addr . ipv4_addr; elements = { 10.244.1.5 . 10.244.1.5 }; }
  set hairpin6 { type ipv6_addr . ipv6_addr; }
  set lo_ports { type inet_proto . inet_service; elements = { sctp . 7 }; }
  set ports { type inet_service; elements = { 80, 443 }; }
  set links { type ifname; elements = { "lo", "pn-0123456789ab" }; }
  set pods4 { type ipv4_addr; flags interval; elements = { 10.244.1.0/24 }; }
  set nonmasq4 {
    type ipv4_addr; flags interval
    elements = { 192.0.2.7, 10.0.0.0/9, 10.128.0.0/9 comment "upper", 198.51.100.3-198.51.100.9, 224.0.0.0/3 }
  }
  set nonmasq6 { type ipv6_addr; flags interval; elements = { fd00::/8, ff00::/8, ::1 }; }
  set ranges { type inet_proto . inet_service; flags interval; elements = { tcp . 80-90, udp . 53 }; }
  chain guard {
    type filter hook prerouting priority raw; policy accept
    iif "lo" accept
    iifname "pn-*" fib saddr . iif oif missing drop comment "spoofed source"
    meta l4proto icmp ip saddr set @th,192,32 fib saddr . iif oif exists accept
    ip daddr 127.0.0.0/8 counter drop
    ip daddr 172.16.0.0/12 drop
    ip6 daddr fe80::/10 drop
    @th,0,8 & 0xf7 != 0x0 accept
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept
    fib daddr type local goto hostports
  }
  chain output {
    type nat hook output priority -100; policy accept
    fib daddr type local goto hostports
  }
  chain hostports {
    meta nfproto ipv4 goto hostports4
    goto hostports6
  }
  chain hostports4 {
    dnat ip to ip daddr . meta l4proto . th dport map @hp4ip
    dnat ip to meta l4proto . th dport map @hp4
  }
  chain hostports6 {
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @hp6ip
    dnat ip6 to meta l4proto . th dport map @hp6
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept
    ct status dnat return
    ip saddr . ip daddr @hairpin4 snat ip to 10.244.1.1
    ip6 saddr . ip6 daddr @hairpin6 snat ip6 to fd00::1
    oifname != "lo" ip saddr 127.0.0.0/8 masquerade
    meta l4proto sctp masquerade to :32768-65535 fully-random
  }
  chain egress {
    type nat hook postrouting priority 105; policy accept
    ip saddr @pods4 ip daddr != @nonmasq4 fib daddr type != local masquerade
  }
  chain lo_out {
    type filter hook output priority -310; policy accept
    oifname != "lo" accept
    ip saddr 127.0.0.1 ip daddr 127.0.0.0/8 meta l4proto . th dport @lo_ports ip saddr set 10.244.1.1
    ip6 saddr ::1 ip6 daddr ::1 meta l4proto . th dport @lo_ports ip6 saddr set fd00::1
  }
  chain lo_in {
    type filter hook input priority 150; policy drop
    ip saddr 127.0.0.0/8 ip daddr set 127.0.0.1
    ip6 saddr ::1 ip6 daddr set ::1
    th dport 53 jump nothing
    iifname "lo" oifname != "eth*" accept
  }
  chain nothing {
  }
}
`;
}

function element(
  key: readonly Datatype[],
  values: readonly Value[],
  rest: Omit<Element, "key"> = {},
): Element {
  return { key: encodeKey(key, values), ...rest };
}

const portKey = ["inet_proto", "inet_service"] as const;
const v4Target = ["ipv4_addr", "inet_service"] as const;
const v6Target = ["ipv6_addr", "inet_service"] as const;

/** From the first to the last address. */
export function range(
  type: "ipv4_addr" | "ipv6_addr",
  first: string,
  last = first,
  comment?: string,
): Element {
  return {
    key: encodeKey([type], [first]),
    keyEnd: encodeKey([type], [last]),
    ...(comment === undefined ? {} : { comment }),
  };
}

const sets: readonly NftSet[] = [
  {
    name: "hp4",
    key: portKey,
    data: v4Target,
    elements: [
      element(portKey, ["tcp", 8080], {
        data: encodeKey(v4Target, ["10.244.1.5", 80]),
        comment: "0123456789abcdef",
      }),
      element(portKey, ["udp", 53], {
        data: encodeKey(v4Target, ["10.244.1.6", 5353]),
      }),
    ],
  },
  {
    name: "hp4ip",
    key: ["ipv4_addr", "inet_proto", "inet_service"],
    data: v4Target,
  },
  {
    name: "hp6",
    key: portKey,
    data: v6Target,
    elements: [
      element(portKey, ["tcp", 8080], {
        data: encodeKey(v6Target, ["fd00::5", 80]),
        comment: "0123456789abcdef",
      }),
    ],
  },
  {
    name: "hp6ip",
    key: ["ipv6_addr", "inet_proto", "inet_service"],
    data: v6Target,
  },
  {
    name: "hairpin4",
    key: ["ipv4_addr", "ipv4_addr"],
    elements: [
      element(["ipv4_addr", "ipv4_addr"], ["10.244.1.5", "10.244.1.5"]),
    ],
  },
  { name: "hairpin6", key: ["ipv6_addr", "ipv6_addr"] },
  { name: "lo_ports", key: portKey, elements: [element(portKey, ["sctp", 7])] },
  {
    name: "ports",
    key: ["inet_service"],
    elements: [
      element(["inet_service"], [80]),
      element(["inet_service"], [443]),
    ],
  },
  {
    name: "links",
    key: ["ifname"],
    elements: [
      element(["ifname"], ["lo"]),
      element(["ifname"], ["pn-0123456789ab"]),
    ],
  },
  {
    name: "pods4",
    key: ["ipv4_addr"],
    interval: true,
    elements: [range("ipv4_addr", "10.244.1.0", "10.244.1.255")],
  },
  {
    name: "nonmasq4",
    key: ["ipv4_addr"],
    interval: true,
    elements: [
      range("ipv4_addr", "192.0.2.7"),
      range("ipv4_addr", "10.0.0.0", "10.127.255.255"),
      range("ipv4_addr", "10.128.0.0", "10.255.255.255", "upper"),
      range("ipv4_addr", "198.51.100.3", "198.51.100.9"),
      range("ipv4_addr", "224.0.0.0", "255.255.255.255"),
    ],
  },
  {
    name: "nonmasq6",
    key: ["ipv6_addr"],
    interval: true,
    elements: [
      range("ipv6_addr", "fd00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
      range("ipv6_addr", "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
      range("ipv6_addr", "::1"),
    ],
  },
  {
    name: "ranges",
    key: portKey,
    interval: true,
    elements: [
      element(portKey, ["tcp", 80], {
        keyEnd: encodeKey(portKey, ["tcp", 90]),
      }),
      element(portKey, ["udp", 53]),
    ],
  },
];

/** Counts packets and bytes: a statement that podnet's own rules have no use for. */
export const counter: Statement = {
  text: "counter",
  expressions: [{ counter: {} }],
};

const accept = verdict("accept");
const drop = verdict("drop");

const chains: readonly Chain[] = [
  {
    name: "guard",
    hook: { type: "filter", hook: "prerouting", priority: -300 },
    rules: [
      rule([equals(meta.iif, "lo"), accept]),
      rule(
        [equals(meta.iifname, "pn-*"), fibMissing("saddr", "iif"), drop],
        { comment: "spoofed source" },
      ),
      rule([
        equals(meta.l4proto, "icmp"),
        copy(ip.saddr, icmp.innerDaddr),
        fibExists("saddr", "iif"),
        accept,
      ]),
      rule([equals(ip.daddr, "127.0.0.0/8"), counter, drop]),
      rule([equals(ip.daddr, "172.16.0.0/12"), drop]),
      rule([equals(ip6.daddr, "fe80::/10"), drop]),
      rule([differs(masked(icmp.type, 0xf7), 0), accept]),
    ],
  },
  {
    name: "prerouting",
    hook: { type: "nat", hook: "prerouting", priority: -100 },
    rules: [rule([equals(fibType("daddr"), "local"), goto("hostports")])],
  },
  {
    name: "output",
    hook: { type: "nat", hook: "output", priority: -100 },
    rules: [rule([equals(fibType("daddr"), "local"), goto("hostports")])],
  },
  {
    name: "hostports",
    rules: [
      rule([equals(meta.nfproto, "ipv4"), goto("hostports4")]),
      rule([goto("hostports6")]),
    ],
  },
  {
    name: "hostports4",
    rules: [
      rule([dnatToMap("ip", [ip.daddr, meta.l4proto, th.dport], "hp4ip")]),
      rule([dnatToMap("ip", [meta.l4proto, th.dport], "hp4")]),
    ],
  },
  {
    name: "hostports6",
    rules: [
      rule([dnatToMap("ip6", [ip6.daddr, meta.l4proto, th.dport], "hp6ip")]),
      rule([dnatToMap("ip6", [meta.l4proto, th.dport], "hp6")]),
    ],
  },
  {
    name: "postrouting",
    hook: { type: "nat", hook: "postrouting", priority: 100 },
    rules: [
      rule([has(ct.status, "dnat"), verdict("return")]),
      rule([inSet([ip.saddr, ip.daddr], "hairpin4"), snatTo("10.244.1.1")]),
      rule([inSet([ip6.saddr, ip6.daddr], "hairpin6"), snatTo("fd00::1")]),
      rule([
        differs(meta.oifname, "lo"),
        equals(ip.saddr, "127.0.0.0/8"),
        masquerade,
      ]),
      rule([
        equals(meta.l4proto, "sctp"),
        masqueradeToPorts(32768, 65535),
      ]),
    ],
  },
  {
    name: "egress",
    hook: { type: "nat", hook: "postrouting", priority: 105 },
    rules: [
      rule([
        inSet([ip.saddr], "pods4"),
        notInSet([ip.daddr], "nonmasq4"),
        differs(fibType("daddr"), "local"),
        masquerade,
      ]),
    ],
  },
  {
    name: "lo_out",
    hook: { type: "filter", hook: "output", priority: -310 },
    rules: [
      rule([differs(meta.oifname, "lo"), accept]),
      rule([
        equals(ip.saddr, "127.0.0.1"),
        equals(ip.daddr, "127.0.0.0/8"),
        inSet([meta.l4proto, th.dport], "lo_ports"),
        set(ip.saddr, "10.244.1.1"),
      ]),
      rule([
        equals(ip6.saddr, "::1"),
        equals(ip6.daddr, "::1"),
        inSet([meta.l4proto, th.dport], "lo_ports"),
        set(ip6.saddr, "fd00::1"),
      ]),
    ],
  },
  {
    name: "lo_in",
    hook: { type: "filter", hook: "input", priority: 150, policy: "drop" },
    rules: [
      rule([equals(ip.saddr, "127.0.0.0/8"), set(ip.daddr, "127.0.0.1")]),
      rule([equals(ip6.saddr, "::1"), set(ip6.daddr, "::1")]),
      rule([equals(th.dport, 53), jump("nothing")]),
      rule([equals(meta.iifname, "lo"), differs(meta.oifname, "eth*"), accept]),
    ],
  },
  { name: "nothing", rules: [] },
];

/** The same as {@linkcode sampleText}. */
export function sampleTable(name: string): Table {
  return { family: "inet", name, comment: "podnet:test", sets, chains };
}
