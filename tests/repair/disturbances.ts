/**
 * What somebody can undo on a node with `ip`, `nft` and `sysctl`, and what is told of it.
 *
 * @module
 */

/** Shell commands that damage something; names in capitals stand for the pod's own, see `fill()`. */
export interface Disturbance {
  readonly title: string;
  /** On the node. */
  readonly node?: string;
  /** In the pod. */
  readonly pod?: string;
  /** What is found: object and problem of a finding, at least one of each pattern. */
  readonly found: readonly RegExp[];
  /**
   * Packets meanwhile reach whom they should not, as when nothing translates them: nothing is sent then.
   * @default false
   */
  readonly misleads?: boolean;
  /**
   * The kernel tells nobody: it is found by looking.
   * @default false
   */
  readonly silent?: boolean;
  /** Also tells of other sandboxes. */
  readonly common?: boolean;
}

const TABLE = /^nf_tables table inet podnet /;
const ELEMENT = /^element .* of set \S+ is missing$/;
const ROUTE4 = /^route to 10\.\S+\/32 /;
const ROUTE6 = /^route to fd00:\S+\/128 /;

/** A firewall manager that starts again: it takes everything away and puts its own there. */
const RELOAD = `nft -f - <<'EOF'
flush ruleset
table inet firewalld {
  chain filter_FORWARD {
    type filter hook forward priority filter + 10; policy accept;
    ct state established,related accept
  }
}
EOF`;

export const ON_TABLE: readonly Disturbance[] = [
  {
    title: "nft flush ruleset",
    node: "nft flush ruleset",
    found: [TABLE, ELEMENT],
    misleads: true,
    common: true,
  },
  {
    title: "a firewall manager that reloads",
    node: RELOAD,
    found: [TABLE, ELEMENT],
    misleads: true,
    common: true,
  },
  {
    title: "the table deleted",
    node: "nft delete table inet podnet",
    found: [TABLE, ELEMENT],
    misleads: true,
    common: true,
  },
  {
    title: "the table made dormant",
    node: "nft add table inet podnet '{ flags dormant; }'",
    found: [/^nf_tables table inet podnet table podnet is dormant/],
    misleads: true,
  },
  {
    title: "every chain flushed",
    node: "nft flush table inet podnet",
    found: [TABLE],
    misleads: true,
  },
  {
    title: "a chain flushed",
    node: "nft flush chain inet podnet hostports",
    found: [TABLE],
  },
  {
    title: "a chain deleted",
    node:
      "nft flush chain inet podnet guard; nft delete chain inet podnet guard",
    found: [TABLE],
  },
  {
    title: "a rule deleted",
    node:
      "nft delete rule inet podnet postrouting handle $(nft -a list chain inet podnet postrouting | sed -n 's/.*snat.*handle //p' | head -n 1)",
    found: [TABLE],
  },
  {
    title: "a rule added",
    node: "nft insert rule inet podnet hostports tcp dport 8080 accept",
    found: [TABLE],
  },
  {
    title: "a chain added",
    node: "nft add chain inet podnet theirs",
    found: [/chain theirs is not ours$/],
  },
  {
    title: "a set that cannot hold its elements",
    node:
      "nft flush table inet podnet; nft delete map inet podnet hostports4_ip; nft add set inet podnet hostports4_ip '{ type ipv4_addr; }'",
    found: [/set hostports4_ip differs$/, ELEMENT],
    misleads: true,
  },
  {
    title: "a network deleted from its set, another added",
    node:
      "nft flush set inet podnet pods4; nft add element inet podnet pods4 '{ 192.0.2.0/24 }'",
    found: [
      /set pods4 lacks 10\.244\.1\.0$/,
      /set pods4 has 192\.0\.2\.0, which is not the node's$/,
    ],
  },
  {
    title: "a host port's element deleted",
    node: "nft delete element inet podnet hostports4 '{ tcp . 8080 }'",
    found: [/^element tcp \. 8080 of set hostports4 is missing$/],
  },
  {
    title: "all elements of a set deleted",
    node: "nft flush set inet podnet hairpin6",
    found: [/^element .* of set hairpin6 is missing$/],
    common: true,
  },
  {
    title: "a host port's element that leads elsewhere",
    node: `nft -f - <<'EOF'
delete element inet podnet hostports4 { tcp . 8080 }
add element inet podnet hostports4 { tcp . 8080 comment "ID" : OTHER4 . 99 }
EOF`,
    found: [/^element tcp \. 8080 of set hostports4 leads elsewhere$/],
  },
  {
    title: "a host port's element of somebody else",
    node: `nft -f - <<'EOF'
delete element inet podnet hostports6 { udp . 5300 }
add element inet podnet hostports6 { udp . 5300 comment "theirs" : OTHER6 . 99 }
EOF`,
    found: [/^element udp \. 5300 of set hostports6 belongs to theirs$/],
  },
  {
    title: "an element of a foreign comment added",
    node:
      `nft add element inet podnet hostports4 '{ tcp . 9999 comment "../../etc" : OTHER4 . 80 }'`,
    found: [
      /^element tcp \. 9999 of set hostports4 belongs to no sandbox \(\.\.\/\.\.\/etc\)$/,
    ],
  },
  {
    title: "an element without a comment added",
    node: `nft add element inet podnet loopback4 '{ tcp . 9998 }'`,
    found: [
      /^element tcp \. 9998 of set loopback4 belongs to no sandbox \(no comment\)$/,
    ],
  },
  {
    title: "an element added in the pod's name",
    node:
      `nft add element inet podnet hostports4 '{ tcp . 9997 comment "ID" : POD4 . 22 }'`,
    found: [
      /^element tcp \. 9997 of set hostports4 is none that it should have$/,
    ],
    silent: true,
  },
];

export const ON_NODE: readonly Disturbance[] = [
  {
    title: "the gateway address removed",
    node:
      "ip addr del 10.244.1.1/32 dev lo; ip addr del fd00:10:244:1::1/128 dev lo",
    found: [/^address 10\.244\.1\.1\/32 of lo is missing$/, ROUTE4],
    common: true,
    misleads: true,
  },
  {
    title: "lo down",
    node: "ip link set lo down",
    found: [/^link lo is down$/],
    common: true,
    misleads: true,
  },
  {
    title: "forwarding off",
    node:
      "sysctl -qw net.ipv4.ip_forward=0; sysctl -qw net.ipv6.conf.all.forwarding=0",
    found: [
      /^sysctl net\.ipv4\.ip_forward is off$/,
      /^sysctl net\.ipv6\.conf\.all\.forwarding is off$/,
    ],
    common: true,
  },
  {
    title: "the routes of last resort removed",
    node:
      "ip route flush type unreachable proto 112; ip -6 route flush type unreachable proto 112",
    found: [/^route unreachable 10\.244\.1\.0\/24 is missing$/],
  },
  {
    title: "an uplink that ceases to believe its router",
    node:
      "ip -6 route replace 2001:db8:9::/64 dev eth0 proto ra; sysctl -qw net.ipv6.conf.eth0.accept_ra=1",
    found: [/^sysctl net\.ipv6\.conf\.eth0\.accept_ra makes the link lose/],
    silent: true,
  },
];

export const ON_LINK: readonly Disturbance[] = [
  {
    title: "the link down",
    node: "ip link set LINK down",
    found: [/^link pn-\w+ is down$/, ROUTE4, ROUTE6],
  },
  {
    title: "the link renamed",
    node:
      "ip link set LINK down; ip link set LINK name theirs0; ip link set theirs0 up",
    found: [/^link pn-\w+ is named theirs0$/],
  },
  {
    title: "the link's alias changed",
    node: "ip link set LINK alias theirs",
    found: [/^link pn-\w+ has alias "theirs"$/],
  },
  {
    title: "the link's MTU and MAC changed",
    node:
      "ip link set LINK mtu 1400; ip link set LINK address 02:00:00:00:00:77",
    found: [
      /^link pn-\w+ has MTU 1400, not 1500$/,
      /^link pn-\w+ has MAC 02:00:00:00:00:77, not ee:/,
    ],
  },
  {
    title: "the link put on a bridge",
    node:
      "ip link add br9 type bridge 2>/dev/null || true; ip link set LINK master br9",
    found: [/^link pn-\w+ is a port of link #\d+$/],
  },
  {
    title: "the routes to the pod removed",
    node: "ip route del POD4/32; ip -6 route del POD6/128",
    found: [/^route to 10\.\S+ is missing$/, /^route to fd00:\S+ is missing$/],
  },
  {
    title: "the routes to the pod replaced",
    node:
      "ip route replace unreachable POD4/32; ip -6 route replace unreachable POD6/128 metric 1024",
    found: [ROUTE4],
  },
  {
    title: "the routes' source changed",
    node:
      "ip route replace POD4/32 dev LINK proto 112; ip -6 route replace POD6/128 dev LINK proto 112",
    found: [/^route to 10\.\S+ has source none, not 10\.244\.1\.1$/],
    silent: true,
  },
  {
    title: "the node's neighbours removed",
    node: "ip neigh del POD4 dev LINK; ip neigh del POD6 dev LINK",
    found: [
      /^neighbour 10\.\S+ on pn-\w+ is missing$/,
      /^neighbour fd00:\S+ on pn-\w+ is missing$/,
    ],
  },
  {
    title: "the node's neighbours replaced",
    node:
      "ip neigh replace POD4 lladdr 02:00:00:00:00:78 dev LINK; ip neigh replace POD6 lladdr 02:00:00:00:00:78 nud reachable dev LINK",
    found: [
      /^neighbour 10\.\S+ on pn-\w+ is 02:00:00:00:00:78, not /,
      /^neighbour fd00:\S+ on pn-\w+ is 02:00:00:00:00:78, not /,
    ],
  },
  {
    title: "the link's reverse path filter off",
    node: "sysctl -qw net.ipv4.conf.LINK.rp_filter=0",
    found: [/^sysctl net\.ipv4\.conf\.pn-\w+\.rp_filter is 0, not 1$/],
  },
  {
    title: "the link's forwarding off",
    node: "sysctl -qw net.ipv4.conf.LINK.forwarding=0",
    found: [/^sysctl net\.ipv4\.conf\.pn-\w+\.forwarding is 0, not 1$/],
  },
  {
    title: "the link believes router advertisements",
    node:
      "sysctl -qw net.ipv6.conf.LINK.accept_ra=2; sysctl -qw net.ipv4.conf.LINK.accept_redirects=1",
    found: [
      /^sysctl net\.ipv6\.conf\.pn-\w+\.accept_ra is "2" instead of "0"$/,
      /^sysctl net\.ipv4\.conf\.pn-\w+\.accept_redirects is 1, not 0$/,
    ],
    silent: true,
  },
  {
    title: "the link forwards no IPv6, and listens to routers",
    node:
      "sysctl -qw net.ipv6.conf.LINK.forwarding=0; sysctl -qw net.ipv6.conf.LINK.accept_ra=1; sysctl -qw net.ipv6.conf.LINK.accept_redirects=1",
    found: [
      /^sysctl net\.ipv6\.conf\.pn-\w+\.accept_ra is "1" instead of "0"$/,
      /^sysctl net\.ipv6\.conf\.pn-\w+\.accept_redirects is "1" instead of "0"$/,
    ],
    silent: true,
  },
];

export const ON_POD: readonly Disturbance[] = [
  {
    title: "the pod's links down",
    pod: "ip link set eth0 down; ip link set lo down",
    found: [/^pod's link eth0 is down$/, /^pod's link lo is down$/],
  },
  {
    title: "the pod's link renamed",
    pod:
      "ip link set eth0 down; ip link set eth0 name eth7; ip link set eth7 up",
    found: [/^pod's link eth0 is named eth7$/],
  },
  {
    title: "the pod's MTU and MAC changed",
    pod:
      "ip link set eth0 mtu 1400; ip link set eth0 address 02:00:00:00:00:79",
    found: [
      /^pod's link eth0 has MTU 1400, not 1500$/,
      /^pod's link eth0 has MAC 02:00:00:00:00:79, not /,
    ],
  },
  {
    title: "the pod's addresses removed",
    pod: "ip addr del POD4/32 dev eth0; ip addr del POD6/128 dev eth0",
    found: [
      /^pod's address 10\.\S+ is missing$/,
      /^pod's address fd00:\S+ is missing$/,
    ],
  },
  {
    title: "the pod's address given a lifetime",
    pod:
      "ip -6 addr change POD6/128 dev eth0 valid_lft 9000 preferred_lft 9000",
    found: [/^pod's address fd00:\S+ is there for a while only$/],
    silent: true,
  },
  {
    title: "the pod's IPv6 switched off",
    pod: "echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6",
    found: [/^pod's address fd00:\S+ is missing$/],
  },
  {
    title: "the pod's default routes removed",
    pod: "ip route del default; ip -6 route del default",
    found: [
      /^pod's default route via 10\.244\.1\.1 is missing$/,
      /^pod's default route via fd00:10:244:1::1 is missing$/,
    ],
  },
  {
    title: "the pod's neighbours removed",
    pod:
      "ip neigh del 10.244.1.1 dev eth0; ip neigh del fd00:10:244:1::1 dev eth0",
    found: [
      /^pod's neighbour 10\.244\.1\.1 is missing$/,
      /^pod's neighbour fd00:10:244:1::1 is missing$/,
    ],
  },
  {
    title: "a sysctl of the pod's spec changed",
    pod: "sysctl -qw net.ipv4.ip_unprivileged_port_start=1024",
    found: [
      /^sysctl net\.ipv4\.ip_unprivileged_port_start is "1024" /,
    ],
    silent: true,
  },
  {
    title: "the pod's link deleted by the pod",
    pod: "ip link del eth0",
    found: [/^link pn-\w+ is gone$/],
  },
  {
    title: "the resolver's files deleted",
    node: "rm STATE/resolv.conf; sed -i /ip6-allnodes/d STATE/hosts",
    found: [/^file \S+\/resolv\.conf is missing$/, /^file \S+\/hosts lacks /],
    silent: true,
  },
];
