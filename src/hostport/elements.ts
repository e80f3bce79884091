/**
 * Host ports as set elements: what one mapping adds to the sets of the node's table. Pure data.
 *
 * @module
 */
import type { ConntrackFilter } from "../conntrack/conntrack.ts";
import { IpAddress, type IpFamily } from "../net/ip.ts";
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

/** Fields of a concatenation take four bytes each, or a multiple. */
function concatenate(...fields: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const field of fields) size += field.length + 3 & ~3;
  const key = new Uint8Array(size);
  let at = 0;
  for (const field of fields) {
    key.set(field, at);
    at += field.length + 3 & ~3;
  }
  return key;
}

function port(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

/** Key of a wildcard mapping: protocol and port. */
export function wildcardKey(
  protocol: keyof typeof IP_PROTOCOL,
  hostPort: number,
): Uint8Array {
  return concatenate(Uint8Array.of(IP_PROTOCOL[protocol]), port(hostPort));
}

/** Key of a mapping for one host address. */
export function specificKey(
  hostIP: IpAddress,
  protocol: keyof typeof IP_PROTOCOL,
  hostPort: number,
): Uint8Array {
  return concatenate(
    hostIP.bytes,
    Uint8Array.of(IP_PROTOCOL[protocol]),
    port(hostPort),
  );
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
}

/** The element that claims the host port in a family, first, and those that go with it. */
export function portElements(
  mapping: HostPort,
  pod: IpAddress,
  owner: string,
): Placed[] {
  const { protocol, hostIP, hostPort, containerPort } = mapping;
  const { family } = pod;
  const sets = SETS[family];
  const data = concatenate(pod.bytes, port(containerPort));
  if (hostIP === undefined || hostIP.isUnspecified) {
    const key = wildcardKey(protocol, hostPort);
    return [
      { set: sets.wildcard, element: { key, data, comment: owner } },
      { set: sets.loopback, element: { key, comment: owner } },
    ];
  }
  const key = specificKey(hostIP, protocol, hostPort);
  const claim = {
    set: sets.specific,
    element: { key, data, comment: owner },
  };
  if (!hostIP.isLoopback) return [claim];
  return [claim, {
    set: sets.loopbackSpecific,
    element: { key, comment: owner },
  }];
}

/** The element that claims a port in a family for a pod on the node's own network: nothing is translated. */
export function hostNetworkElement(
  { protocol, hostIP, hostPort }: HostPort,
  family: IpFamily,
  owner: string,
): Placed {
  const sets = SETS[family];
  return hostIP === undefined || hostIP.isUnspecified
    ? {
      set: sets.hostNetwork,
      element: { key: wildcardKey(protocol, hostPort), comment: owner },
    }
    : {
      set: sets.hostNetworkSpecific,
      element: { key: specificKey(hostIP, protocol, hostPort), comment: owner },
    };
}

/** The element that makes replies of a pod to itself come back through the node. */
export function hairpinElement(pod: IpAddress, owner: string): Placed {
  return {
    set: SETS[pod.family].hairpin,
    element: { key: concatenate(pod.bytes, pod.bytes), comment: owner },
  };
}

/**
 * The flows of datagrams that a map's element has translated; TCP connections end by themselves. None of an element that
 * translates nothing.
 */
export function translatedFlows(
  { set, element: { key, data } }: Placed,
): ConntrackFilter[] {
  if (data === undefined) return [];
  const family = set === SETS[4].wildcard || set === SETS[4].specific ? 4 : 6;
  const addressLength = family === 4 ? 4 : 16;
  const isSpecific = set === SETS[family].specific;
  const [protocol = 0, , , , high = 0, low = 0] = key.subarray(
    isSpecific ? addressLength : 0,
  );
  if (protocol === IP_PROTOCOL.tcp) return [];
  return [{
    family,
    protocol,
    originalDestinationPort: high << 8 | low,
    replySource: IpAddress.fromBytes(data.subarray(0, addressLength)),
    ...isSpecific
      ? {
        originalDestination: IpAddress.fromBytes(
          key.subarray(0, addressLength),
        ),
      }
      : {},
  }];
}

/** The pod's address, if it is an element that {@linkcode hairpinElement} made. */
export function hairpinOf(
  { set, element: { key } }: Placed,
): IpAddress | undefined {
  return set === SETS[4].hairpin || set === SETS[6].hairpin
    ? IpAddress.fromBytes(key.subarray(0, key.length / 2))
    : undefined;
}

/** The pod's address of a family, if it has one. */
export function ofFamily(
  addresses: readonly IpAddress[],
  family: IpFamily,
): IpAddress | undefined {
  return addresses.find((address) => address.family === family);
}

/** All elements of a pod: those every pod has, and those of its host ports. */
export function elementsOf(
  mappings: readonly HostPort[],
  owner: PortOwner,
): Placed[] {
  const hairpins = owner.hostNetwork
    ? []
    : owner.addresses.map((address) => hairpinElement(address, owner.id));
  return [...hairpins, ...portsOf(mappings, owner)];
}

/** The elements of a pod's host ports. */
export function portsOf(
  mappings: readonly HostPort[],
  owner: PortOwner,
): Placed[] {
  return mappings.flatMap((mapping) =>
    mapping.families.flatMap((family) => {
      if (owner.hostNetwork) {
        return [hostNetworkElement(mapping, family, owner.id)];
      }
      const pod = ofFamily(owner.addresses, family);
      return pod === undefined ? [] : portElements(mapping, pod, owner.id);
    })
  );
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
