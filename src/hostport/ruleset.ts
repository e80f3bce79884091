/**
 * The node's nf_tables table: a constant number of rules, whatever the number of pods. Pure data.
 *
 * One packet's way, in the order of the hooks:
 *
 * - `guard` (before anything else, even before the pieces of a cut packet are put together, or a pod could slip one into
 *   another's packet): what comes from outside must not claim to be loopback, what comes by another link than a pod's own
 *   must not claim to be a pod of this node, and a pod must not claim an address that is not routed to it, nor send an
 *   error about a packet that had not come to it; nor may what comes by a bridge of podnet's. The unspecified address
 *   needs a rule of its own: a lookup passes it for who has no address yet.
 * - `tunnels_untracked`: what other nodes send to a tunnel is kept from all translation.
 * - `new_connections`: a pod that has too many opens no more; see `connection_limit.ts`.
 * - `loopback_out` (before connection tracking): a client on 127.0.0.1 or ::1 gets the node's gateway address as its
 *   source, because a pod can answer to that. `loopback_in` turns the reply's destination back. So no switch of the
 *   kernel is ever needed that lets loopback addresses onto a wire (route_localnet, CVE-2020-8558).
 * - `prerouting` and `output`: destinations that are the node's own (CVE-2025-67499) are looked up in the host port maps.
 * - `tunnelled`: what pods send to nodes that are reached through a tunnel finds its own routes by a mark.
 * - `tunnels_in`, `tunnels_out` and `past_tunnels`: what a tunnel takes out of its packets comes past the guard. So only other
 *   nodes can send to a tunnel, whatever the address; and nothing that is forwarded to one leaves by the node's address.
 * - `postrouting`: a pod that reaches itself through the node must see the node (CVE-2021-20199: nobody else's source
 *   is touched), and what leaves for the outside world gets the node's address.
 *
 * @module
 */
import { Cidr } from "../net/cidr.ts";
import type { IpAddress, IpFamily } from "../net/ip.ts";
import {
  ct,
  fibType,
  icmp,
  icmp6,
  ip,
  ip6,
  masked,
  meta,
  type Selector,
  th,
  type Writable,
} from "../nftables/expression.ts";
import type { Chain, NftSet, Rule, Table } from "../nftables/ruleset.ts";
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
  rule,
  set,
  type Statement,
  verdict,
} from "../nftables/statement.ts";
import {
  masquerade,
  masqueradeToPorts,
  snatTo,
  snatToPorts,
} from "../nftables/source_nat.ts";
import {
  clusterSet,
  intoTunnel,
  markTunnelled,
  toOutside,
  tunnelsIn,
  tunnelsOut,
  tunnelsUntracked,
} from "./cluster_rules.ts";
import { connectionLimit } from "./connection_limit.ts";
import { PORT_PROTOCOLS } from "./mapping.ts";
import { NO_PEERS, peerSets, range, withoutCovered } from "./peers.ts";
import { ALL_SETS, SETS, TABLE } from "./sets.ts";

/** `NF_IP_PRI_RAW_BEFORE_DEFRAG`: connection tracking puts packets together at -400. */
const BEFORE_DEFRAG = -450;

/**
 * The rules of services, kube-proxy's for one, are at -100, where the chain that was made last comes first; they go before
 * host ports whatever was made when (CVE-2019-9946).
 */
const AFTER_SERVICES = -95;

/** What the rules of a node depend on. */
export interface RulesetOptions {
  /** Kept in the table, so that the node behind a table is known, and with what its rules were made. */
  readonly comment: string;
  /** Pod links' host ends are named with this prefix. */
  readonly interfacePrefix: string;
  /** Group numbers of bridges. */
  readonly bridgeGroups: {
    /** Not a way to the node: by `br_netfilter` alone what is on them is seen here. */
    readonly separate: number;
    /** What leaves by others keeps its source. */
    readonly routed: number;
    /** It gets the node's address. */
    readonly masqueraded: number;
  };
  /** The node's own address in each pod CIDR. */
  readonly gateways: readonly IpAddress[];
  readonly podCidrs: readonly Cidr[];
  /** Whether pods get the node's address towards the outside world. */
  readonly masquerade: boolean;
  /** Destinations besides the pod CIDRs, and besides other nodes, that see pods' own addresses. */
  readonly nonMasqueradeCidrs: readonly Cidr[];
  /** How many connections a pod may have opened at a time, about; 0 is no limit. */
  readonly maxConnectionsPerPod: number;
}

/** The table of a node, its host port sets empty. */
export function nodeTable(options: RulesetOptions): Table {
  const pods = `${options.interfacePrefix}*`;
  const fromPods = equals(meta.iifname, pods);
  const fromOthers = differs(meta.iifname, pods);
  const { routed, masqueraded } = options.bridgeGroups;
  const limit = connectionLimit(
    options.maxConnectionsPerPod,
    fromPods,
    Object.values(options.bridgeGroups),
  );
  return {
    family: "inet",
    name: TABLE,
    comment: options.comment,
    sets: [
      ...ALL_SETS,
      ...networkSets(options),
      ...peerSets(NO_PEERS),
      ...limit.sets,
    ],
    chains: [
      {
        name: "guard",
        hook: { type: "filter", hook: "prerouting", priority: BEFORE_DEFRAG },
        rules: [
          rule([equals(meta.iifname, "lo"), verdict("accept")]),
          rule([equals(ip.daddr, "127.0.0.0/8"), verdict("drop")]),
          rule([equals(ip.saddr, "127.0.0.0/8"), verdict("drop")]),
          ...options.podCidrs.map(({ family }) =>
            rule([
              fromOthers,
              inSet([fieldsOf(family).saddr], podsSet(family)),
              verdict("drop"),
            ])
          ),
          rule([
            fromOthers,
            differs(meta.iifgroup, routed),
            differs(meta.iifgroup, masqueraded),
            verdict("accept"),
          ]),
          ...ownErrors("icmp", {
            ...icmp,
            saddr: ip.saddr,
            // All but 0 and 8, echo and its reply.
            isError: (type) => differs(masked(type, 0xf7), 0),
          }),
          ...ownErrors("ipv6-icmp", {
            ...icmp6,
            saddr: ip6.saddr,
            // Those below 128 (RFC 4443, 2.1).
            isError: (type) => equals(masked(type, 0x80), 0),
          }),
          rule([fibMissing("saddr", "iif"), verdict("drop")]),
          rule([equals(ip.saddr, "0.0.0.0"), verdict("drop")]),
          rule([equals(ip6.saddr, "::"), verdict("drop")]),
        ],
      },
      ...tunnelsUntracked(),
      ...limit.chains,
      loopbackOut(options.gateways),
      {
        name: "loopback_in",
        hook: { type: "filter", hook: "input", priority: 150 },
        rules: options.gateways.flatMap((gateway) =>
          loopbackReplies(fromPods, gateway)
        ),
      },
      {
        name: "prerouting",
        hook: { type: "nat", hook: "prerouting", priority: AFTER_SERVICES },
        rules: [toHostPorts()],
      },
      {
        name: "output",
        hook: { type: "nat", hook: "output", priority: AFTER_SERVICES },
        rules: [toHostPorts()],
      },
      { name: "hostports", rules: hostPortRules() },
      ...markTunnelled(fromPods),
      ...tunnelsIn(fromPods),
      ...tunnelsOut(pods),
      {
        name: "postrouting",
        hook: { type: "nat", hook: "postrouting", priority: 100 },
        rules: postroutingRules(options),
      },
      masqueradedChain(),
      ...options.gateways.map(tunnelledChain),
    ],
  };
}

/**
 * ICMP errors of pods, but not their queries. Connection tracking lets an error pass to the connection that the packet
 * inside is of, whoever sends it, so a pod could end others' connections. An honest error is about a packet that had come
 * to its sender: the address it had come to must be the pod's, as a source must. One that is too short to tell goes nowhere.
 */
function ownErrors(
  protocol: string,
  { type, innerDaddr, saddr, isError }: {
    readonly type: Selector;
    readonly innerDaddr: Selector;
    readonly saddr: Writable;
    readonly isError: (type: Selector) => Statement;
  },
): Rule[] {
  const error = [equals(meta.l4proto, protocol), isError(type)];
  return [
    rule([
      ...error,
      copy(saddr, innerDaddr),
      fibExists("saddr", "iif"),
      verdict("accept"),
    ]),
    rule([...error, verdict("drop")]),
  ];
}

function toHostPorts(): Rule {
  return rule([equals(fibType("daddr"), "local"), goto("hostports")]);
}

/** One address before all addresses, as with sockets. */
function hostPortRules(): Rule[] {
  const port = [meta.l4proto, th.dport];
  return [
    rule([dnatToMap("ip", [ip.daddr, ...port], SETS[4].specific.name)]),
    rule([
      equals(meta.nfproto, "ipv4"),
      dnatToMap("ip", port, SETS[4].wildcard.name),
    ]),
    rule([dnatToMap("ip6", [ip6.daddr, ...port], SETS[6].specific.name)]),
    // Who asks there has such an address, too, and the kernel forwards nothing from it (RFC 4291, 2.5.6).
    rule([equals(ip6.daddr, "fe80::/10"), verdict("return")]),
    rule([
      equals(meta.nfproto, "ipv6"),
      dnatToMap("ip6", port, SETS[6].wildcard.name),
    ]),
  ];
}

function loopbackOut(gateways: readonly IpAddress[]): Chain {
  const port = [meta.l4proto, th.dport];
  return {
    name: "loopback_out",
    hook: { type: "filter", hook: "output", priority: -310 },
    rules: gateways.flatMap((gateway) => {
      const { loopback, loopbackSpecific } = SETS[gateway.family];
      const { fields, client, servers } = loopbackOf(gateway.family);
      return [
        rule([
          equals(fields.saddr, client),
          equals(fields.daddr, servers),
          inSet(port, loopback.name),
          set(fields.saddr, String(gateway)),
        ]),
        rule([
          equals(fields.saddr, client),
          inSet([fields.daddr, ...port], loopbackSpecific.name),
          set(fields.saddr, String(gateway)),
        ]),
      ];
    }),
  };
}

/**
 * By now the source is what the client had connected to, which only address translation can have made. An ICMP error has
 * the client's packet inside, whose source must be turned back too, or the client's socket is not found.
 *
 * Known limit: when the kernel has summed up an IPv6 packet itself, changing an address makes its note of the sum wrong
 * (nft_payload_l4csum_update, seen on 6.18), and UDP then drops the packet. So UDP answers to ::1 get lost when they come
 * in fragments (over 1452 bytes on Ethernet), or from a pod whose link does not leave checksums to the receiver.
 */
function loopbackReplies(fromPods: Statement, gateway: IpAddress): Rule[] {
  const { fields, client, servers } = loopbackOf(gateway.family);
  const reply = [
    fromPods,
    equals(fields.saddr, servers),
    equals(fields.daddr, String(gateway)),
  ];
  const inner = gateway.family === 4 ? icmp.innerSaddr : icmp6.innerSaddr;
  return [
    rule([
      ...reply,
      equals(meta.l4proto, gateway.family === 4 ? "icmp" : "ipv6-icmp"),
      equals(inner, String(gateway)),
      set(inner, client),
    ]),
    rule([...reply, set(fields.daddr, client)]),
  ];
}

function loopbackOf(family: 4 | 6) {
  return family === 4
    ? { fields: ip, client: "127.0.0.1", servers: "127.0.0.0/8" } as const
    : { fields: ip6, client: "::1", servers: "::1" } as const;
}

function postroutingRules(options: RulesetOptions): Rule[] {
  const rules = [
    ...options.gateways.map((gateway) => {
      const fields = fieldsOf(gateway.family);
      return rule([
        has(ct.status, "dnat"),
        inSet([fields.saddr, fields.daddr], SETS[gateway.family].hairpin.name),
        snatTo(String(gateway)),
      ]);
    }),
    // Others have no way to bridges of this node. What goes into a tunnel must be answered through it.
    ...options.gateways.map((gateway) =>
      rule([
        ...offBridge(options, gateway.family),
        intoTunnel,
        goto(tunnelledChain(gateway).name),
      ])
    ),
    ...FAMILIES.map((family) =>
      rule([...offBridge(options, family), goto("masqueraded")])
    ),
  ];
  if (!options.masquerade) return rules;
  return [
    ...rules,
    ...options.gateways.map(({ family }) => {
      const fields = fieldsOf(family);
      return rule([
        inSet([fields.saddr], podsSet(family)),
        ...toOutside(family),
        ...toElsewhere(options),
        // The gateway address is in the pod CIDR too, and is the node's own.
        differs(fibType("saddr"), "local"),
        goto("masqueraded"),
      ]);
    }),
  ];
}

/** From a bridge that is masqueraded, and neither to pods of the node, who see pods' own addresses, nor to a multicast address. */
function offBridge(options: RulesetOptions, family: IpFamily): Statement[] {
  return [
    // What the kernel knows of the link that a packet came by, it tells here too (Linux 5.7).
    equals(meta.iifgroup, options.bridgeGroups.masqueraded),
    ...toElsewhere(options),
    differs(meta.oifname, `${options.interfacePrefix}*`),
    differs(fieldsOf(family).daddr, String(multicast(family))),
  ];
}

/**
 * Above the ports that nodes are asked on, Kubernetes' node ports included (30000-32767), and where Linux has ports that
 * sockets choose for themselves (net.ipv4.ip_local_port_range).
 */
const SOURCE_PORTS = [32768, 65535] as const;

/**
 * Who chose its source port, and had the node send from there to a client, would get the client's questions to this port of
 * the node: to connection tracking they are answers, and nobody asks for host ports or sockets then.
 */
function withChosenPorts(
  name: string,
  some: Statement,
  others: Statement,
): Chain {
  return {
    name,
    rules: [
      ...PORT_PROTOCOLS.map((protocol) =>
        rule([equals(meta.l4proto, protocol), some])
      ),
      rule([others]),
    ],
  };
}

const masqueradedChain = () =>
  withChosenPorts(
    "masqueraded",
    masqueradeToPorts(...SOURCE_PORTS),
    masquerade,
  );

/** From the node's gateway address, for what goes into a tunnel. */
const tunnelledChain = (gateway: IpAddress) =>
  withChosenPorts(
    `from_gateway${gateway.family}`,
    snatToPorts(String(gateway), ...SOURCE_PORTS),
    snatTo(String(gateway)),
  );

/** Not to pods on bridges, who see pods' own addresses. */
function toElsewhere(
  { bridgeGroups: { routed, masqueraded } }: RulesetOptions,
): Statement[] {
  return [
    differs(meta.oifgroup, routed),
    differs(meta.oifgroup, masqueraded),
  ];
}

const FAMILIES = [4, 6] as const;
const fieldsOf = (family: 4 | 6) => family === 4 ? ip : ip6;
const podsSet = (family: 4 | 6) => `pods${family}`;

/** Whose packets may be masqueraded, and to where they never are. */
function networkSets(options: RulesetOptions): NftSet[] {
  const { podCidrs, nonMasqueradeCidrs } = options;
  return FAMILIES.flatMap((family) => {
    const isOfFamily = (cidr: Cidr) => cidr.family === family;
    const pods = podCidrs.filter(isOfFamily);
    const cluster = [
      ...pods,
      multicast(family),
      ...nonMasqueradeCidrs.filter(isOfFamily),
    ];
    const base = {
      key: [family === 4 ? "ipv4_addr" : "ipv6_addr"],
      interval: true,
    } as const;
    return [
      ...pods.length === 0
        ? []
        : [{ ...base, name: podsSet(family), elements: pods.map(range) }],
      {
        ...base,
        name: clusterSet(family),
        elements: withoutCovered(cluster).map(range),
      },
    ];
  });
}

function multicast(family: 4 | 6): Cidr {
  return Cidr.parse(family === 4 ? "224.0.0.0/4" : "ff00::/8");
}
