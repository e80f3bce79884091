/**
 * A pod's interface on a bridge: a veth pair whose far end is born in the pod, and whose near end is a port of the bridge.
 *
 * An address is claimed as everywhere, by a host route over the port, which the kernel gives one link at a time and takes
 * away with it; but in a table of the bridge's own, which nothing looks up, since another bridge may have the same address.
 * The MAC is the bridge's to know: an entry of its forwarding table that stays on the port, whoever else sends with it.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import { poll } from "../../ffi/poll.ts";
import { SandboxError } from "../errors.ts";
import type { NetworkNamespace } from "../namespace/network_namespace.ts";
import { Cidr } from "../net/cidr.ts";
import type { IpAddress } from "../net/ip.ts";
import type { MacAddress } from "../net/mac.ts";
import type { Connection } from "../netlink/connection.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";
import {
  type BridgePortFlags,
  bridgePortOf,
  getPortEntry,
  isSet,
  newPortEntry,
  setBridgePort,
} from "../rtnetlink/bridge_port.ts";
import {
  deleteLink,
  getLink,
  type Link,
  newVeth,
  setLink,
} from "../rtnetlink/link.ts";
import {
  dumpRoutes,
  newRoute,
  type Route,
  ROUTE_PROTOCOL,
} from "../rtnetlink/route.ts";
import { believeNobody, isOwnBridge } from "./bridge.ts";
import { endDifferences, type WiringDifference } from "./difference.ts";
import { findLink, orNone } from "./questions.ts";
import { READY_TIMEOUT_MS } from "./routed_veth.ts";
import type { ExtraInterface } from "./extra_interface.ts";

/** The node's end of a pod's interface on a bridge. */
export interface BridgePort extends BridgePortFlags {
  readonly name: string;
  readonly index: number;
  /** Whose it is. */
  readonly alias: string;
  /** Of the pod's end. */
  readonly mac: MacAddress;
}

/** The table of a bridge's claims: numbers that nobody chooses by hand, and other bridges' neither. */
export function claimTable({ index }: Pick<Link, "index">): number {
  return 0x8000_0000 + index;
}

/**
 * Makes the pair, its near end a port of the bridge from before it is up.
 *
 * @throws {SandboxError} `InvalidSpec` at `mac` when somebody on the bridge has the MAC for good; `UnsupportedKernel` when
 * the kernel cannot lock ports
 * @throws {NetlinkError}
 */
export function makePort(
  route: Connection,
  pod: NetworkNamespace,
  { name, index, mtu = 1500 }: ExtraInterface,
  port: BridgePort,
  bridge: Link,
): void {
  // Alone: the kernel does not stop at a message that fails, and would do the rest to whoever has the number.
  route.execute([
    newVeth({
      name: port.name,
      index: port.index,
      // The kernel gives a bridge the lowest MAC of its ports, unless somebody gave it one: with its own it keeps that.
      mac: bridge.mac ?? port.mac,
      mtu,
      peer: { name, index, mac: port.mac, mtu, namespaceFd: pod.fd },
    }),
  ]);
  // Who says there that it is a router is a pod.
  if (isOwnBridge(bridge)) believeNobody(pod, name);
  connectPort(route, port, bridge);
}

function connectPort(
  route: Connection,
  port: BridgePort,
  bridge: Pick<Link, "index">,
): void {
  const { index, alias } = port;
  route.execute([
    setLink({ index, alias, ...linkLocal(findLink(route, index)) }),
    setLink({ index, master: bridge.index }),
    setBridgePort(index, port),
  ]);
  claimMac(route, port);
  refuseUnlocked(route, port);
  route.execute([setLink({ index, up: true })]);
}

/** No link-local address, which the port has no use for; where the link has no IPv6 (see `hasIpv6()`) the kernel takes no mode. */
function linkLocal(port: Link | undefined): { readonly addrGenMode?: "none" } {
  return port?.addrGenMode === undefined ? {} : { addrGenMode: "none" };
}

function claimMac(route: Connection, port: BridgePort): void {
  const entry = { index: port.index, mac: port.mac };
  try {
    route.execute([newPortEntry({ ...entry, exclusive: true })]);
  } catch (error) {
    if (!isNetlinkError(error, Errno.EEXIST)) throw error;
    const owner = orNone(route, getPortEntry(entry), Errno.ENOENT);
    if (owner !== undefined && isSet(owner) && owner.index !== port.index) {
      throw new SandboxError("InvalidSpec", {
        problems: [{
          path: "mac",
          message: "somebody on the bridge has this MAC: write another",
          received: String(port.mac),
        }],
      }, { cause: error });
    }
    // It was only heard of.
    route.execute([newPortEntry(entry)]);
  }
}

/** The kernel ignores flags that it does not know. */
function refuseUnlocked(
  route: Connection,
  { index, locked }: BridgePort,
): void {
  if (!locked) return;
  const [link] = route.request(getLink({ index }));
  if (link !== undefined && bridgePortOf(link)?.locked) return;
  throw new SandboxError("UnsupportedKernel", {
    feature: "macSpoofCheck (IFLA_BRPORT_LOCKED, Linux 5.16)",
  });
}

/**
 * Claims an address on a bridge.
 *
 * @returns false when somebody has it
 */
export function claimOnBridge(
  route: Connection,
  { index }: Pick<BridgePort, "index">,
  bridge: Pick<Link, "index">,
  address: IpAddress,
): boolean {
  try {
    route.execute([
      newRoute({
        destination: Cidr.host(address),
        index,
        table: claimTable(bridge),
        protocol: ROUTE_PROTOCOL,
        exclusive: true,
      }),
    ]);
    return true;
  } catch (error) {
    if (isNetlinkError(error, Errno.EEXIST)) return false;
    throw error;
  }
}

/** The addresses that are claimed on a bridge, and by which port. */
export function claimsOnBridge(
  route: Connection,
  bridge: Pick<Link, "index">,
): { readonly address: IpAddress; readonly index: number }[] {
  return routesIn(route, claimTable(bridge)).flatMap(
    ({ destination, index }) =>
      destination === "default" || index === undefined
        ? []
        : [{ address: destination.network, index }],
  );
}

function routesIn(route: Connection, table: number): Route[] {
  return route.dump(dumpRoutes({ table, protocol: ROUTE_PROTOCOL }));
}

/**
 * Waits until the port forwards: the kernel finishes its carrier in a work item of its own.
 *
 * @throws {SandboxError} `Timeout`
 */
export function awaitPort(
  route: Connection,
  { index }: Pick<BridgePort, "index">,
): void {
  const start = performance.now();
  // Asking for a link makes the kernel run its pending carrier work at once (since 6.8).
  while (findLink(route, index)?.operationalState !== "up") {
    if (performance.now() - start > READY_TIMEOUT_MS) {
      throw new SandboxError("Timeout", {
        operation: "waiting for the bridge to forward",
        timeoutMs: READY_TIMEOUT_MS,
      });
    }
    if (performance.now() - start > 2) poll([], 1);
  }
}

/** The port, if the node's link of its number is it: it has its name, and nobody else's alias. */
export function findPort(
  route: Connection,
  { index, name, alias }: Pick<BridgePort, "index" | "name" | "alias">,
): Link | undefined {
  const link = findLink(route, index);
  return link?.name === name && (link.alias ?? alias) === alias
    ? link
    : undefined;
}

/** Deletes the pair, and with it all that was claimed. One that is gone is no error. The kernel takes 30 ms. */
export function deletePort(
  route: Connection,
  port: Pick<BridgePort, "index" | "name" | "alias">,
): void {
  if (findPort(route, port) === undefined) return;
  try {
    route.execute([deleteLink({ index: port.index })]);
  } catch (error) {
    if (!isNetlinkError(error, Errno.ENODEV)) throw error;
  }
}

/** How a port that is there differs from what it should be. */
export function portDifferences(
  route: Connection,
  found: Link,
  port: BridgePort,
  bridge: Link,
  addresses: readonly IpAddress[],
): WiringDifference[] {
  const { name, index, mac } = port;
  const object = `link ${name}`;
  if (found.master !== bridge.index) {
    return [{
      object,
      problem: `is no port of bridge ${bridge.name}`,
      does: "makes it one",
      mend: () => connectPort(route, port, bridge),
    }];
  }
  const flags = bridgePortOf(found);
  const wrong = (["hairpin", "isolated", "locked"] as const)
    .filter((flag) => flags?.[flag] !== port[flag]);
  const entry = orNone(route, getPortEntry({ index, mac }), Errno.ENOENT);
  const isKnown = entry?.index === index && isSet(entry) && entry.isSticky;
  return [
    ...endDifferences(
      found,
      { object, alias: port.alias, ...linkLocal(found) },
      (change) => route.execute([change]),
    ),
    ...wrong.map((flag) => ({
      object: `${flag} of link ${name}`,
      problem: port[flag] ? "is off" : "is on",
      does: "sets it",
      mend: () => route.execute([setBridgePort(index, port)]),
    })),
    ...isKnown ? [] : [{
      object: `forwarding entry ${mac} on ${name}`,
      problem: "is missing",
      does: "sets it",
      mend: () => claimMac(route, port),
    }],
    ...claimDifferences(route, port, bridge, addresses),
  ];
}

function claimDifferences(
  route: Connection,
  port: BridgePort,
  bridge: Link,
  addresses: readonly IpAddress[],
): WiringDifference[] {
  const claims = claimsOnBridge(route, bridge);
  return addresses.flatMap((address): WiringDifference[] => {
    const object = `claim of ${address} on bridge ${bridge.name}`;
    const claim = claims.find((other) => other.address.equals(address));
    if (claim?.index === port.index) return [];
    if (claim !== undefined) {
      return [{
        object,
        problem: `is that of link #${claim.index}`,
        advice: "remove one of the two",
      }];
    }
    return [{
      object,
      problem: "is missing",
      does: "claims it",
      mend: () => {
        claimOnBridge(route, port, bridge, address);
      },
    }];
  });
}
