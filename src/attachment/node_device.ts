/**
 * A link of the node itself that is a pod's interface: moved in, and given back as it was.
 *
 * Whoever is in the pod can put another link in its place, of the same name, number and MAC. So what comes from a pod is
 * known by its identity, and gets nothing of the node's before that.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import { SandboxError } from "../errors.ts";
import { linkIdentity } from "../namespace/link_identity.ts";
import type { NetworkNamespace } from "../namespace/network_namespace.ts";
import type { MacAddress } from "../net/mac.ts";
import type { Connection } from "../netlink/connection.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";
import type { Request } from "../netlink/message.ts";
import {
  type Address,
  dumpAddresses,
  newAddress,
  type NewAddressOptions,
} from "../rtnetlink/address.ts";
import {
  IFA_F_MANAGETEMPADDR,
  IFA_F_MCAUTOJOIN,
  IFA_F_NOPREFIXROUTE,
  IFA_F_TEMPORARY,
  RT_SCOPE_LINK,
} from "../rtnetlink/constants.ts";
import {
  type AddrGenMode,
  getLink,
  type Link,
  setLink,
} from "../rtnetlink/link.ts";
import type { ExtraInterface } from "./extra_interface.ts";
import { releasePodRules } from "./pod_routes.ts";
import { findLink, orNone } from "./questions.ts";

/** A network namespace, and a socket in it. */
export interface Place {
  readonly namespace: NetworkNamespace;
  readonly route: Connection;
}

/** What a link of the node was like before it was moved into a pod. */
export interface NodeDevice {
  /** Its {@linkcode linkIdentity}. Notes of earlier versions do not have it. */
  readonly identity?: string;
  readonly name: string;
  readonly index: number;
  readonly up: boolean;
  readonly mtu: number;
  readonly mac?: MacAddress;
  /** How its link-local IPv6 address is made, if IPv6 is there and the way has a name. */
  readonly addrGenMode?: AddrGenMode;
  /** Free text that names its owner, if it has one. */
  readonly alias?: string;
  /** Group number. Notes of earlier versions have neither this nor the alias. */
  readonly group?: number;
  readonly addresses: readonly DeviceAddress[];
}

/** An address of such a link. */
export interface DeviceAddress extends
  Pick<
    NewAddressOptions,
    | "address"
    | "prefixLength"
    | "peer"
    | "broadcast"
    | "label"
    | "scope"
    | "metric"
    | "flags"
    | "protocol"
  > {
  /**
   * Until when the link has it, in milliseconds since 1970.
   * @default without end
   */
  readonly validUntil?: number;
  /**
   * Until when it is chosen for new connections, in milliseconds since 1970.
   * @default without end
   */
  readonly preferredUntil?: number;
}

/**
 * A link of the node, with all that is restored when it comes back.
 *
 * @param identity its {@linkcode linkIdentity}
 */
export function nodeDevice(
  route: Connection,
  link: Link,
  identity: string,
): NodeDevice {
  const { name, index, up, mtu, mac, addrGenMode, alias, group } = link;
  return {
    identity,
    name,
    index,
    up,
    mtu,
    ...(mac === undefined ? {} : { mac }),
    ...(typeof addrGenMode === "string" ? { addrGenMode } : {}),
    ...(alias === undefined ? {} : { alias }),
    group,
    addresses: [
      ...route.dump(dumpAddresses({ index, family: 4 })),
      // The kernel lists what came last first, and chooses by this order.
      ...route.dump(dumpAddresses({ index, family: 6 })).reverse(),
    ].filter(isKept).map((found) => deviceAddress(found, name)),
  };
}

/** The kernel makes link-local and temporary ones of IPv6 itself. */
function isKept({ family, scope, flags }: Address): boolean {
  return family === 4 ||
    scope !== RT_SCOPE_LINK && (flags & IFA_F_TEMPORARY) === 0;
}

/** Flags that are not the state of an address. */
const KEPT_FLAGS = IFA_F_NOPREFIXROUTE | IFA_F_MANAGETEMPADDR |
  IFA_F_MCAUTOJOIN;

function deviceAddress(found: Address, link: string): DeviceAddress {
  const { address, prefixLength, scope, flags, label, protocol } = found;
  const { peer, broadcast, metric, validSeconds, preferredSeconds } = found;
  const now = Date.now();
  return {
    address,
    prefixLength,
    scope,
    flags: flags & KEPT_FLAGS,
    ...(peer === undefined ? {} : { peer }),
    ...(broadcast === undefined ? {} : { broadcast }),
    ...(label === undefined || label === link ? {} : { label }),
    ...(metric === undefined ? {} : { metric }),
    ...(protocol === undefined ? {} : { protocol }),
    ...(validSeconds === undefined
      ? {}
      : { validUntil: now + 1000 * validSeconds }),
    ...(preferredSeconds === undefined
      ? {}
      : { preferredUntil: now + 1000 * preferredSeconds }),
  };
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

/** Whether a link of a namespace is the one that was moved into the pod. */
export function isDevice(
  namespace: NetworkNamespace,
  link: Link,
  { mac }: Pick<ExtraInterface, "mac">,
  device: NodeDevice,
): boolean {
  return device.identity === undefined
    ? [mac, device.mac].map(String).includes(String(link.mac))
    : linkIdentity(namespace, link.name) === device.identity;
}

/**
 * Gives a link back to the node if the pod has it, and makes it there what it was.
 *
 * @param pod undefined when the pod's namespace is gone: hardware has come back by itself then, with the name that it had there
 * @throws {SandboxError} `DeviceLost` when the pod has another link in its place, which stays there
 */
export function giveBack(
  node: Place,
  pod: Place | undefined,
  wanted: Pick<ExtraInterface, "name" | "index" | "mac">,
  device: NodeDevice,
): void {
  const isIt = ({ namespace }: Place, link: Link | undefined) =>
    link !== undefined && isDevice(namespace, link, wanted, device);
  const { name, index } = wanted;
  const inPod = pod && findLink(pod.route, index);
  if (pod !== undefined && isIt(pod, inPod)) {
    releasePodRules(pod.route, index);
    const moved = moveOut(node, pod, index, device);
    if (moved !== undefined && isIt(node, moved)) {
      return restore(node.route, moved, device);
    }
    // Somebody has taken it already, and has the same note of it.
    if (!moved || !findLink(node.route, moved.index)) return;
    sendBack(node, pod, moved);
  }
  const back = [device.name, name].map((name) => named(node.route, name))
    .find((link) => isIt(node, link));
  if (back !== undefined) restore(node.route, back, device);
  else if (inPod !== undefined) {
    const { name: noted } = device;
    throw new SandboxError("DeviceLost", { device: noted, interface: name });
  }
}

function named(route: Connection, name: string): Link | undefined {
  return orNone(route, getLink({ name }), Errno.ENODEV);
}

/** With its name and number, unless somebody on the node has taken these. */
function moveOut(
  node: Place,
  pod: Place,
  index: number,
  device: NodeDevice,
): Link | undefined {
  const name = named(node.route, device.name) === undefined
    ? device.name
    : `${device.name.slice(0, 6)}-${index.toString(16)}`;
  pod.route.execute([setLink({ index, up: false })]);
  const move = { index, namespaceFd: node.namespace.fd, rename: name };
  try {
    pod.route.execute([setLink({ ...move, newIndex: device.index })]);
    return findLink(node.route, device.index);
  } catch (error) {
    if (!isNetlinkError(error, Errno.EBUSY, Errno.EEXIST)) throw error;
    pod.route.execute([setLink(move)]);
    return named(node.route, name);
  }
}

/** What somebody in the pod has put in the place of the link between the look at that and its move. */
function sendBack(node: Place, pod: Place, { index }: Link): void {
  const namespaceFd = pod.namespace.fd;
  node.route.execute([setLink({ index, namespaceFd, rename: "dev%d" })]);
}

/** Makes a link that has come back what it was, unless somebody has taken it by now, who has the same note of it. */
function restore(route: Connection, link: Link, device: NodeDevice): void {
  try {
    route.execute(restoration(route, link, device));
  } catch (error) {
    if (!isNetlinkError(error, Errno.ENODEV)) throw error;
  }
}

function restoration(
  route: Connection,
  link: Link,
  device: NodeDevice,
): Request<unknown>[] {
  const { index } = link;
  return [
    ...device.group === undefined ? [] : [
      setLink({ index, alias: device.alias ?? "", group: device.group }),
    ],
    ...link.name === device.name || named(route, device.name) !== undefined
      ? []
      : [setLink({ index, rename: device.name })],
    ...device.mac === undefined || link.mac?.equals(device.mac)
      ? []
      : [setLink({ index, mac: device.mac })],
    ...link.mtu === device.mtu ? [] : [setLink({ index, mtu: device.mtu })],
    ...link.addrGenMode === undefined || device.addrGenMode === undefined ||
        link.addrGenMode === device.addrGenMode
      ? []
      : [setLink({ index, addrGenMode: device.addrGenMode })],
    ...link.up === device.up ? [] : [setLink({ index, up: device.up })],
    ...device.addresses.flatMap((address) =>
      addressRequests(index, address, Date.now())
    ),
  ];
}

/** None for an address whose time has come. */
function addressRequests(
  index: number,
  { validUntil, preferredUntil, ...address }: DeviceAddress,
  now: number,
): Request<unknown>[] {
  const seconds = (until: number) =>
    Math.max(0, Math.round((until - now) / 1000));
  if (validUntil !== undefined && seconds(validUntil) === 0) return [];
  return [
    newAddress({
      index,
      ...address,
      noDad: true,
      ...(validUntil === undefined
        ? {}
        : { validSeconds: seconds(validUntil) }),
      ...(preferredUntil === undefined
        ? {}
        : { preferredSeconds: seconds(preferredUntil) }),
    }),
  ];
}
