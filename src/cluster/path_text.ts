/**
 * Plans as text, in the words of ip(8) and bridge(8).
 *
 * @module
 */
import type { PathPlan, PathRoute } from "./path_plan.ts";

/** The whole of a plan, one thing a line. */
export function renderPlan(plan: PathPlan): string {
  const {
    tunnels,
    addresses,
    wireguard,
    forwarding,
    neighbours,
    routes,
    rules,
  } = plan;
  const { networks, tunnelPorts, tunnelSources } = plan.peers;
  return [
    ...tunnels.map(({ name, vni, port, local, mac, mtu }) =>
      `link ${name} vxlan id ${vni} dstport ${port} local ${local} address ${mac} mtu ${mtu}`
    ),
    ...addresses.map(({ link, address }) =>
      `address ${address}/32 dev ${link} scope link`
    ),
    ...wireguard === undefined ? [] : [
      `link ${wireguard.link} wireguard port ${wireguard.port} mtu ${wireguard.mtu}`,
      ...wireguard.peers.map(({ publicKey, endpoint, allowedIps }) =>
        `peer ${publicKey} endpoint ${endpoint.address} port ${endpoint.port} allowed-ips ${
          allowedIps.join(",")
        }`
      ),
    ],
    ...forwarding.map(({ link, mac, remote }) =>
      `fdb ${mac} dev ${link} dst ${remote}`
    ),
    ...neighbours.map(({ link, address, mac }) =>
      `neigh ${address} lladdr ${mac} dev ${link}`
    ),
    ...routes.map(renderRoute),
    ...rules.map((network) => `rule from ${network} lookup pods`),
    ...networks.map((network) => `peers ${network}`),
    ...tunnelSources.map((address) =>
      `tunnel from ${address} to port ${tunnelPorts.join(",")}`
    ),
    ...plan.refused.map(({ code, message }) => `refused ${code}: ${message}`),
  ].map((line) => `${line}\n`).join("");
}

/** A route as text. */
export function renderRoute({ destination, ofPods, hop }: PathRoute): string {
  return [
    hop === undefined ? "route unreachable" : "route",
    destination,
    ...hop === undefined ? [] : [
      ...hop.gateway === undefined ? [] : [`via ${hop.gateway}`],
      `dev ${hop.link}`,
      ...hop.onlink ? ["onlink"] : [],
      ...hop.source === undefined ? [] : [`src ${hop.source}`],
    ],
    ...ofPods ? ["table pods"] : [],
  ].join(" ");
}
