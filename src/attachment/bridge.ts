/**
 * Bridges of the node that pods' interfaces are ports of: the user's own, which are used as they are, and podnet's, which are
 * made for the first port and go with the last one.
 *
 * A bridge is podnet's by its group number, which it is born with, so that none is lost to a crash between two messages;
 * the alias says it to people. The group also tells the node's rules whether the bridge is pods' way to the node.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { readTextFile, writeFile } from "../../ffi/file.ts";
import type { NetworkNamespace } from "../namespace/network_namespace.ts";
import { InterfaceAddress } from "../net/interface_address.ts";
import { IpAddress } from "../net/ip.ts";
import type { MacAddress } from "../net/mac.ts";
import type { Connection } from "../netlink/connection.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";
import { dumpAddresses, newAddress } from "../rtnetlink/address.ts";
import type { Ipv4Devconf } from "../rtnetlink/devconf.ts";
import {
  deleteLink,
  dumpLinks,
  getLink,
  type Link,
  newLink,
  setLink,
} from "../rtnetlink/link.ts";
import { endDifferences, type WiringDifference } from "./difference.ts";
import { orNone } from "./questions.ts";
import { BRIDGE_ALIAS } from "./names.ts";
import { type Belief, BELIEFS } from "./ipv6_guard.ts";
import { HOST_IPV4 } from "./pod_link.ts";

/** Group numbers of podnet's bridges (`ip link show group 28782`). */
export const BridgeGroup = {
  /** A network of pods among themselves, on which the node is not. */
  separate: 0x706e,
  /** Pods' way to the node, which routes. */
  routed: 0x706f,
  /** As `routed`, and what leaves by other links gets the node's address. */
  masqueraded: 0x7070,
} as const;

const GROUPS: readonly number[] = Object.values(BridgeGroup);

/** What a bridge is to be. */
export interface WantedBridge {
  readonly name: string;
  readonly alias: string;
  /** The kernel would take that of a port, and another when that goes. */
  readonly mac: MacAddress;
  /** The node's own on the bridge. */
  readonly addresses: readonly InterfaceAddress[];
  readonly masquerade: boolean;
}

/** Where bridges are made. */
export interface BridgeSite {
  readonly route: Connection;
  /** The node's. */
  readonly namespace: NetworkNamespace;
  /** Makes a number that no link has. */
  readonly newIndex: () => number;
}

/** Whether podnet made it. */
export function isOwnBridge({ kind, group, alias }: Link): boolean {
  return kind === "bridge" &&
    (GROUPS.includes(group) || alias?.startsWith(BRIDGE_ALIAS) === true);
}

/** The bridge of this name, or whatever link has it. */
export function findBridge(route: Connection, name: string): Link | undefined {
  return orNone(route, getLink({ name }), Errno.ENODEV);
}

/**
 * Makes the bridge ready, which is made if the node has no link of the name. The user's own stays as it is.
 *
 * @throws {NetlinkError}
 */
export function ensureBridge(site: BridgeSite, wanted: WantedBridge): Link {
  const { route } = site;
  const found = findBridge(route, wanted.name) ?? makeBridge(site, wanted);
  if (!isOwnBridge(found)) return found;
  for (const { mend } of bridgeDifferences(site, found, wanted)) mend?.();
  return findBridge(route, wanted.name) ?? found;
}

function makeBridge(site: BridgeSite, wanted: WantedBridge): Link {
  const { route, namespace, newIndex } = site;
  const { name, mac } = wanted;
  try {
    route.execute([
      newLink({
        name,
        index: newIndex(),
        mac,
        group: groupOf(wanted),
        // What is asked of all pods must reach all, and nobody asks who listens.
        info: { bridge: { mcastSnooping: 0 } },
      }),
    ]);
    // Where the node has no IPv6 address it must not hear what is said by IPv6.
    if (!hasIpv6(wanted)) namespace.run(() => write(name, "disable_ipv6", "1"));
  } catch (error) {
    // Somebody was faster.
    if (!isNetlinkError(error, Errno.EEXIST)) throw error;
  }
  const [made] = route.request(getLink({ name }));
  if (made === undefined) throw new TypeError(`no link ${name}`);
  return made;
}

function groupOf({ addresses, masquerade }: WantedBridge): number {
  if (addresses.length === 0) return BridgeGroup.separate;
  return masquerade ? BridgeGroup.masqueraded : BridgeGroup.routed;
}

function hasIpv6({ addresses }: WantedBridge): boolean {
  return addresses.some(({ family }) => family === 6);
}

/** Without addresses it takes nothing in: no source is routed to it. */
const SEPARATE_IPV4 = {
  ...HOST_IPV4,
  forwarding: 0,
} as const satisfies Ipv4Devconf;

/** How a bridge of podnet's differs from what a port needs; what other ports need besides is no difference. */
export function bridgeDifferences(
  { route, namespace }: BridgeSite,
  found: Link,
  wanted: WantedBridge,
): WiringDifference[] {
  const { index } = found;
  const { name, alias, mac } = wanted;
  const object = `bridge ${name}`;
  const execute = (...requests: Parameters<Connection["execute"]>[0]) =>
    route.execute(requests);
  // Of a group that is none of podnet's, the rules know nothing.
  const group = GROUPS.includes(found.group)
    ? Math.max(groupOf(wanted), found.group)
    : groupOf(wanted);
  const isRouted = group !== BridgeGroup.separate;
  const ofGroup: WiringDifference[] = group === found.group ? [] : [{
    object,
    problem: `is of group ${found.group}, not ${group}`,
    does: "sets it",
    mend: () => execute(setLink({ index, group })),
  }];
  const isIpv6 = found.addrGenMode !== undefined;
  const ends = endDifferences(found, {
    object,
    alias,
    mac,
    ipv4: isRouted ? HOST_IPV4 : SEPARATE_IPV4,
    ...(isIpv6 ? { addrGenMode: "none" } : {}),
  }, (change) => execute(change));
  return [
    ...ofGroup,
    ...switchDifferences(namespace, wanted),
    // Coming up is last.
    ...ends,
    ...addressDifferences(route, index, wanted),
  ];
}

function switchDifferences(
  namespace: NetworkNamespace,
  wanted: WantedBridge,
): WiringDifference[] {
  const { name } = wanted;
  const switches = [
    ...hasIpv6(wanted) ? [["disable_ipv6", "0"] as const] : [],
    ...BELIEFS.map((name) => [name, "0"] as const),
  ];
  return switches.flatMap(([key, value]) => {
    const found = namespace.run(() => read(name, key)) ?? value;
    if (found === value) return [];
    return [{
      object: `sysctl net.ipv6.conf.${name}.${key}`,
      problem: `is "${found}" instead of "${value}"`,
      does: "sets it",
      mend: () => namespace.run(() => write(name, key, value)),
    }];
  });
}

/** Has a link of a namespace believe no router, where it has IPv6. */
export function believeNobody(
  namespace: NetworkNamespace,
  link: string,
  beliefs: readonly Belief[] = BELIEFS,
): void {
  namespace.run(() => {
    for (const key of beliefs) write(link, key, "0");
  });
}

const pathOf = (link: string, key: string) =>
  `/proc/sys/net/ipv6/conf/${link}/${key}`;

/** Undefined when the kernel has no IPv6, or none on this link. */
function read(link: string, key: string): string | undefined {
  try {
    return readTextFile(pathOf(link, key)).trim();
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT)) return undefined;
    throw error;
  }
}

function write(link: string, key: string, value: string): void {
  try {
    writeFile(pathOf(link, key), value);
  } catch (error) {
    if (!isSyscallError(error, Errno.ENOENT)) throw error;
  }
}

/** The node's addresses that a bridge lacks. */
export function missingAddresses(
  route: Connection,
  index: number,
  wanted: readonly InterfaceAddress[],
): InterfaceAddress[] {
  const there = route.dump(dumpAddresses({ index }));
  return wanted.filter(({ address, prefixLength }) =>
    !there.some((a) =>
      a.address.equals(address) && a.prefixLength === prefixLength
    )
  );
}

function addressDifferences(
  route: Connection,
  index: number,
  wanted: WantedBridge,
): WiringDifference[] {
  const due = [
    // Neighbours are asked for from a link-local address (ndisc_send_ns).
    ...hasIpv6(wanted) ? [linkLocal(wanted.mac)] : [],
    ...wanted.addresses,
  ];
  return missingAddresses(route, index, due).map((missing) => ({
    object: `address ${missing} of bridge ${wanted.name}`,
    problem: "is missing",
    does: "adds it",
    mend: () => {
      const { address, prefixLength } = missing;
      route.execute([
        newAddress({ index, address, prefixLength, noDad: true }),
      ]);
    },
  }));
}

/** The link-local address that a MAC stands for (RFC 4291, appendix A). */
function linkLocal({ bytes }: MacAddress): InterfaceAddress {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = bytes;
  const address = IpAddress.fromBytes(
    Uint8Array.of(
      ...[0xfe, 0x80, 0, 0, 0, 0, 0, 0],
      ...[a ^ 2, b, c, 0xff, 0xfe, d, e, f],
    ),
  );
  return InterfaceAddress.parse(`${address}/64`);
}

/** The bridges of podnet's that have no ports, by reading every link if there are any. */
export function unusedBridges(route: Connection): Link[] {
  const bridges = ownBridges(route);
  // Mostly there are none, and to read all links takes its time.
  if (bridges.length === 0) return [];
  const used = new Set(route.dump(dumpLinks()).map(({ master }) => master));
  return bridges.filter(({ index }) => !used.has(index));
}

/** All bridges of podnet's. */
export function ownBridges(route: Connection): Link[] {
  return route.dump(dumpLinks({ kind: "bridge" })).filter(isOwnBridge);
}

/** Deletes a bridge, whose ports stay and are nobody's then. One that is gone is no error. */
export function deleteBridge(
  route: Connection,
  { index }: Pick<Link, "index">,
): void {
  try {
    route.execute([deleteLink({ index })]);
  } catch (error) {
    if (!isNetlinkError(error, Errno.ENODEV)) throw error;
  }
}
