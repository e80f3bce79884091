/**
 * Host ports as set elements: what one mapping adds to the sets of the node's table. Pure data.
 *
 * @module
 */
import { IpAddress, type IpFamily } from "../net/ip.ts";
import { smallBytes } from "../net/small_bytes.ts";
import type { Element, NftSet } from "../nftables/ruleset.ts";
import type { HostPort } from "./mapping.ts";
import { SETS } from "./sets.ts";

/** IPPROTO_* of the protocols that have host ports. */
export const IP_PROTOCOL = { tcp: 6, udp: 17, sctp: 132 } as const;

/** An element and its set. */
export interface Placed {
  readonly set: NftSet;
  readonly element: Element;
}

/** Makes one: all have the same fields in the same order, so that V8 compiles what reads them once. */
export function place(
  set: NftSet,
  key: Uint8Array,
  data?: Uint8Array,
  comment?: string,
): Placed {
  return { set, element: { key, data, comment } };
}

function put(bytes: Uint8Array, at: number, value: Uint8Array): void {
  // Faster than set() for an address.
  for (let i = 0; i < value.length; i++) bytes[at + i] = value[i] as number;
}

/** Fields of a concatenation take four bytes each, or a multiple: key of a wildcard mapping, protocol and port. */
export function wildcardKey(
  protocol: keyof typeof IP_PROTOCOL,
  hostPort: number,
): Uint8Array {
  return portKey(IP_PROTOCOL[protocol], hostPort);
}

/** As {@linkcode wildcardKey}, of a protocol's number. */
export function portKey(protocol: number, hostPort: number): Uint8Array {
  const key = smallBytes(8);
  key[0] = protocol;
  putPort(key, 4, hostPort);
  return key;
}

function putPort(bytes: Uint8Array, at: number, port: number): void {
  bytes[at] = port >> 8;
  bytes[at + 1] = port;
}

/** Key of a mapping for one host address. */
export function specificKey(
  hostIP: IpAddress,
  protocol: keyof typeof IP_PROTOCOL,
  hostPort: number,
): Uint8Array {
  const { bytes } = hostIP;
  const key = smallBytes(bytes.length + 8);
  put(key, 0, bytes);
  key[bytes.length] = IP_PROTOCOL[protocol];
  putPort(key, bytes.length + 4, hostPort);
  return key;
}

/** Where a mapping leads to: address and port of the pod. */
function destination({ bytes }: IpAddress, containerPort: number): Uint8Array {
  const data = smallBytes(bytes.length + 4);
  put(data, 0, bytes);
  putPort(data, bytes.length, containerPort);
  return data;
}

/** Whether the mapping is for every address of its families. */
export function isWildcard({ hostIP }: HostPort): boolean {
  return hostIP === undefined || hostIP.isUnspecified;
}

/** A pod that has, or wants, host ports. */
export interface PortOwner {
  /** The sandbox's id, kept with each element. */
  readonly id: string;
  readonly addresses: readonly IpAddress[];
  /**
   * Whether the pod is on the node's own network: its ports are claimed, so that nobody else gets them, and nothing is
   * translated.
   * @default false
   */
  readonly hostNetwork?: boolean;
  /**
   * Its addresses on other networks, from which it may ask for its own ports, too. No two are the same.
   * @default none
   */
  readonly further?: readonly IpAddress[];
}

/** The key of a mapping in the sets of its kind. */
function keyOf({ protocol, hostIP, hostPort }: HostPort): Uint8Array {
  return hostIP === undefined || hostIP.isUnspecified
    ? wildcardKey(protocol, hostPort)
    : specificKey(hostIP, protocol, hostPort);
}

/** The element that claims the host port in a family, first, and those that go with it. */
export function portElements(
  mapping: HostPort,
  pod: IpAddress,
  owner: string,
): Placed[] {
  const placed: Placed[] = [];
  addPort(placed, mapping, keyOf(mapping), pod, owner);
  return placed;
}

function addPort(
  placed: Placed[],
  mapping: HostPort,
  key: Uint8Array,
  pod: IpAddress,
  owner: string,
): void {
  const { hostIP } = mapping;
  const sets = SETS[pod.family];
  const data = destination(pod, mapping.containerPort);
  if (isWildcard(mapping)) {
    placed.push(place(sets.wildcard, key, data, owner));
    placed.push(place(sets.loopback, key, undefined, owner));
    return;
  }
  placed.push(place(sets.specific, key, data, owner));
  if (hostIP?.isLoopback) {
    placed.push(place(sets.loopbackSpecific, key, undefined, owner));
  }
}

/**
 * The element that makes replies of a pod to itself come back through the node.
 *
 * @param from the address from which it asks
 */
export function hairpinElement(
  pod: IpAddress,
  owner: string,
  from: IpAddress = pod,
): Placed {
  const { bytes, family } = pod;
  const key = smallBytes(2 * bytes.length);
  put(key, 0, from.bytes);
  put(key, bytes.length, bytes);
  return place(SETS[family].hairpin, key, undefined, owner);
}

/** The pod's address, if it is an element that {@linkcode hairpinElement} made. */
export function hairpinOf(
  { set, element: { key } }: Placed,
): IpAddress | undefined {
  return set === SETS[4].hairpin || set === SETS[6].hairpin
    ? IpAddress.fromBytes(key.subarray(key.length / 2))
    : undefined;
}

/** The pod's address of a family, if it has one. */
export function ofFamily(
  addresses: readonly IpAddress[],
  family: IpFamily,
): IpAddress | undefined {
  for (const address of addresses) {
    if (address.family === family) return address;
  }
  return undefined;
}

/** All elements of a pod: those every pod has, and those of its host ports. */
export function elementsOf(
  mappings: readonly HostPort[],
  owner: PortOwner,
): Placed[] {
  const placed: Placed[] = [];
  if (!owner.hostNetwork) {
    for (const address of owner.addresses) {
      placed.push(hairpinElement(address, owner.id));
    }
    if (owner.further !== undefined) addFurther(placed, owner, owner.further);
  }
  addPorts(placed, mappings, owner);
  return placed;
}

/** Of a pod that has no others: those that let it ask from these addresses. */
export function furtherElements(owner: PortOwner): Placed[] {
  const placed: Placed[] = [];
  addFurther(placed, owner, owner.further ?? []);
  return placed;
}

function addFurther(
  placed: Placed[],
  { id, addresses }: PortOwner,
  further: readonly IpAddress[],
): void {
  for (const from of further) {
    const pod = ofFamily(addresses, from.family);
    if (pod !== undefined) placed.push(hairpinElement(pod, id, from));
  }
}

/** The elements of a pod's host ports; on the node's own network they claim the ports, and nothing is translated. */
export function portsOf(
  mappings: readonly HostPort[],
  owner: PortOwner,
): Placed[] {
  const placed: Placed[] = [];
  addPorts(placed, mappings, owner);
  return placed;
}

function addPorts(
  placed: Placed[],
  mappings: readonly HostPort[],
  { id, addresses, hostNetwork }: PortOwner,
): void {
  for (const mapping of mappings) {
    const key = keyOf(mapping);
    for (const family of mapping.families) {
      if (hostNetwork) {
        const { hostNetwork, hostNetworkSpecific } = SETS[family];
        const set = isWildcard(mapping) ? hostNetwork : hostNetworkSpecific;
        placed.push(place(set, key, undefined, id));
        continue;
      }
      const pod = ofFamily(addresses, family);
      if (pod !== undefined) addPort(placed, mapping, key, pod, id);
    }
  }
}

/** The elements of each set: a message takes those of one. */
export function bySet(
  placed: readonly Placed[],
): Map<NftSet, Placed["element"][]> {
  const sets = new Map<NftSet, Element[]>();
  for (const { set, element } of placed) {
    const elements = sets.get(set);
    if (elements === undefined) sets.set(set, [element]);
    else elements.push(element);
  }
  return sets;
}
