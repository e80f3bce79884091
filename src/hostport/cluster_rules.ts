/**
 * The rules of the node's table about other nodes: who may use tunnels, and what is outside of the cluster. Pure data.
 *
 * Of what is not about a tunnel, each hook sees a lookup and no more: the rest is in chains of its own.
 *
 * @module
 */
import type { IpFamily } from "../net/ip.ts";
import {
  ct,
  fibType,
  ip,
  ip6,
  masked,
  meta,
  th,
} from "../nftables/expression.ts";
import type { Chain } from "../nftables/ruleset.ts";
import {
  addMark,
  differs,
  equals,
  has,
  inSet,
  jump,
  keepMark,
  notInSet,
  notrack,
  rule,
  type Statement,
  verdict,
} from "../nftables/statement.ts";
import {
  FORWARDED_MARK,
  peersSet,
  TUNNEL_PORTS,
  TUNNEL_PREFIX,
  TUNNELLED_MARK,
  tunnelledSet,
  tunnelSourcesSet,
} from "./peers.ts";

/** What pods of the node reach by their own addresses, besides other nodes and their pods. */
export const clusterSet = (family: IpFamily): string => `cluster${family}`;

const FAMILIES = [4, 6] as const;

/** `NF_IP_PRI_RAW`: after pieces of packets were put together, and before connection tracking. */
const RAW = -300;

/** Source translation is at 100, whatever the priority of a chain with its rules. */
const AFTER_SOURCES = 150;

const toTunnel = inSet([meta.l4proto, th.dport], TUNNEL_PORTS.name);

/**
 * What other nodes send to a tunnel of this one is of no connection, or it would go to who had sent from the tunnel's port
 * to theirs by the node's address; or to a pod that has the port as a host port.
 */
export function tunnelsUntracked(): Chain[] {
  return [
    {
      name: "tunnels_untracked",
      hook: { type: "filter", hook: "prerouting", priority: RAW },
      rules: [rule([toTunnel, jump("untracked")])],
    },
    {
      name: "untracked",
      rules: FAMILIES.map((family) => {
        const { saddr } = family === 4 ? ip : ip6;
        return rule([
          inSet([saddr], tunnelSourcesSet(family)),
          equals(fibType("daddr"), "local"),
          notrack,
        ]);
      }),
    },
  ];
}

/**
 * After the pieces of packets were put together, or the port of a packet that was cut could not be seen. No node sends to a
 * tunnel by a service.
 */
export function tunnelsIn(fromPods: Statement): Chain[] {
  return [
    {
      name: "tunnels_in",
      hook: { type: "filter", hook: "input", priority: 0 },
      rules: [rule([toTunnel, jump("into_tunnel")])],
    },
    {
      name: "into_tunnel",
      rules: [
        rule([fromPods, verdict("drop")]),
        rule([has(ct.status, "dnat"), verdict("drop")]),
        ...FAMILIES.map((family) => {
          const { saddr } = family === 4 ? ip : ip6;
          const isStranger = notInSet([saddr], tunnelSourcesSet(family));
          return rule([isStranger, verdict("drop")]);
        }),
      ],
    },
  ];
}

/**
 * Marks what pods send to nodes behind tunnels, after connections are known. Answers of host ports go as their questions
 * came: as the node's own packets, beside the tunnel.
 *
 * By a mark and not by the source address alone: a strict reverse path filter, which looks where an answer would go before
 * it lets a question in, does not see marks, and a question to a host port comes beside the tunnel.
 */
export function markTunnelled(fromPods: Statement): Chain[] {
  return [
    {
      name: "tunnelled",
      hook: { type: "filter", hook: "prerouting", priority: -150 },
      rules: FAMILIES.map((family) => {
        const { daddr } = family === 4 ? ip : ip6;
        const isTunnelled = inSet([daddr], tunnelledSet(family));
        return rule([isTunnelled, fromPods, jump("mark_tunnelled")]);
      }),
    },
    {
      name: "mark_tunnelled",
      rules: [
        rule([
          equals(ct.direction, "reply"),
          has(ct.status, "dnat"),
          verdict("return"),
        ]),
        rule([addMark(TUNNELLED_MARK)]),
      ],
    },
  ];
}

/**
 * What the node forwards to the port of a tunnel must not leave by the node's address, whoever gives it that one, or it
 * would be taken for the node's: masquerading, here or of somebody else's, answers of host ports, a sender who lies. By its
 * own address others do not take it, and where it goes is nobody's business: not only nodes use the port, and a node may be
 * others' router or bridge, that of nodes among them.
 *
 * Which address it leaves by is known after source translation, and there the outer packets of a tunnel, which come by the
 * link of the tunnel, look like forwarded ones. So those are marked where only those pass. They lose the mark before a tunnel
 * takes them in, whose packets have the mark of what is inside.
 */
export function tunnelsOut(pods: string): Chain[] {
  return [
    {
      name: "tunnels_out",
      hook: { type: "filter", hook: "forward", priority: 0 },
      rules: [
        rule([toTunnel, differs(meta.oifname, pods), addMark(FORWARDED_MARK)]),
      ],
    },
    {
      name: "past_tunnels",
      hook: { type: "filter", hook: "postrouting", priority: AFTER_SOURCES },
      rules: [
        rule([
          differs(masked(meta.mark, FORWARDED_MARK), 0),
          toTunnel,
          jump("past_tunnel"),
        ]),
      ],
    },
    {
      name: "past_tunnel",
      rules: [
        rule([equals(fibType("saddr"), "local"), verdict("drop")]),
        rule([keepMark(~FORWARDED_MARK >>> 0)]),
      ],
    },
  ];
}

/** The destination is neither in the cluster nor a multicast address. */
export function toOutside(family: IpFamily): Statement[] {
  const { daddr } = family === 4 ? ip : ip6;
  return [
    notInSet([daddr], clusterSet(family)),
    notInSet([daddr], peersSet(family)),
  ];
}

/** It leaves by a tunnel. */
export const intoTunnel: Statement = equals(
  meta.oifname,
  `${TUNNEL_PREFIX}*`,
);
