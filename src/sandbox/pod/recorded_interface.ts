/**
 * Further interfaces as records tell of them.
 *
 * @module
 */
import type { ExtraInterface } from "../../attachment/extra_interface.ts";
import type { NodeDevice } from "../../attachment/node_device.ts";
import { Cidr } from "../../net/cidr.ts";
import { InterfaceAddress } from "../../net/interface_address.ts";
import { IpAddress } from "../../net/ip.ts";
import { MacAddress } from "../../net/mac.ts";
import type {
  InterfaceAttachment,
  NormalisedInterface,
} from "../../spec/sandbox_spec.ts";
import { identity } from "../records/identity.ts";
import type { RecordedInterface } from "../records/records.ts";

/** A macvlan has a MAC that stays the same, a device its own, unless another is asked for. */
export function macOf(
  id: string,
  { name, mac, attachment }: NormalisedInterface,
): { readonly mac?: string } {
  if (mac !== undefined) return { mac };
  const hasOwn = attachment.type === "bridge" ||
    attachment.type === "macvlan" && attachment.mode !== "passthru";
  return hasOwn ? { mac: String(identity(`${id}/${name}`).mac) } : {};
}

export function wantedOf(
  { spec, index, mac, chosen = [] }: RecordedInterface,
): ExtraInterface {
  const { name, mtu, addresses, gateways, defaultRoute, routes } = spec;
  return {
    name,
    index,
    ...(mac === undefined ? {} : { mac: MacAddress.parse(mac) }),
    ...(mtu === undefined ? {} : { mtu }),
    addresses: [...addresses, ...chosen].map((text) =>
      InterfaceAddress.parse(text)
    ),
    gateways: gateways.map((text) => IpAddress.parse(text)),
    defaultRoute,
    routes: routes.map(({ destination, gateway }) => ({
      destination: Cidr.parse(destination),
      ...(gateway === undefined ? {} : { gateway: IpAddress.parse(gateway) }),
    })),
  };
}

export type NotedDevice = NonNullable<RecordedInterface["device"]>;

export function noteOf({ mac, addresses, ...device }: NodeDevice): NotedDevice {
  return {
    ...device,
    ...(mac === undefined ? {} : { mac: String(mac) }),
    addresses: addresses.map(({ address, peer, broadcast, ...rest }) => ({
      ...rest,
      address: String(address),
      ...(peer === undefined ? {} : { peer: String(peer) }),
      ...(broadcast === undefined ? {} : { broadcast: String(broadcast) }),
    })),
  };
}

export function deviceOf(
  { mac, addresses, ...device }: NotedDevice,
): NodeDevice {
  return {
    ...device,
    ...(mac === undefined ? {} : { mac: MacAddress.parse(mac) }),
    addresses: addresses.map(({ address, peer, broadcast, ...rest }) => ({
      ...rest,
      address: IpAddress.parse(address),
      ...(peer === undefined ? {} : { peer: IpAddress.parse(peer) }),
      ...(broadcast === undefined
        ? {}
        : { broadcast: IpAddress.parse(broadcast) }),
    })),
  };
}

/** Name of the link of the node that it is made from. */
export function sourceOf(attachment: InterfaceAttachment): string {
  switch (attachment.type) {
    case "bridge":
      return attachment.bridge;
    case "macvlan":
      return attachment.parent;
    case "device":
      return attachment.device;
  }
}
