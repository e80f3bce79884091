/**
 * Who is in the way of a host port: a socket of the node, another pod; or an address that the node does not have.
 *
 * @module
 */
import { SandboxError } from "../errors.ts";
import type { IpAddress, IpFamily } from "../net/ip.ts";
import type { NftablesConnection } from "../nftables/connection.ts";
import type { Element, NftSet } from "../nftables/ruleset.ts";
import { bracketed } from "../text.ts";
import {
  isWildcard,
  type PortOwner,
  portsOf,
  specificKey,
  wildcardKey,
} from "./elements.ts";
import { findObstacle, type SocketTables } from "./listeners.ts";
import type { HostPort } from "./mapping.ts";
import { SETS, TABLE } from "./sets.ts";

/** What telling a conflict needs of the caller. */
export interface ConflictOptions {
  /** Addresses of the node, loopback included; asked for when they matter. */
  readonly nodeAddresses: () => readonly IpAddress[];
  /** Names the sandbox behind an id, for the error. */
  readonly describeOwner: (id: string) => string;
}

/**
 * Refuses addresses that the node does not have, and ports that a socket of the node waits on.
 *
 * @throws {SandboxError} `HostAddressUnknown`, `HostPortInUse`
 */
export function refuseUnusable(
  sockets: SocketTables,
  mappings: readonly HostPort[],
  { nodeAddresses }: Pick<ConflictOptions, "nodeAddresses">,
): void {
  for (const mapping of mappings) {
    const { hostIP } = mapping;
    if (hostIP === undefined || hostIP.isUnspecified) continue;
    if (!nodeAddresses().some((address) => address.equals(hostIP))) {
      throw new SandboxError("HostAddressUnknown", { hostIP: String(hostIP) });
    }
  }
  const obstacle = findObstacle(sockets, mappings);
  if (obstacle === undefined) return;
  const { mapping, socket: { address, port } } = obstacle;
  throw inUse(
    mapping,
    address.family,
    `a socket of the node on ${bracketed(String(address))}:${port}`,
  );
}

/**
 * A wildcard and a single address do not meet in one map, nor do pods of their own network and those of the node's: so
 * the other sets are asked.
 *
 * @throws {SandboxError} `HostPortInUse`
 */
export function refuseOverlap(
  nft: NftablesConnection,
  owner: PortOwner,
  mapping: HostPort,
  { nodeAddresses, describeOwner }: ConflictOptions,
): void {
  const { protocol, hostPort, hostIP } = mapping;
  for (const family of mapping.families) {
    const sets = SETS[family];
    const wildcard = wildcardKey(protocol, hostPort);
    const specifics = isWildcard(mapping) || hostIP === undefined
      ? nodeAddresses().filter((address) => address.family === family)
      : [hostIP];
    const others = specifics.flatMap((address) => {
      const key = specificKey(address, protocol, hostPort);
      return [
        { set: sets.specific, key },
        { set: sets.hostNetworkSpecific, key },
      ];
    }).concat([
      { set: sets.wildcard, key: wildcard },
      { set: sets.hostNetwork, key: wildcard },
    ]).filter(({ set }) => set !== ownSet(owner, mapping, family));
    const found = nft.getElements(TABLE, others)
      .find((element) => element !== undefined);
    if (found !== undefined) {
      throw inUse(mapping, family, nameOf(found, describeOwner));
    }
  }
}

/** The set in which the kernel itself tells two who want the same. */
function ownSet(
  { hostNetwork = false }: PortOwner,
  mapping: HostPort,
  family: IpFamily,
): NftSet {
  const sets = SETS[family];
  if (isWildcard(mapping)) {
    return hostNetwork ? sets.hostNetwork : sets.wildcard;
  }
  return hostNetwork ? sets.hostNetworkSpecific : sets.specific;
}

/**
 * Names who has a port that the kernel said is taken.
 *
 * @throws {SandboxError} `HostPortInUse`
 */
export function refuseTaken(
  nft: NftablesConnection,
  owner: PortOwner,
  mapping: HostPort,
  { describeOwner }: Pick<ConflictOptions, "describeOwner">,
): void {
  for (const family of mapping.families) {
    const wanted = portsOf([{ ...mapping, families: [family] }], owner);
    for (const { set, element } of wanted) {
      const found = nft.getElement(TABLE, set, element.key);
      if (found === undefined || found.comment === owner.id) continue;
      throw inUse(mapping, family, nameOf(found, describeOwner));
    }
  }
}

/** Whose an element is. One without a comment is of no sandbox. */
function nameOf(
  { comment }: Element,
  describeOwner: ConflictOptions["describeOwner"],
): string {
  return comment === undefined ? "somebody else" : describeOwner(comment);
}

/** The error names the host IP that was asked for, or else the wildcard of the family in which the port is taken. */
function inUse(
  { protocol, hostPort, hostIP }: HostPort,
  family: IpFamily,
  owner: string,
): SandboxError {
  return new SandboxError("HostPortInUse", {
    protocol,
    hostIP: String(hostIP ?? (family === 4 ? "0.0.0.0" : "::")),
    hostPort,
    owner,
  });
}
