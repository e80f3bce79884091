/**
 * How a sandbox that exists is wired, by its record: what its link is to be, and which addresses it claims.
 *
 * @module
 */
import type { ClaimedAddress } from "../../attachment/address_claims.ts";
import { hasIpv6, type PodLink } from "../../attachment/pod_link.ts";
import { Cidr } from "../../net/cidr.ts";
import { MacAddress } from "../../net/mac.ts";
import type { NodeContext } from "../node/context.ts";
import { linkAlias } from "../records/identity.ts";
import { hasNetworks } from "../records/network_notes.ts";
import { addressesOf, type SandboxRecord } from "../records/records.ts";
import type { NormalisedSpec } from "../../spec/sandbox_spec.ts";

/** A record that tells of a link, which those on the host network do not. */
export type LinkedRecord =
  & SandboxRecord
  & Required<Pick<SandboxRecord, "link">>;

/** The link that it tells of. */
export function recordedLink(
  { settings, ipv6, state }: NodeContext,
  record: LinkedRecord,
): PodLink {
  const { id, spec, mtu, link, bandwidth } = record;
  const { hostInterface, hostIndex, podIndex, mac } = link;
  return {
    hostInterface,
    hostIndex,
    podIndex,
    alias: linkAlias(settings.name, id),
    interfaceName: spec.interfaceName,
    mac: MacAddress.parse(mac),
    mtu,
    ipv6: hasIpv6(ipv6, mtu),
    prepared: undefined,
    defaultRoute: spec.defaultRoute,
    ownTable: !spec.defaultRoute || record.interfaces.length > 0 ||
      hasNetworks(state, id),
    routes: networksOf(spec),
    bandwidth,
  };
}

/** The networks of its routes. */
export function networksOf(
  { routes }: Pick<NormalisedSpec, "routes">,
): Cidr[] {
  return routes.map(({ destination }) => Cidr.parse(destination));
}

/** Its addresses, each with the gateway of its family. */
export function recordedClaims(
  { pools }: NodeContext,
  record: SandboxRecord,
): ClaimedAddress[] {
  return addressesOf(record).flatMap((address) => {
    const pool = pools.find(({ cidr }) => cidr.family === address.family);
    return pool === undefined ? [] : [{ address, gateway: pool.gateway }];
  });
}
