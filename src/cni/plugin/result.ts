/**
 * The result of ADD: what podnet made, behind what the plugins before it made.
 *
 * @module
 */
import { HOST_MAC } from "../../attachment/routed_veth.ts";
import { Cidr } from "../../net/cidr.ts";
import { IpAddress } from "../../net/ip.ts";
import type { Node } from "../../sandbox/node.ts";
import type { Sandbox } from "../../sandbox/sandbox.ts";
import type { CniResult, ResultDns } from "../model/result.ts";
import type { Invocation } from "./invocation.ts";

/** The whole result; `before` is that of the plugins before. */
export function resultOf(
  { netns }: Invocation,
  before: CniResult,
  node: Node,
  sandbox: Sandbox,
  dns: ResultDns | undefined,
): CniResult {
  const made = madeBy(node, sandbox, netns, before.interfaces.length);
  const said = dns ?? before.dns;
  return {
    interfaces: [...before.interfaces, ...made.interfaces],
    ips: [...before.ips, ...made.ips],
    routes: [...before.routes, ...made.routes],
    ...said !== undefined && { dns: said },
  };
}

/** What podnet made; its interfaces are numbered behind those that are there. */
function madeBy(
  { gateways }: Node,
  { hostInterface = "", interfaceName = "", mac, mtu, addresses, routes }:
    Sandbox,
  netns: string,
  firstInterface: number,
): CniResult {
  return {
    interfaces: [
      { name: hostInterface, mac: String(HOST_MAC) },
      {
        name: interfaceName,
        ...mac !== undefined && { mac },
        mtu,
        sandbox: netns,
      },
    ],
    ips: addresses.map((text, i) => {
      const gateway = gateways[i];
      return {
        address: String(Cidr.host(IpAddress.parse(text))),
        ...gateway !== undefined && { gateway },
        interface: firstInterface + 1,
      };
    }),
    routes: routes.map(({ destination, gateway }) => ({
      dst: destination,
      gw: gateway,
    })),
  };
}
