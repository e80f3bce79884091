/**
 * Bridges that sandboxes' interfaces are ports of: made ready before the first port, swept up after the last.
 *
 * A bridge is deleted by who has the node alone: otherwise somebody could be making a port of it at that moment, and the
 * kernel would not say a word.
 *
 * @module
 */
import {
  type BridgeSite,
  deleteBridge,
  ensureBridge,
  findBridge,
  isOwnBridge,
  missingAddresses,
  ownBridges,
  unusedBridges,
  type WantedBridge,
} from "../../attachment/bridge.ts";
import {
  type BridgePort,
  claimOnBridge,
  claimsOnBridge,
} from "../../attachment/bridge_port.ts";
import { hasIpv6 } from "../../attachment/pod_link.ts";
import { findLink } from "../../attachment/questions.ts";
import { isSandboxError, SandboxError } from "../../errors.ts";
import { AddressRange } from "../../ipam/range.ts";
import { Cidr } from "../../net/cidr.ts";
import { InterfaceAddress } from "../../net/interface_address.ts";
import { IpAddress, type IpFamily } from "../../net/ip.ts";
import { MacAddress } from "../../net/mac.ts";
import type { Connection } from "../../netlink/connection.ts";
import { dumpAddresses } from "../../rtnetlink/address.ts";
import { dumpLinks, type Link } from "../../rtnetlink/link.ts";
import { joinPath, refusal } from "../../spec/problems.ts";
import type {
  BridgeAttachment,
  NormalisedInterface,
} from "../../spec/sandbox_spec.ts";
import { bridgesOf } from "./bridge_names.ts";
import { describeOwner, type NodeContext } from "./context.ts";
import { knownPeers } from "./current_table.ts";
import {
  bridgeAlias,
  identity,
  idOfFurtherAlias,
  newIndex,
  portAlias,
} from "../records/identity.ts";
import type { RecordedInterface, SandboxRecord } from "../records/records.ts";
import { lockUnlessGone } from "../records/node_lock.ts";

/** The attachment of an interface on a bridge, with everything said. */
export type BridgeSpec = Required<BridgeAttachment>;

/** An interface on a bridge. */
export interface InterfaceOnBridge extends NormalisedInterface {
  readonly attachment: BridgeSpec;
}

/** Where the node's bridges are made. */
export function bridgeSite(
  { sockets: { route }, namespace }: NodeContext,
): BridgeSite {
  return { route, namespace, newIndex };
}

/** What an interface needs of its bridge. */
export function wantedBridge(
  { settings: { name: node } }: Pick<NodeContext, "settings">,
  { bridge, nodeAddresses, masquerade }: BridgeSpec,
): WantedBridge {
  return {
    name: bridge,
    alias: bridgeAlias(node),
    // On one network with bridges of other nodes it must have another.
    mac: identity(`bridge ${node}/${bridge}`).mac,
    addresses: nodeAddresses.map((text) => InterfaceAddress.parse(text)),
    masquerade,
  };
}

/** The port of an interface that is on a bridge. */
export function recordedPort(
  { settings }: Pick<NodeContext, "settings">,
  { id }: Pick<SandboxRecord, "id">,
  { spec: { attachment }, port, mac }: RecordedInterface,
): BridgePort | undefined {
  if (attachment.type !== "bridge" || port === undefined || mac === undefined) {
    return undefined;
  }
  const { hairpin, isolated, macSpoofCheck: locked } = attachment;
  const alias = portAlias(settings.name, id);
  const flags = { hairpin, isolated, locked };
  return { ...port, alias, mac: MacAddress.parse(mac), ...flags };
}

/**
 * Makes the bridge ready. The user's own is only looked at.
 *
 * @throws {SandboxError} as {@linkcode findUsableBridge}
 */
export function readyBridge(
  context: NodeContext,
  spec: InterfaceOnBridge,
  path: string,
): Link {
  const found = findUsableBridge(context, spec, path);
  return found !== undefined && !isOwnBridge(found)
    ? found
    : ensureBridge(bridgeSite(context), wantedBridge(context, spec.attachment));
}

/**
 * Looks at the bridge; undefined when it is still to be made.
 *
 * @param path of the interface in what the caller wrote
 * @throws {SandboxError} `InvalidSpec` when the link is no bridge, or the user's own and not as it should be, or the node is on
 * the network already; `AddressInUse` when a pod on the bridge has an address that the node is to have
 */
export function findUsableBridge(
  context: NodeContext,
  spec: InterfaceOnBridge,
  path: string,
): Link | undefined {
  const { route } = context.sockets;
  const { attachment } = spec;
  const at = (key: string) => joinPath(joinPath(path, "attachment"), key);
  const found = findBridge(route, attachment.bridge);
  if (found !== undefined && found.kind !== "bridge") {
    throw refusal(at("bridge"), attachment.bridge, "the link is no bridge");
  }
  const { addresses } = wantedBridge(context, attachment);
  const missing = found === undefined
    ? addresses
    : missingAddresses(route, found.index, addresses);
  if (found === undefined || isOwnBridge(found)) {
    refuseTaken(context, found, missing, at("nodeAddresses"));
  } else if (missing[0] !== undefined) {
    throw refusal(
      at("nodeAddresses"),
      String(missing[0]),
      `the bridge is not podnet's, and does not have ${
        missing[0]
      }: add it, or leave it out`,
    );
  } else if (attachment.masquerade) {
    throw refusal(
      at("masquerade"),
      true,
      "leave it out: the bridge is not podnet's, and whose source is changed is its owner's to say",
    );
  }
  if (found !== undefined) {
    refuseSmallMtu(context, found, spec, joinPath(path, "mtu"));
  }
  return found;
}

/** What the node is to get on a bridge of podnet's must be nobody's there, and of a network that nothing else leads to. */
function refuseTaken(
  context: NodeContext,
  bridge: Link | undefined,
  addresses: readonly InterfaceAddress[],
  path: string,
): void {
  if (addresses.length === 0) return;
  const { route } = context.sockets;
  const claims = bridge && claimsOnBridge(route, bridge);
  const ofLinks = route.dump(dumpAddresses({}))
    .filter(({ index }) => index !== bridge?.index)
    .map(({ address, prefixLength }) => Cidr.around(address, prefixLength))
    // An address alone leads nowhere.
    .filter(({ size }) => size > 1n);
  const ofOthers = knownPeers(context)?.networks ?? [];
  for (const { address, network } of addresses) {
    if (bridge && claims?.some((claim) => claim.address.equals(address))) {
      throw inUse(context, bridge, address);
    }
    // Every link has these.
    if (network.family === 6 && address.isLinkLocal) continue;
    const taken = [
      ...network.size > 1n ? ofLinks : [],
      ...ofOthers.map((text) => Cidr.parse(text)),
    ].find((other) => other.overlaps(network));
    if (taken === undefined) continue;
    throw refusal(
      path,
      `${address}/${network.prefixLength}`,
      `${network} overlaps ${taken}, which the node reaches by another way: choose another network`,
    );
  }
}

/** A bridge has the MTU of its smallest port, and with one that is too small for IPv6 the kernel takes all of that from it. */
function refuseSmallMtu(
  { sockets: { route } }: NodeContext,
  bridge: Link,
  { mtu = bridge.mtu, addresses, attachment }: InterfaceOnBridge,
  path: string,
): void {
  const smallest = Math.min(mtu, bridge.mtu);
  if (hasIpv6(true, smallest)) return;
  const families = [
    ...route.dump(dumpAddresses({ index: bridge.index })),
    ...[...addresses, ...attachment.nodeAddresses]
      .map((text) => InterfaceAddress.parse(text)),
    ...attachment.ranges.map(({ network }) => Cidr.parse(network)),
  ].map(({ family }) => family);
  if (!families.includes(6)) return;
  throw refusal(
    path,
    mtu,
    `an MTU of ${smallest} is too small for IPv6, which the bridge or the interface has`,
  );
}

/**
 * Claims the addresses that were asked for and, where ranges are to give some, free ones, which are noted before they are
 * claimed.
 *
 * @returns the interface with what it got
 * @throws {SandboxError} `AddressInUse`, `AddressPoolExhausted`
 */
export function claimAll(
  context: NodeContext,
  id: string,
  own: RecordedInterface,
  port: BridgePort,
  bridge: Link,
  note: (own: RecordedInterface) => void,
): RecordedInterface {
  const { route } = context.sockets;
  const taken = claimsOnBridge(route, bridge);
  const ofBridge = route.dump(dumpAddresses({ index: bridge.index }))
    .map(({ address }) => address);
  const { spec } = own;
  const fixed = [...spec.addresses, ...own.chosen ?? []];
  for (const text of fixed) {
    const { address } = InterfaceAddress.parse(text);
    const isOwn = taken.some((claim) =>
      claim.index === port.index && claim.address.equals(address)
    );
    if (isOwn) continue;
    const isFree = !ofBridge.some((other) => other.equals(address)) &&
      claimOnBridge(route, port, bridge, address);
    if (!isFree) throw inUse(context, bridge, address);
  }
  const given = familiesOf(fixed);
  const reserved = new Set([
    ...taken.map(({ address }) => address.toBigInt()),
    ...ofBridge.map((address) => address.toBigInt()),
    ...spec.gateways.map((text) => IpAddress.parse(text).toBigInt()),
  ]);
  let got = own;
  for (const range of rangesOf(spec)) {
    if (given.includes(range.network.family)) continue;
    const { seed } = identity(`${id}/${spec.name}`);
    const isTaken = (address: bigint) => reserved.has(address);
    const chosen = range.candidates(seed, isTaken).find((candidate) => {
      const next = {
        ...got,
        chosen: [...got.chosen ?? [], String(candidate)],
      };
      note(next);
      if (!claimOnBridge(route, port, bridge, candidate.address)) return false;
      got = next;
      return true;
    });
    if (chosen === undefined) {
      throw new SandboxError("AddressPoolExhausted", {
        cidr: String(range.network),
        size: Number(range.size),
      });
    }
  }
  return got;
}

/** Whether an interface has all addresses that ranges are to give it. */
export function isSupplied(
  { spec, chosen = [] }: Pick<RecordedInterface, "spec" | "chosen">,
): boolean {
  const families = familiesOf([...spec.addresses, ...chosen]);
  return rangesOf(spec).every(({ network }) =>
    families.includes(network.family)
  );
}

function familiesOf(addresses: readonly string[]): IpFamily[] {
  return addresses.map((text) => InterfaceAddress.parse(text).family);
}

function rangesOf({ attachment }: NormalisedInterface): AddressRange[] {
  const ranges = attachment.type === "bridge" ? attachment.ranges : [];
  return ranges.map(({ network, first, last }) =>
    new AddressRange(
      Cidr.parse(network),
      first === undefined ? undefined : IpAddress.parse(first),
      last === undefined ? undefined : IpAddress.parse(last),
    )
  );
}

function inUse(
  context: NodeContext,
  bridge: Pick<Link, "index">,
  address: IpAddress,
): SandboxError {
  const { sockets: { route }, settings } = context;
  const claim = claimsOnBridge(route, bridge)
    .find((other) => other.address.equals(address));
  const owner = claim &&
    idOfFurtherAlias(settings.name, findLink(route, claim.index)?.alias);
  return new SandboxError("AddressInUse", {
    address: String(address),
    ...(owner === undefined ? {} : { owner: describeOwner(context, owner) }),
  });
}

/**
 * The names of bridges that may have no ports when an interface is detached; undefined when it is not there: an earlier try
 * may have come so far, and then nothing names its bridge any more.
 */
export function bridgesLeftBy(
  { interfaces }: SandboxRecord,
  name: string,
): string[] | undefined {
  const specs = interfaces.map(({ spec }) => spec);
  return specs.some((spec) => spec.name === name)
    ? bridgesOf(specs)
    : undefined;
}

/**
 * Deletes bridges of podnet's that have no ports. Others that are at work on the node are waited for; when they do not come to
 * an end, the bridges are left to garbage collection.
 *
 * @param names of those that may have lost their last port; none for all of them
 * @returns the names of those that are deleted
 */
export async function sweepBridges(
  context: NodeContext,
  names?: readonly string[],
  { dryRun = false }: { readonly dryRun?: boolean } = {},
): Promise<string[]> {
  const { route } = context.sockets;
  const find = () =>
    names === undefined ? unusedBridges(route) : unusedOf(route, names);
  if (find().length === 0) return [];
  try {
    using node = await lockUnlessGone(context.state, "exclusive");
    if (node === undefined) return [];
    const unused = find();
    if (!dryRun) { for (const bridge of unused) deleteBridge(route, bridge); }
    return unused.map(({ name }) => name);
  } catch (error) {
    if (isSandboxError(error, "Timeout")) return [];
    throw error;
  }
}

/**
 * Does something that may make a bridge, which is nobody's when it fails.
 *
 * @throws what `act` throws; what could not be swept is in its `undoFailures`
 */
export async function sweptIfItFails<T>(
  context: NodeContext,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    try {
      await sweepBridges(context);
    } catch (failure) {
      const before = isSandboxError(error) ? error.undoFailures : [];
      if (error instanceof Error) {
        Object.assign(error, { undoFailures: [...before, failure] });
      }
    }
    throw error;
  }
}

function unusedOf(route: Connection, names: readonly string[]): Link[] {
  return [...new Set(names)].flatMap((name) => {
    const found = findBridge(route, name);
    if (found === undefined || !isOwnBridge(found)) return [];
    const { index: master } = found;
    const isUsed = route.dump(dumpLinks({ master }))
      .some((link) => link.master === master);
    return isUsed ? [] : [found];
  });
}

/**
 * Deletes all bridges of podnet's, whoever has ports of them.
 *
 * @returns what was removed, in plain words
 */
export function removeBridges(route: Connection): string[] {
  const bridges = ownBridges(route);
  for (const bridge of bridges) deleteBridge(route, bridge);
  return bridges.map(({ name }) => `bridge ${name}`);
}
