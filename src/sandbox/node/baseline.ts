/**
 * What a node needs before its first pod: forwarding, its own address in each pod CIDR, an answer for addresses of the
 * CIDR that no pod has, the table.
 * Each part is looked at first and changed only when it is not as it must be.
 *
 * @module
 */
import { readFile } from "../../../ffi/file.ts";
import { Errno, isSyscallError } from "../../../ffi/errno.ts";
import { awaitAddresses } from "../../attachment/routed_veth.ts";
import { SandboxError } from "../../errors.ts";
import { TABLE } from "../../hostport/sets.ts";
import { sysctlPath, writeSysctl } from "../../namespace/sysctl.ts";
import { Cidr } from "../../net/cidr.ts";
import { addressBits, type IpAddress } from "../../net/ip.ts";
import type { Connection } from "../../netlink/connection.ts";
import type { Request } from "../../netlink/message.ts";
import { isNetlinkError } from "../../netlink/netlink_error.ts";
import { Transaction } from "../../nftables/transaction.ts";
import {
  deleteAddress,
  dumpAddresses,
  newAddress,
} from "../../rtnetlink/address.ts";
import { RT_SCOPE_LINK, RT_TABLE_MAIN } from "../../rtnetlink/constants.ts";
import {
  getLink,
  type Link,
  LOOPBACK_INDEX,
  setLink,
} from "../../rtnetlink/link.ts";
import {
  deleteRoute,
  dumpRoutes,
  newRoute,
  type Route,
  ROUTE_PROTOCOL,
} from "../../rtnetlink/route.ts";
import {
  loopback,
  type NodeContext,
  type NodeSockets,
  type TableOwner,
} from "./context.ts";
import { ensureTable, isOf } from "./node_table.ts";

/** Marks the IPv4 gateway address for people, and for kernels that do not keep who added an address (before 5.18). */
const GATEWAY_LABEL = "lo:podnet";

/** Of the routes that answer for a whole pod CIDR: nearly the highest, so that any other route to it comes first. */
const LAST_RESORT_METRIC = 4_278_198_272;

/** Routes learned from router advertisements (linux/rtnetlink.h). */
const RTPROT_RA = 9;

/** Without forwarding no packet gets from one pod to another. With `accept_ra`, the only switches of the host that podnet touches. */
function forwardingSysctls({ pools, ipv6 }: NodeContext): string[] {
  // Without pod CIDRs it is bridges that are led to, whose networks may be of any version.
  const families = pools.length > 0
    ? pools.map(({ cidr: { family } }) => family)
    : ipv6
    ? [4, 6]
    : [4];
  return families.map((family) =>
    family === 4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding"
  );
}

/** A part of the baseline that is not as it must be. */
export interface BaselineDifference {
  readonly object: string;
  readonly problem: string;
  /** What mending it does, in plain words. */
  readonly change: string;
  readonly mend: () => void;
}

/**
 * Makes the node ready. Several processes may do so at once.
 *
 * @param lo what the kernel tells of the link
 * @returns what was changed, in plain words; nothing when all was in place
 * @throws {SandboxError} `NodeConflict` when the namespace has another node's table, or IPv6 is switched off there
 */
export async function ensureBaseline(
  context: NodeContext,
  lo: Link | undefined = loopback(context.sockets.route),
): Promise<string[]> {
  refuseDisabledIpv6(context);
  const differences = baselineDifferences(context, lo);
  // The table first: it is what makes the namespace this node's, and nobody else's.
  const changes = await ensureTable(context);
  for (const { mend, change } of differences) {
    mend();
    changes.push(change);
  }
  return changes;
}

/**
 * Pods' addresses must not be those of the node's neighbours. To be asked before the node is set up.
 *
 * @throws {SandboxError} `NodeConflict`
 */
export function refuseOverlap(
  { sockets, pools, settings }: Omit<NodeContext, "table">,
): void {
  for (
    const { address, prefixLength } of sockets.route.dump(dumpAddresses({}))
  ) {
    // An address alone is simply not given to a pod.
    if (prefixLength === addressBits(address.family)) continue;
    const neighbours = Cidr.around(address, prefixLength);
    const pool = pools.find(({ cidr }) => cidr.overlaps(neighbours));
    if (pool === undefined) continue;
    throw new SandboxError("NodeConflict", {
      name: settings.name,
      reason:
        `pod CIDR ${pool.cidr} overlaps ${neighbours}, a network that the node is on: choose another`,
    });
  }
}

/** Where links have no IPv6, pods cannot either. Not switched on here: somebody wanted it off. */
function refuseDisabledIpv6(context: NodeContext): void {
  const { pools, namespace, settings } = context;
  if (pools.every(({ cidr }) => cidr.family === 4)) return;
  for (const link of ["default", "lo"]) {
    const name = `net/ipv6/conf/${link}/disable_ipv6`;
    if (!namespace.run(() => isOne(sysctlPath(name)))) continue;
    throw new SandboxError("NodeConflict", {
      name: settings.name,
      reason: `IPv6 is switched off in its network namespace: set ${
        name.replaceAll("/", ".")
      } to 0, or give no IPv6 pod CIDR`,
    });
  }
}

/** All but the table, which has its own comparison. */
export function baselineDifferences(
  context: NodeContext,
  lo: Link | undefined = loopback(context.sockets.route),
): BaselineDifference[] {
  return [
    ...loopbackDifferences(context, lo),
    ...advertisementDifferences(context),
    ...forwardingDifferences(context),
    ...gatewayDifferences(context),
    ...unreachableDifferences(context),
  ];
}

/** Of a namespace that was just made, lo is down, and then it has no address that works. */
function loopbackDifferences(
  { sockets }: NodeContext,
  lo: Link | undefined,
): BaselineDifference[] {
  if (lo?.up) return [];
  return [{
    object: "link lo",
    problem: "is down",
    change: "set lo up",
    mend: () =>
      sockets.route.execute([setLink({ index: LOOPBACK_INDEX, up: true })]),
  }];
}

function forwardingDifferences(context: NodeContext): BaselineDifference[] {
  const { namespace } = context;
  const off = namespace.run(() =>
    forwardingSysctls(context).filter((name) => !isOne(sysctlPath(name)))
  );
  return off.map((name) => {
    const dotted = name.replaceAll("/", ".");
    return {
      object: `sysctl ${dotted}`,
      problem: "is off",
      change: `set ${dotted} to 1`,
      mend: () => writeSysctl(namespace, name, "1"),
    };
  });
}

/**
 * A link that takes routes from router advertisements ceases to when the node forwards, and the kernel drops those it has
 * (addrconf_fixup_forwarding): the node would be cut off. With `accept_ra` 2 it goes on as before. On a node that forwards
 * already, somebody has set it back: the routes expire then, one after the other.
 */
function advertisementDifferences(
  { namespace, pools, sockets: { route } }: NodeContext,
): BaselineDifference[] {
  if (pools.every(({ cidr }) => cidr.family === 4)) return [];
  const learned = route.dump(
    dumpRoutes({ family: 6, protocol: RTPROT_RA }),
  ).flatMap(({ index }) => index ?? []);
  return [...new Set(learned)].flatMap((index) => {
    const [link] = route.request(getLink({ index }));
    if (link === undefined) return [];
    const name = `net/ipv6/conf/${link.name}/accept_ra`;
    if (!namespace.run(() => isOne(sysctlPath(name)))) return [];
    return [{
      object: `sysctl ${name.replaceAll("/", ".")}`,
      problem: "makes the link lose its routes while the node forwards",
      change:
        `set ${name} to 2, so that ${link.name} keeps its routes from router advertisements`,
      mend: () => writeSysctl(namespace, name, "2"),
    }];
  });
}

function isOne(path: string): boolean {
  try {
    return readFile(path)[0] === 0x31;
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT)) {
      throw new SandboxError("UnsupportedKernel", {
        feature: path.includes("ipv6") ? "IPv6" : "IPv4 forwarding",
      }, { cause: error });
    }
    throw error;
  }
}

/**
 * The node's own address in each pod CIDR: the source of what it sends to pods, the pods' gateway. On lo and of link
 * scope, so that the kernel chooses it for nothing else and no lease or cable takes it away.
 */
function gatewayDifferences(context: NodeContext): BaselineDifference[] {
  return missingGateways(context).map((gateway) => {
    const { prefixLength } = Cidr.host(gateway);
    const object = `${gateway}/${prefixLength}`;
    return {
      object: `address ${object} of lo`,
      problem: "is missing",
      change: `added ${object} to lo`,
      mend: () => {
        const { route } = context.sockets;
        route.execute([
          newAddress({
            index: LOOPBACK_INDEX,
            address: gateway,
            prefixLength,
            noDad: true,
            protocol: ROUTE_PROTOCOL,
            ...(gateway.family === 4
              ? { scope: RT_SCOPE_LINK, label: GATEWAY_LABEL }
              : {}),
          }),
        ]);
        // Until then packets to it meet the route that answers for the pod CIDR.
        awaitAddresses(route, [gateway]);
      },
    };
  });
}

/** The gateway addresses that are not on lo. */
function missingGateways({ sockets, pools }: NodeContext): IpAddress[] {
  const present = sockets.route.dump(dumpAddresses({ index: LOOPBACK_INDEX }));
  return pools.map(({ gateway }) => gateway)
    .filter((gateway) =>
      !present.some(({ address }) => address.equals(gateway))
    );
}

/**
 * Packets to an address that no pod has are answered at once. Without this route they would follow the node's default
 * route, and clients of a pod that is gone would wait in vain.
 */
function unreachableDifferences(
  { sockets, pools }: NodeContext,
): BaselineDifference[] {
  const present = unreachableRoutes(sockets.route);
  return pools.filter(({ cidr }) =>
    !present.some(({ destination }) => String(destination) === String(cidr))
  ).map(({ cidr }) => ({
    object: `route unreachable ${cidr}`,
    problem: "is missing",
    change: `added route unreachable ${cidr}`,
    mend: () => {
      try {
        sockets.route.execute([
          newRoute({
            destination: cidr,
            type: "unreachable",
            priority: LAST_RESORT_METRIC,
            exclusive: true,
          }),
        ]);
      } catch (error) {
        // Another process did, just now.
        if (!isNetlinkError(error, Errno.EEXIST)) throw error;
      }
    },
  }));
}

/** The routes that answer for a whole pod CIDR, of this node or of another life of it. */
function unreachableRoutes(route: Connection): Route[] {
  return route.dump(dumpRoutes({
    protocol: ROUTE_PROTOCOL,
    type: "unreachable",
    table: RT_TABLE_MAIN,
  })).filter(({ priority }) => priority === LAST_RESORT_METRIC);
}

/**
 * Takes the baseline away; forwarding stays on, because others may rely on it by now. Where another node has the table,
 * nothing is this node's.
 */
export function removeBaseline(
  { nft, route }: NodeSockets,
  owner: TableOwner,
): string[] {
  const removed: string[] = [];
  const found = nft.getTable(TABLE);
  if (found !== undefined) {
    if (!isOf(found.comment, owner)) return [];
    const transaction = new Transaction();
    transaction.deleteTable(TABLE);
    nft.commit(transaction);
    removed.push(`nf_tables table inet ${TABLE}`);
  }
  for (
    const { object, remove } of [
      ...ownGateways(route),
      ...ownUnreachableRoutes(route),
    ]
  ) {
    remove();
    removed.push(object);
  }
  return removed;
}

/** Something of the baseline that is there. */
export interface BaselineObject {
  /** In plain words. */
  readonly object: string;
  /** What it is for: a gateway address, or a pod CIDR. */
  readonly of: IpAddress | Cidr;
  readonly remove: () => void;
}

/** Whoever's they were: the addresses of lo that podnet added, by their mark, and no others. */
export function ownGateways(route: Connection): BaselineObject[] {
  return route.dump(dumpAddresses({ index: LOOPBACK_INDEX }))
    .filter(({ protocol, label }) =>
      protocol === ROUTE_PROTOCOL || label === GATEWAY_LABEL
    ).map(({ address, prefixLength }) => ({
      object: `address ${address}/${prefixLength} of lo`,
      of: address,
      remove: () =>
        unlessGone(
          route,
          deleteAddress({ index: LOOPBACK_INDEX, address, prefixLength }),
        ),
    }));
}

/** Whoever's they were: the routes that answer for a whole pod CIDR, by protocol, kind and metric. */
export function ownUnreachableRoutes(route: Connection): BaselineObject[] {
  return unreachableRoutes(route).flatMap(({ destination }) =>
    destination === "default" ? [] : [{
      object: `route unreachable ${destination}`,
      of: destination,
      remove: () =>
        unlessGone(
          route,
          deleteRoute({ destination, priority: LAST_RESORT_METRIC }),
        ),
    }]
  );
}

function unlessGone(route: Connection, request: Request<unknown>): void {
  try {
    route.execute([request]);
  } catch (error) {
    if (!isNetlinkError(error, Errno.ESRCH, Errno.EADDRNOTAVAIL)) throw error;
  }
}
