/**
 * Rules between the fields of further interfaces, each checked on those that are valid by themselves.
 * @module
 */

import { AddressRange } from "../ipam/range.ts";
import { Cidr } from "../net/cidr.ts";
import { InterfaceAddress } from "../net/interface_address.ts";
import { IpAddress } from "../net/ip.ts";
import { joinPath, type Placed, type Problems } from "./problems.ts";
import { checkMtu } from "./rules.ts";
import type { BridgeAttachment, InterfaceSpec } from "./sandbox_spec.ts";

/** What the pod has besides. */
export interface OtherInterfaces {
  /** Names that are taken. */
  readonly names: readonly string[];
  /** Whether one of them has the pod's default routes. */
  readonly defaultRoute: boolean;
  /** Networks that others lead to. */
  readonly destinations: readonly string[];
  /** The node's. */
  readonly podCidrs: readonly Cidr[];
}

/** Of a pod that has nothing yet. */
export const NO_INTERFACES: OtherInterfaces = {
  names: [],
  destinations: [],
  defaultRoute: false,
  podCidrs: [],
};

/** Further interfaces: names and default routes once, gateways on their networks. */
export function checkInterfaces(
  problems: Problems,
  interfaces: readonly Placed<InterfaceSpec>[],
  others: OtherInterfaces,
): void {
  const names = new Set(others.names);
  const destinations = new Set(others.destinations);
  let { defaultRoute } = others;
  for (const { path, value } of interfaces) {
    const at = (key: string) => path === "" ? key : joinPath(path, key);
    if (names.has(value.name)) {
      problems.add(
        at("name"),
        "another interface of the pod has this name: write another",
        value.name,
      );
    }
    names.add(value.name);
    if (value.defaultRoute && defaultRoute) {
      problems.add(
        at("defaultRoute"),
        "another interface of the pod has the default routes: write false there or here",
        true,
      );
    } else if (value.defaultRoute && (value.gateways ?? []).length === 0) {
      problems.add(
        at("defaultRoute"),
        "give gateways too, to which the default routes are to lead",
        true,
      );
    }
    defaultRoute ||= value.defaultRoute ?? false;
    checkOne(problems, at, value, destinations);
    const { attachment } = value;
    if (attachment.type === "bridge") {
      checkBridge(problems, at, value, attachment, others.podCidrs);
    }
  }
}

function checkOne(
  problems: Problems,
  at: (key: string) => string,
  { addresses = [], gateways = [], routes = [], mtu, attachment }:
    InterfaceSpec,
  destinations: Set<string>,
): void {
  const own = addresses.map((text) => InterfaceAddress.parse(text));
  const ranges = attachment.type === "bridge" ? attachment.ranges ?? [] : [];
  const networks = [
    ...own.map(({ network }) => network),
    ...ranges.map(({ network }) => Cidr.parse(network)),
  ];
  const ofNode = attachment.type === "bridge"
    ? attachment.nodeAddresses ?? []
    : [];
  const isOnLink = (gateway: IpAddress) =>
    networks.some((network) => network.contains(gateway)) &&
    !own.some(({ address }) => address.equals(gateway));
  checkMtu(
    problems,
    mtu,
    // The bridge's MTU is that of its smallest port.
    [...networks, ...ofNode.map(InterfaceAddress.parse)]
      .map(({ family }) => family),
    at("mtu"),
  );
  for (const [i, { address, network }] of own.entries()) {
    checkUsable(problems, address, network, joinPath(at("addresses"), i));
  }
  const families = new Set<number>();
  for (const [i, text] of gateways.entries()) {
    const gateway = IpAddress.parse(text);
    const place = joinPath(at("gateways"), i);
    if (families.has(gateway.family)) {
      problems.add(
        place,
        `there is an IPv${gateway.family} gateway already: leave this one out`,
        text,
      );
    } else if (!isOnLink(gateway)) {
      problems.add(
        place,
        "write another address of a network that the interface has an address of",
        text,
      );
    }
    families.add(gateway.family);
  }
  for (const [i, { destination, gateway }] of routes.entries()) {
    const place = joinPath(at("routes"), i);
    const { prefixLength, family } = Cidr.parse(destination);
    if (prefixLength === 0) {
      problems.add(
        joinPath(place, "destination"),
        "leave it out: whether the interface has default routes is said by defaultRoute",
        destination,
      );
    } else if (destinations.has(destination)) {
      problems.add(
        joinPath(place, "destination"),
        `another route of the pod leads to ${destination}: leave one of them out`,
        destination,
      );
    } else if (!networks.some((network) => network.family === family)) {
      problems.add(
        joinPath(place, "destination"),
        `the interface has no IPv${family} address to leave with: give it one, or leave it out`,
        destination,
      );
    } else if (
      gateway !== undefined && !isOnLink(IpAddress.parse(gateway))
    ) {
      problems.add(
        joinPath(place, "gateway"),
        "write another address of a network that the interface has an address of",
        gateway,
      );
    }
    destinations.add(destination);
  }
}

/** An address that no interface can have: the kernel takes it, and nothing arrives. */
function checkUsable(
  problems: Problems,
  address: IpAddress,
  network: Cidr,
  path: string,
): void {
  const isEnd = network.family === 4 && network.size > 2n &&
    [network.network, network.last].some((end) => end.equals(address));
  const what = address.isLoopback
    ? "a loopback address"
    : address.isMulticast
    ? "a multicast address"
    : address.isUnspecified
    ? "no address"
    : isEnd
    ? `the network or broadcast address of ${network}`
    : undefined;
  if (what === undefined) return;
  problems.add(path, `${address} is ${what}: write another`, String(address));
}

/** A bridge: addresses of the node and of pods in networks of its own, and ranges that have room. */
function checkBridge(
  problems: Problems,
  at: (key: string) => string,
  { addresses = [] }: InterfaceSpec,
  { nodeAddresses = [], ranges = [], masquerade }: BridgeAttachment,
  podCidrs: readonly Cidr[],
): void {
  const place = (key: string, i: number) =>
    joinPath(joinPath(at("attachment"), key), i);
  const ofNode = nodeAddresses.map((text) => InterfaceAddress.parse(text));
  // What comes by a bridge from such an address is dropped by the node's guard.
  const refuseOfPods = (
    isOf: (cidr: Cidr) => boolean,
    path: string,
    text: string,
  ) => {
    const pods = podCidrs.find(isOf);
    if (pods === undefined) return;
    problems.add(
      path,
      `${text} overlaps the node's pod CIDR ${pods}: choose another network`,
      text,
    );
  };
  for (const [i, { address, network }] of ofNode.entries()) {
    const path = place("nodeAddresses", i);
    refuseOfPods((pods) => pods.overlaps(network), path, `${ofNode[i]}`);
    checkUsable(problems, address, network, path);
  }
  for (const [i, text] of addresses.entries()) {
    const { address } = InterfaceAddress.parse(text);
    const path = joinPath(at("addresses"), i);
    refuseOfPods((pods) => pods.contains(address), path, text);
    if (!ofNode.some((other) => other.address.equals(address))) continue;
    problems.add(path, "is the node's own on the bridge: write another", text);
  }
  if (masquerade && ofNode.length === 0) {
    problems.add(
      joinPath(at("attachment"), "masquerade"),
      "give nodeAddresses too: without one the node is no router on the bridge",
      true,
    );
  }
  const families = new Set<number>();
  for (const [i, { network: text, first, last }] of ranges.entries()) {
    const network = Cidr.parse(text);
    if (families.has(network.family)) {
      problems.add(
        place("ranges", i),
        `there is a range of IPv${network.family} already: leave this one out`,
        text,
      );
    }
    families.add(network.family);
    try {
      const range = new AddressRange(
        network,
        first === undefined ? undefined : IpAddress.parse(first),
        last === undefined ? undefined : IpAddress.parse(last),
      );
      const path = place("ranges", i);
      refuseOfPods((pods) => range.overlaps(pods), path, text);
      for (const end of range.ends) checkUsable(problems, end, network, path);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      problems.add(place("ranges", i), error.message, text);
    }
  }
}
