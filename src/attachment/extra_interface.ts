/**
 * Further interfaces of a pod, on networks that are not podnet's: a macvlan of a link of the node, which goes with the pod,
 * or a link of the node itself, which is moved in and given back (node_device.ts).
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import type { NetworkNamespace } from "../namespace/network_namespace.ts";
import type { InterfaceAddress } from "../net/interface_address.ts";
import type { MacvlanMode } from "../net/macvlan_mode.ts";
import type { Cidr } from "../net/cidr.ts";
import type { IpAddress } from "../net/ip.ts";
import type { MacAddress } from "../net/mac.ts";
import type { Connection } from "../netlink/connection.ts";
import { isNetlinkError } from "../netlink/netlink_error.ts";
import { dumpAddresses, newAddress } from "../rtnetlink/address.ts";
import { RT_TABLE_MAIN } from "../rtnetlink/constants.ts";
import {
  deleteLink,
  getLink,
  type Link,
  LOOPBACK_INDEX,
  newLink,
  setLink,
} from "../rtnetlink/link.ts";
import { endDifferences, type WiringDifference } from "./difference.ts";
import { awaitAddresses } from "./routed_veth.ts";
import {
  missingPodRoutes,
  podRouteRequests,
  type PodRoutes,
  releasePodRules,
} from "./pod_routes.ts";

/** What an interface is to be, inside the pod. */
export interface ExtraInterface {
  readonly name: string;
  /** Chosen ahead, so that it is known before it is there. */
  readonly index: number;
  /** @default what it has */
  readonly mac?: MacAddress;
  /**
   * Bytes.
   * @default what it has
   */
  readonly mtu?: number;
  readonly addresses: readonly InterfaceAddress[];
  /** One of each IP version at most. */
  readonly gateways: readonly IpAddress[];
  /** Whether the pod's default routes lead to the gateways. */
  readonly defaultRoute: boolean;
  readonly routes: readonly {
    readonly destination: Cidr;
    readonly gateway?: IpAddress;
  }[];
}

/** Makes a macvlan in the pod, down. */
export function makeMacvlan(
  route: Connection,
  pod: NetworkNamespace,
  { name, index, mac, mtu }: ExtraInterface,
  { parent, mode }: { readonly parent: number; readonly mode: MacvlanMode },
): void {
  route.execute([
    newLink({
      name,
      index,
      parent,
      namespaceFd: pod.fd,
      info: { macvlan: { mode } },
      ...(mac === undefined ? {} : { mac }),
      ...(mtu === undefined ? {} : { mtu }),
    }),
  ]);
}

/**
 * Configures an interface that is there.
 *
 * @throws {SandboxError} `Timeout`
 */
export function configureInterface(
  podRoute: Connection,
  wanted: ExtraInterface,
): void {
  const { index, mac, mtu, addresses } = wanted;
  const changes = {
    ...(mac === undefined ? {} : { mac }),
    ...(mtu === undefined ? {} : { mtu }),
  };
  podRoute.execute([
    setLink({ index: LOOPBACK_INDEX, up: true }),
    ...mac === undefined && mtu === undefined
      ? []
      : [setLink({ index, ...changes })],
    setLink({ index, up: true }),
    ...addresses.map(({ address, prefixLength }) =>
      newAddress({ index, address, prefixLength, noDad: true })
    ),
    ...podRouteRequests(routesOf(wanted)),
  ]);
  // Asking for a link makes the kernel run its pending carrier work at once (since 6.8).
  const [link] = podRoute.request(getLink({ index }));
  if (!link?.carrier) return;
  awaitAddresses(podRoute, addresses.map(({ address }) => address));
}

function routesOf(
  { index, addresses, gateways, defaultRoute, routes }: ExtraInterface,
): PodRoutes {
  const defaults = gateways.map((gateway) =>
    ({
      destination: "default",
      family: gateway.family,
      gateway,
      table: defaultRoute ? RT_TABLE_MAIN : index,
    }) as const
  );
  const others = routes.map(({ destination, gateway }) => ({
    destination,
    family: destination.family,
    table: RT_TABLE_MAIN,
    ...(gateway === undefined ? {} : { gateway }),
  }));
  // Only where there is a way that the main table does not have.
  const sources = defaultRoute
    ? []
    : addresses.filter(({ family }) =>
      gateways.some((gateway) => gateway.family === family)
    );
  return {
    index,
    routes: [
      ...defaults,
      ...others,
      ...sources.map(({ network }) => ({
        destination: network,
        family: network.family,
        table: index,
      })),
    ],
    sources: sources.map(({ address }) => address),
  };
}

/** How an interface that is there differs from what it should be. */
export function interfaceDifferences(
  podRoute: Connection,
  mending: (mend: (podRoute: Connection) => void) => () => void,
  link: Link,
  wanted: ExtraInterface,
): WiringDifference[] {
  const { name, index, mac, mtu, addresses } = wanted;
  const ends = endDifferences(link, {
    object: `pod's link ${name}`,
    name,
    isFree: true,
    ...(mac === undefined ? {} : { mac }),
    ...(mtu === undefined ? {} : { mtu }),
  }, (change) => mending((route) => route.execute([change]))());
  const there = podRoute.dump(dumpAddresses({ index }));
  const missing = [
    ...addresses.filter(({ address, prefixLength }) =>
      !there.some((a) =>
        a.address.equals(address) && a.prefixLength === prefixLength
      )
    ).map((address) => `address ${address}`),
    ...missingPodRoutes(podRoute, routesOf(wanted)),
  ];
  return [
    ...ends,
    ...missing.map((what) => ({
      object: `pod's ${what}`,
      problem: "is missing",
      does: "sets it",
      mend: mending((route) => {
        releasePodRules(route, index);
        configureInterface(route, wanted);
      }),
    })),
  ];
}

/** Deletes an interface that was made for the pod; one that is gone is no error. */
export function deleteInterface(podRoute: Connection, index: number): void {
  releasePodRules(podRoute, index);
  try {
    podRoute.execute([deleteLink({ index })]);
  } catch (error) {
    if (!isNetlinkError(error, Errno.ENODEV)) throw error;
  }
}
