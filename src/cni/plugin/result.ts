/**
 * The result of ADD: what podnet made, behind what the plugins before it made.
 *
 * @module
 */
import { HOST_MAC } from "../../attachment/pod_link.ts";
import { Cidr } from "../../net/cidr.ts";
import { IpAddress } from "../../net/ip.ts";
import type { Node } from "../../sandbox/node.ts";
import type { Sandbox } from "../../sandbox/sandbox.ts";
import {
  type CniResult,
  EMPTY_RESULT,
  type ResultDns,
} from "../model/result.ts";
import type { Invocation } from "./invocation.ts";

/** The whole result; `before` is that of the plugins before. */
export function resultOf(
  { netns }: Invocation,
  before: CniResult,
  node: Node,
  sandbox: Sandbox,
  dns: ResultDns | undefined,
): CniResult {
  const made = sandbox.hostInterface === undefined
    ? madeOf(sandbox, netns, before.interfaces.length)
    : madeBy(node, sandbox, netns, before.interfaces.length);
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

/** What podnet made on a network that is not its own: the node's parts first, as bridge tells them. */
function madeOf(
  { interfaces: [made] }: Sandbox,
  netns: string,
  firstInterface: number,
): CniResult {
  if (made === undefined) return EMPTY_RESULT;
  const { name, attachment, hostInterface, mac, mtu } = made;
  const ofNode = [
    ...attachment.type === "bridge" ? [{ name: attachment.bridge }] : [],
    ...hostInterface === undefined ? [] : [{ name: hostInterface }],
  ];
  const gatewayOf = (text: string) =>
    made.gateways.find((gateway) =>
      gateway.includes(":") === text.includes(":")
    );
  return {
    interfaces: [
      ...ofNode,
      {
        name,
        ...mac !== undefined && { mac },
        ...mtu !== undefined && { mtu },
        sandbox: netns,
      },
    ],
    ips: made.addresses.map((address) => {
      const gateway = gatewayOf(address);
      return {
        address,
        ...gateway !== undefined && { gateway },
        interface: firstInterface + ofNode.length,
      };
    }),
    routes: [
      ...made.defaultRoute
        ? made.gateways.map((gw) => ({
          dst: gw.includes(":") ? "::/0" : "0.0.0.0/0",
          gw,
        }))
        : [],
      ...made.routes.map(({ destination, gateway }) => ({
        dst: destination,
        ...gateway !== undefined && { gw: gateway },
      })),
    ],
  };
}
