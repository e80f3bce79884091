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
import type { JsonObject } from "../model/json.ts";
import type { PluginRequest } from "../model/network.ts";
import {
  type CniResult,
  EMPTY_RESULT,
  parseResult,
  type ResultDns,
} from "../model/result.ts";
import { resultDocument } from "../model/result_document.ts";
import type { Invocation } from "./invocation.ts";

/** The document for standard output, in the version of the request. */
export function resultOf(
  { netns }: Invocation,
  { prevResult, cniVersion }: PluginRequest,
  node: Node,
  sandbox: Sandbox,
  dns: ResultDns | undefined,
): JsonObject {
  const before = prevResult === undefined
    ? EMPTY_RESULT
    : parseResult(prevResult);
  const made = madeBy(node, sandbox, netns, before.interfaces.length);
  const said = dns ?? before.dns;
  return resultDocument({
    interfaces: [...before.interfaces, ...made.interfaces],
    ips: [...before.ips, ...made.ips],
    routes: [...before.routes, ...made.routes],
    ...said !== undefined && { dns: said },
  }, cniVersion);
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
