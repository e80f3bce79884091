/**
 * The networks that a configuration gives pods addresses of, in podnet's own words and in those of host-local.
 *
 * @module
 */
import { Cidr } from "../../net/cidr.ts";
import { IpAddress } from "../../net/ip.ts";
import { isObject, joinPath, type Problems } from "../../spec/problems.ts";
import type { CapabilityRange } from "../model/capabilities.ts";

/** The keys that have networks. */
export interface ConfiguredNetworks {
  readonly podCidrs?: readonly string[];
  readonly subnet?: string;
  readonly ipam: {
    readonly subnet?: string;
    readonly ranges?: readonly (readonly Pick<CapabilityRange, "subnet">[])[];
  };
}

/** A route, as the configuration has it at `place`. */
export interface PlacedRoute {
  readonly dst: string;
  readonly gw?: string;
  readonly place: string;
}

/** Every network that pods may have addresses of, and where it stands. */
export function podNetworks(
  { podCidrs = [], subnet, ipam }: ConfiguredNetworks,
  ipRanges: readonly (readonly CapabilityRange[])[],
): ReadonlyMap<string, string> {
  const places = new Map<string, string>();
  const note = (cidr: string | undefined, place: string) => {
    if (cidr !== undefined && !places.has(cidr)) places.set(cidr, place);
  };
  const noteSets = (
    sets: readonly (readonly Pick<CapabilityRange, "subnet">[])[],
    base: string,
  ) => {
    for (const [i, set] of sets.entries()) {
      for (const [j, range] of set.entries()) {
        note(range.subnet, `${base}[${i}][${j}].subnet`);
      }
    }
  };
  podCidrs.forEach((cidr, i) => note(cidr, joinPath("podCidrs", i)));
  note(subnet, "subnet");
  note(ipam.subnet, "ipam.subnet");
  noteSets(ipam.ranges ?? [], "ipam.ranges");
  noteSets(ipRanges, "runtimeConfig.ipRanges");
  return places;
}

/** host-local can give out a part of a network, and have its gateway anywhere. */
export function refuseParts(
  problems: Problems,
  given: unknown,
  path: string,
): void {
  if (Array.isArray(given)) {
    given.forEach((one, i) => refuseParts(problems, one, joinPath(path, i)));
  }
  if (!isObject(given)) return;
  for (const key of ["rangeStart", "rangeEnd"]) {
    const value = given[key];
    if (value === undefined || value === "") continue;
    problems.add(
      joinPath(path, key),
      "leave it out, and write a subnet that is the node's alone: all of its addresses are for pods",
      value,
    );
  }
  const { subnet, gateway = "" } = given;
  if (gateway !== "" && !isGateway(gateway, [subnet])) {
    problems.add(joinPath(path, "gateway"), OTHER_GATEWAY, gateway);
  }
  refuseParts(problems, given["ranges"], joinPath(path, "ranges"));
}

const OTHER_GATEWAY =
  "leave it out: the gateway is the node, by the first address of the network";

/** Refuses next hops that are no gateway of these networks, if there are any. */
export function refuseGateways(
  problems: Problems,
  routes: readonly PlacedRoute[],
  networks: readonly string[],
): void {
  for (const { gw = "", place } of routes) {
    if (gw === "" || networks.length === 0 || isGateway(gw, networks)) continue;
    problems.add(joinPath(place, "gw"), OTHER_GATEWAY, gw);
  }
}

/** Whether the address is the first one of one of the networks. */
function isGateway(address: unknown, networks: readonly unknown[]): boolean {
  return networks.some((network) => {
    try {
      const first = Cidr.parse(String(network)).at(1n);
      return first.equals(IpAddress.parse(String(address)));
    } catch {
      return false;
    }
  });
}
