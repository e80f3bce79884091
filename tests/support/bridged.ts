/**
 * Pods on bridges, for tests.
 *
 * @module
 */
import type { InterfaceSpec } from "../../mod.ts";
import type { LabNode } from "../../src/testing/mod.ts";
import { command } from "./command.ts";
import { byFamily, type Pod } from "./pods.ts";

/** The attachment of an interface on a bridge. */
export type BridgeAttachment = Extract<
  InterfaceSpec["attachment"],
  { type: "bridge" }
>;

/** An interface on bridge `cni0`, with the node as its router. */
export function port(
  number: number,
  more: Partial<BridgeAttachment> = {},
): InterfaceSpec & { readonly attachment: BridgeAttachment } {
  return {
    name: "net1",
    attachment: {
      type: "bridge",
      bridge: "cni0",
      nodeAddresses: ["10.88.0.1/16", "fd88::1/64"],
      ...more,
    },
    addresses: [`10.88.0.${number}/16`, `fd88::${number}/64`],
    gateways: more.nodeAddresses?.length === 0 ? [] : ["10.88.0.1", "fd88::1"],
  };
}

/** Addresses of {@linkcode port}. */
export const portAddress = (number: number) =>
  byFamily(`10.88.0.${number}`, `fd88::${number}`);
/** The node's addresses on the bridge. */
export const bridgeAddress = portAddress(1);

/** MAC of a pod's first further interface. */
export function macOf(pod: Pod): string {
  return pod.sandbox.interfaces[0]?.mac ?? "";
}

/** A bridge of the user's, with another port. */
export function userBridge(host: LabNode, mac = "02:00:00:00:00:b0"): void {
  command(
    host.namespace,
    `ip link add br0 ${
      mac === "" ? "" : `address ${mac}`
    } type bridge mcast_snooping 1 ageing_time 12300
     ip link add port0 type veth peer name port1
     ip link set port0 master br0
     ip link set port0 up
     ip link set port1 up
     ip addr add 10.66.0.1/24 dev br0
     echo 0 > /proc/sys/net/ipv6/conf/br0/accept_dad
     ip link set br0 up`,
  );
}
