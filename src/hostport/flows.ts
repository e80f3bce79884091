/**
 * Flows that host ports have to do with: those that go on as before although a port was opened or closed.
 *
 * @module
 */
import type { ConntrackFilter } from "../conntrack/conntrack.ts";
import { IpAddress } from "../net/ip.ts";
import type { NftablesConnection } from "../nftables/connection.ts";
import {
  hairpinElement,
  IP_PROTOCOL,
  isWildcard,
  type Placed,
  type PortOwner,
} from "./elements.ts";
import type { HostPort } from "./mapping.ts";
import { SETS, TABLE } from "./sets.ts";

/**
 * Flows of UDP or SCTP that began before ports were opened: they keep their old way until they are forgotten.
 *
 * @param nodeAddresses asked for only if there are such ports
 */
export function earlierFlows(
  { hostNetwork }: Pick<PortOwner, "hostNetwork">,
  mappings: readonly HostPort[],
  nodeAddresses: () => readonly IpAddress[],
): readonly ConntrackFilter[] {
  const datagrams = hostNetwork ? [] : withoutTcp(mappings);
  if (datagrams.length === 0) return [];
  const addresses = nodeAddresses();
  return datagrams.flatMap((mapping) => {
    const { protocol, hostIP, hostPort, families } = mapping;
    return addresses.filter((address) =>
      families.includes(address.family) &&
      (isWildcard(mapping) || hostIP?.equals(address))
    ).map((address) => ({
      family: address.family,
      protocol: IP_PROTOCOL[protocol],
      originalDestinationPort: hostPort,
      originalDestination: address,
    }));
  });
}

/**
 * What ports had translated that were closed. Of a pod that is going away the TCP connections end by themselves, and looking
 * for them would cost a walk through the node's whole connection table; datagrams would go on for ever.
 *
 * @param mayHaveConnections asked only if there are such ports
 */
export function endedFlows(
  nft: NftablesConnection,
  { id, addresses, hostNetwork }: PortOwner,
  mappings: readonly HostPort[],
  isGone: boolean,
  mayHaveConnections: () => boolean,
): readonly ConntrackFilter[] {
  if (hostNetwork) return [];
  const ended = isGone ? withoutTcp(mappings) : mappings;
  // With nothing tracked there is no need to know whose the addresses are.
  if (ended.length === 0 || !mayHaveConnections()) return [];
  return addresses.filter((a) => isFreeOr(nft, a, id)).flatMap((address) =>
    ended.filter(({ families }) => families.includes(address.family))
      .map((mapping) => ({
        family: address.family,
        replySource: address,
        protocol: IP_PROTOCOL[mapping.protocol],
        originalDestinationPort: mapping.hostPort,
        // The pod may have the port on another address as well.
        ...isWildcard(mapping) || mapping.hostIP === undefined
          ? {}
          : { originalDestination: mapping.hostIP },
      }))
  );
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

function withoutTcp(mappings: readonly HostPort[]): HostPort[] {
  return mappings.filter(({ protocol }) => protocol !== "tcp");
}

/** Whether the table gives the pod's address to nobody else: what a record says is not proof. */
function isFreeOr(
  nft: NftablesConnection,
  pod: IpAddress,
  owner: string,
): boolean {
  const { set, element: { key } } = hairpinElement(pod, owner);
  const found = nft.getElement(TABLE, set, key);
  return found === undefined || found.comment === owner;
}
