/**
 * Real disturbances of a node, each made by the programs that make them in real life, by the finding that tells of it. What
 * docs/troubleshooting.md says against it takes it away.
 *
 * @module
 */
import type { FindingCode, Severity } from "../../mod.ts";
import { nft } from "./patient.ts";

/** One disturbance. */
export interface Disturbance {
  readonly code: FindingCode;
  readonly severity: Severity;
  /** Shell lines that make it. */
  readonly make: string;
  /** Shell lines after which the node is as before, once the remedy was run. */
  readonly tidy?: string;
  /** The remedy tells more, or cannot be had in a test: the finding stays. */
  readonly stays?: true;
}

const DELETE_TABLES =
  `nft list tables | grep -v podnet | while read _ family name; do nft delete table "$family" "$name"; done`;

/** A link that leads outside, besides eth0. */
const SECOND_UPLINK = `
  ip link add wan1 type veth peer name wan1p
  ip link set wan1p up
  ip link set wan1 up
  ip addr add 192.0.2.2/24 dev wan1
  ip route add default via 192.168.50.254
  ip route add default via 192.0.2.1 metric 50`;

export const disturbances: readonly Disturbance[] = [
  {
    code: "traffic-dropped",
    severity: "error",
    make: nft(`table inet fw {
      chain forward {
        type filter hook forward priority filter; policy drop;
        ct state vmap { established : accept, related : accept, invalid : drop }
      }
    }`),
    tidy: DELETE_TABLES,
  },
  {
    code: "traffic-maybe-dropped",
    severity: "warning",
    make: nft(`table inet fw {
      chain forward {
        type filter hook forward priority filter; policy accept;
        tcp dport 25 drop
      }
    }`),
    tidy: DELETE_TABLES,
  },
  {
    code: "firewall-manager",
    severity: "note",
    make: `iptables -N DOCKER-USER
      iptables -A FORWARD -j DOCKER-USER
      iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
      iptables -P FORWARD DROP`,
    tidy: DELETE_TABLES,
    stays: true,
  },
  {
    code: "node-closed-to-pods",
    severity: "note",
    make: nft(`table inet fw {
      chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iif lo accept
      }
    }`),
    tidy: DELETE_TABLES,
  },
  {
    code: "pod-source-replaced",
    severity: "warning",
    make: nft(`table ip fw {
      chain postrouting {
        type nat hook postrouting priority srcnat;
        ip saddr 10.0.0.0/8 masquerade
      }
    }`),
    tidy: DELETE_TABLES,
  },
  {
    code: "host-port-caught",
    severity: "warning",
    make: nft(`table ip fw {
      chain prerouting {
        type nat hook prerouting priority dstnat - 10;
        tcp dport 8000-8100 dnat to 192.0.2.7:80
      }
    }`),
    tidy: DELETE_TABLES,
  },
  {
    code: "forwarding-off",
    severity: "error",
    make: "sysctl -qw net.ipv4.ip_forward=0",
  },
  {
    code: "link-forwarding-off",
    severity: "warning",
    make: "sysctl -qw net.ipv4.conf.eth0.forwarding=0",
  },
  {
    code: "advertisements-ignored",
    severity: "warning",
    make: `sysctl -qw net.ipv6.conf.eth0.accept_ra=1
      ip -6 route add default via fd50::fe dev eth0 proto ra metric 1024 expires 1800`,
    tidy: `ip -6 route del default
      sysctl -qw net.ipv6.conf.eth0.accept_ra=1`,
  },
  {
    code: "strict-reverse-path",
    severity: "warning",
    make: `${SECOND_UPLINK}
      sysctl -qw net.ipv4.conf.all.rp_filter=1`,
    tidy: "ip link del wan1; ip route del default",
  },
  {
    code: "route-localnet",
    severity: "warning",
    make: "sysctl -qw net.ipv4.conf.eth0.route_localnet=1",
  },
  {
    code: "pod-cidr-overlap",
    severity: "error",
    make: "ip addr add 10.244.1.77/25 dev eth0",
  },
  {
    code: "foreign-route",
    severity: "warning",
    make: "ip route add 10.244.1.128/25 via 192.168.50.254",
  },
  {
    code: "policy-rule",
    severity: "error",
    make: `ip rule add from all lookup 77 priority 100
      ip route add default via 192.168.50.254 table 77`,
    tidy: `ip rule del priority 99
      ip rule del priority 100
      ip route flush table 77`,
  },
  {
    code: "no-default-route",
    severity: "note",
    make: "true",
    tidy: "ip -4 route del default; ip -6 route del default",
  },
  {
    code: "mtu-too-large",
    severity: "warning",
    make: `ip route add default via 192.168.50.254
      ip link set eth0 mtu 1400`,
    tidy: "ip route del default",
  },
  {
    code: "pod-link-managed",
    severity: "warning",
    make:
      `ip addr add 169.254.7.7/16 dev "$(ip -o link show type veth | grep -o 'pn-[0-9a-f]*')"`,
  },
  {
    code: "difference",
    severity: "error",
    make: "nft flush map inet podnet hostports4",
  },
  {
    code: "legacy-iptables",
    severity: "warning",
    make: "iptables-legacy -P FORWARD ACCEPT",
    tidy: "iptables-legacy -F",
    // The kernel keeps a table for as long as the namespace lives.
    stays: true,
  },
  {
    code: "ipv6-disabled",
    severity: "error",
    make: "sysctl -qw net.ipv6.conf.default.disable_ipv6=1",
  },
];
