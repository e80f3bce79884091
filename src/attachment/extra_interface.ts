/**
 * Further interfaces of a pod, on networks that are not podnet's: a macvlan of a link of the node, which goes with the pod,
 * or a link of the node itself, which is moved in and given back.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import type { NetworkNamespace } from "../namespace/network_namespace.ts";
import type { InterfaceAddress } from "../net/interface_address.ts";
import type { MacvlanMode } from "../net/macvlan_mode.ts";
import type { Cidr } from "../net/cidr.ts";
import type { IpAddress } from "../net/ip.ts";
import type { MacAddress } from "../net/mac.ts";
import type { Connection } from "../netlink/connection.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";
import { dumpAddresses, newAddress } from "../rtnetlink/address.ts";
import { RT_SCOPE_LINK, RT_TABLE_MAIN } from "../rtnetlink/constants.ts";
import {
  type AddrGenMode,
  deleteLink,
  getLink,
  type Link,
  LOOPBACK_INDEX,
  newLink,
  setLink,
} from "../rtnetlink/link.ts";
import { endDifferences, type WiringDifference } from "./difference.ts";
import { findLink, orNone } from "./questions.ts";
import { awaitAddresses } from "./routed_veth.ts";
import {
  missingPodRoutes,
  podRouteRequests,
  type PodRoutes,
  releasePodRules,
} from "./pod_routes.ts";

/** What an interface is to be, inside the pod. */
export interface ExtraInterface {
  readonly name: string;
  /** Chosen ahead, so that it is known before it is there. */
  readonly index: number;
  /** @default what it has */
  readonly mac?: MacAddress;
  /**
   * Bytes.
   * @default what it has
   */
  readonly mtu?: number;
  readonly addresses: readonly InterfaceAddress[];
  /** One of each IP version at most. */
  readonly gateways: readonly IpAddress[];
  /** Whether the pod's default routes lead to the gateways. */
  readonly defaultRoute: boolean;
  readonly routes: readonly {
    readonly destination: Cidr;
    readonly gateway?: IpAddress;
  }[];
}

/** What a link of the node was like before it was moved into a pod. */
export interface NodeDevice {
  readonly name: string;
  readonly index: number;
  readonly up: boolean;
  readonly mtu: number;
  readonly mac?: MacAddress;
  /** How its link-local IPv6 address is made, if IPv6 is there and the way has a name. */
  readonly addrGenMode?: AddrGenMode;
  readonly addresses: readonly {
    readonly address: IpAddress;
    readonly prefixLength: number;
    readonly scope: number;
  }[];
}

/** A link of the node, with all that is restored when it comes back. */
export function nodeDevice(route: Connection, link: Link): NodeDevice {
  const { name, index, up, mtu, mac, addrGenMode } = link;
  return {
    name,
    index,
    up,
    mtu,
    ...(mac === undefined ? {} : { mac }),
    ...(typeof addrGenMode === "string" ? { addrGenMode } : {}),
    addresses: route.dump(dumpAddresses({ index }))
      // The kernel makes link-local ones itself, and what a router has told comes again.
      .filter(({ family, scope, permanent }) =>
        permanent && !(family === 6 && scope === RT_SCOPE_LINK)
      )
      .map(({ address, prefixLength, scope }) => ({
        address,
        prefixLength,
        scope,
      })),
  };
}

/** Makes a macvlan in the pod, down. */
export function makeMacvlan(
  route: Connection,
  pod: NetworkNamespace,
  { name, index, mac, mtu }: ExtraInterface,
  { parent, mode }: { readonly parent: number; readonly mode: MacvlanMode },
): void {
  route.execute([
    newLink({
      name,
      index,
      parent,
      namespaceFd: pod.fd,
      info: { macvlan: { mode } },
      ...(mac === undefined ? {} : { mac }),
      ...(mtu === undefined ? {} : { mtu }),
    }),
  ]);
}

/** Moves a link of the node into the pod; it is down then and has no addresses. The kernel takes 20 ms. */
export function moveIn(
  route: Connection,
  pod: NetworkNamespace,
  { name, index }: ExtraInterface,
  device: Pick<NodeDevice, "index">,
): void {
  route.execute([
    setLink({
      index: device.index,
      namespaceFd: pod.fd,
      rename: name,
      newIndex: index,
    }),
  ]);
}

/**
 * Configures an interface that is there.
 *
 * @throws {SandboxError} `Timeout`
 */
export function configureInterface(
  podRoute: Connection,
  wanted: ExtraInterface,
): void {
  const { index, mac, mtu, addresses } = wanted;
  const changes = {
    ...(mac === undefined ? {} : { mac }),
    ...(mtu === undefined ? {} : { mtu }),
  };
  podRoute.execute([
    setLink({ index: LOOPBACK_INDEX, up: true }),
    ...mac === undefined && mtu === undefined
      ? []
      : [setLink({ index, ...changes })],
    setLink({ index, up: true }),
    ...addresses.map(({ address, prefixLength }) =>
      newAddress({ index, address, prefixLength, noDad: true })
    ),
    ...podRouteRequests(routesOf(wanted)),
  ]);
  // Asking for a link makes the kernel run its pending carrier work at once (since 6.8).
  const [link] = podRoute.request(getLink({ index }));
  if (!link?.carrier) return;
  awaitAddresses(podRoute, addresses.map(({ address }) => address));
}

function routesOf(
  { index, addresses, gateways, defaultRoute, routes }: ExtraInterface,
): PodRoutes {
  const defaults = gateways.map((gateway) =>
    ({
      destination: "default",
      family: gateway.family,
      gateway,
      table: defaultRoute ? RT_TABLE_MAIN : index,
    }) as const
  );
  const others = routes.map(({ destination, gateway }) => ({
    destination,
    family: destination.family,
    table: RT_TABLE_MAIN,
    ...(gateway === undefined ? {} : { gateway }),
  }));
  // Only where there is a way that the main table does not have.
  const sources = defaultRoute
    ? []
    : addresses.filter(({ family }) =>
      gateways.some((gateway) => gateway.family === family)
    );
  return {
    index,
    routes: [
      ...defaults,
      ...others,
      ...sources.map(({ network }) => ({
        destination: network,
        family: network.family,
        table: index,
      })),
    ],
    sources: sources.map(({ address }) => address),
  };
}

/** How an interface that is there differs from what it should be. */
export function interfaceDifferences(
  podRoute: Connection,
  mending: (mend: (podRoute: Connection) => void) => () => void,
  link: Link,
  wanted: ExtraInterface,
): WiringDifference[] {
  const { name, index, mac, mtu, addresses } = wanted;
  const ends = endDifferences(link, {
    object: `pod's link ${name}`,
    name,
    isFree: true,
    ...(mac === undefined ? {} : { mac }),
    ...(mtu === undefined ? {} : { mtu }),
  }, (change) => mending((route) => route.execute([change]))());
  const there = podRoute.dump(dumpAddresses({ index }));
  const missing = [
    ...addresses.filter(({ address, prefixLength }) =>
      !there.some((a) =>
        a.address.equals(address) && a.prefixLength === prefixLength
      )
    ).map((address) => `address ${address}`),
    ...missingPodRoutes(podRoute, routesOf(wanted)),
  ];
  return [
    ...ends,
    ...missing.map((what) => ({
      object: `pod's ${what}`,
      problem: "is missing",
      does: "sets it",
      mend: mending((route) => {
        releasePodRules(route, index);
        configureInterface(route, wanted);
      }),
    })),
  ];
}

/** Deletes an interface that was made for the pod; one that is gone is no error. */
export function deleteInterface(podRoute: Connection, index: number): void {
  releasePodRules(podRoute, index);
  try {
    podRoute.execute([deleteLink({ index })]);
  } catch (error) {
    if (!isNetlinkError(error, Errno.ENODEV)) throw error;
  }
}

/**
 * Gives a link back to the node if the pod has it, and makes it there what it was.
 *
 * @param pod undefined when the pod's namespace is gone: hardware has come back by itself then
 */
export function giveBack(
  route: Connection,
  node: NetworkNamespace,
  pod: Connection | undefined,
  { index, mac }: Pick<ExtraInterface, "index" | "mac">,
  device: NodeDevice,
): void {
  let { name } = device;
  if (pod !== undefined && findLink(pod, index) !== undefined) {
    releasePodRules(pod, index);
    name = moveOut(route, node, pod, index, device);
  }
  const link = orNone(route, getLink({ name }), Errno.ENODEV);
  const macs = [mac, device.mac].map(String);
  if (link === undefined || !macs.includes(String(link.mac))) return;
  const { index: back } = link;
  route.execute([
    ...device.mac === undefined || link.mac?.equals(device.mac)
      ? []
      : [setLink({ index: back, mac: device.mac })],
    ...link.mtu === device.mtu
      ? []
      : [setLink({ index: back, mtu: device.mtu })],
    ...link.addrGenMode === undefined || device.addrGenMode === undefined ||
        link.addrGenMode === device.addrGenMode
      ? []
      : [setLink({ index: back, addrGenMode: device.addrGenMode })],
    ...link.up === device.up ? [] : [setLink({ index: back, up: device.up })],
    ...device.addresses.map(({ address, prefixLength, scope }) =>
      newAddress({ index: back, address, prefixLength, scope, noDad: true })
    ),
  ]);
}

/** With its name and number, unless somebody on the node has taken these. */
function moveOut(
  route: Connection,
  node: NetworkNamespace,
  pod: Connection,
  index: number,
  device: NodeDevice,
): string {
  const isTaken =
    orNone(route, getLink({ name: device.name }), Errno.ENODEV) !==
      undefined;
  const name = isTaken
    ? `${device.name.slice(0, 6)}-${index.toString(16)}`
    : device.name;
  pod.execute([setLink({ index, up: false })]);
  const move = { index, namespaceFd: node.fd, rename: name };
  try {
    pod.execute([setLink({ ...move, newIndex: device.index })]);
  } catch (error) {
    if (!isNetlinkError(error, Errno.EBUSY, Errno.EEXIST)) throw error;
    pod.execute([setLink(move)]);
  }
  return name;
}
