/**
 * Further interfaces of a sandbox: attached when it is made or while it lives, given back when it goes.
 *
 * @module
 */
import { Errno } from "../../ffi/errno.ts";
import {
  configureInterface,
  deleteInterface,
  type ExtraInterface,
  giveBack,
  interfaceDifferences,
  makeMacvlan,
  moveIn,
  type NodeDevice,
  nodeDevice,
} from "../attachment/extra_interface.ts";
import { routeOf } from "../attachment/check_pod.ts";
import { releasePodRules } from "../attachment/pod_routes.ts";
import {
  findLink,
  orNone,
  type WiringDifference,
} from "../attachment/difference.ts";
import { isSandboxError, SandboxError } from "../errors.ts";
import { NetworkNamespace } from "../namespace/network_namespace.ts";
import { Cidr } from "../net/cidr.ts";
import { InterfaceAddress } from "../net/interface_address.ts";
import { IpAddress } from "../net/ip.ts";
import { MacAddress } from "../net/mac.ts";
import { Connection } from "../netlink/connection.ts";
import { NETLINK_ROUTE } from "../netlink/message.ts";
import { getLink, type Link } from "../rtnetlink/link.ts";
import type { NormalisedInterface } from "../spec/sandbox_spec.ts";
import { joinPath } from "../spec/problems.ts";
import type { NodeContext } from "./context.ts";
import { identity, newIndex } from "./identity.ts";
import type { RecordedInterface, SandboxRecord } from "./records.ts";
import { parseInterfaceSpec } from "../spec/parse.ts";
import { UndoStack } from "./undo.ts";

/** A pod that interfaces are attached to. */
export interface OpenPod {
  readonly namespace: NetworkNamespace;
  readonly podRoute: Connection;
}

/**
 * Attaches an interface to a sandbox whose record is written.
 *
 * @param path of the interface in what the caller wrote
 * @returns the record with it, which is written
 * @throws {SandboxError} `InvalidSpec` when the node has no such link, or the pod has the interface already
 */
export function attachInterface(
  context: NodeContext,
  record: SandboxRecord,
  spec: NormalisedInterface,
  pod: OpenPod,
  undo: UndoStack,
  path: string,
): SandboxRecord {
  const { state, sockets: { route } } = context;
  const link = linkOf(context, spec, path);
  if (orNone(pod.podRoute, getLink({ name: spec.name }), Errno.ENODEV)) {
    throw refused(joinPath(path, "name"), spec.name, "the pod has it already");
  }
  const own: RecordedInterface = {
    spec,
    index: newIndex(),
    ...macOf(record.id, spec),
    ...spec.attachment.type === "device"
      ? { device: noteOf(nodeDevice(route, link)) }
      : {},
  };
  // What is about to be moved must be found by the record.
  const changed: SandboxRecord = {
    ...record,
    interfaces: [...record.interfaces, own],
  };
  state.writeSandbox(changed);
  undo.push(() => state.writeSandbox(record));
  const giveUp = () => {
    using pod = openPod(context, changed);
    release(context, pod?.podRoute, own);
  };
  // Once more when it fails: a device that stays in the pod may go with it.
  undo.push(giveUp);
  undo.push(giveUp);
  make(route, pod, own, link);
  return changed;
}

/**
 * Attaches an interface to a sandbox that lives, wholly or not at all.
 *
 * @returns the record with it, which is written
 * @throws {SandboxError} as {@linkcode attachInterface}, and `InvalidSpec` for a spec that cannot be
 */
export function attachToSandbox(
  context: NodeContext,
  record: SandboxRecord,
  given: unknown,
): SandboxRecord {
  if (record.link === undefined) {
    throw new SandboxError("InvalidSpec", {
      problems: [{
        path: "",
        message:
          "leave it: on the host network the pod has the node's own network, which podnet does not change",
      }],
    });
  }
  const free = parseInterfaceSpec(given, NOTHING_ELSE);
  const same = record.interfaces.find(({ spec }) => spec.name === free.name);
  if (
    same !== undefined && JSON.stringify(same.spec) === JSON.stringify(free)
  ) {
    mendInterface(context, record, same);
    return record;
  }
  const { spec: primary } = record;
  const others = record.interfaces.map(({ spec }) => spec);
  const spec = parseInterfaceSpec(given, {
    names: [primary, ...others].map((one) =>
      "interfaceName" in one ? one.interfaceName : one.name
    ),
    defaultRoute: [primary, ...others].some((one) => one.defaultRoute),
    destinations: [primary, ...others].flatMap(({ routes }) =>
      routes.map(({ destination }) => destination)
    ),
  });
  const undo = new UndoStack();
  try {
    using pod = openPod(context, record);
    if (pod === undefined) {
      const path = context.state.pinPath(record.id);
      throw new SandboxError("InvalidNamespace", {
        path,
        reason: "it is gone: create the sandbox again",
      });
    }
    return attachInterface(context, record, spec, pod, undo, "");
  } catch (error) {
    throw undo.rollBack(error);
  }
}

/** Attaching it before may have been cut short. */
function mendInterface(
  context: NodeContext,
  record: SandboxRecord,
  own: RecordedInterface,
): void {
  using pod = openPod(context, record);
  if (pod === undefined) return;
  const found = interfacesDifferences(
    context,
    { ...record, interfaces: [own] },
    pod.podRoute,
  );
  for (const { mend } of found) mend?.();
}

const NOTHING_ELSE = { names: [], destinations: [], defaultRoute: false };

/** Made as the record says. */
function make(
  route: Connection,
  { namespace, podRoute }: OpenPod,
  own: RecordedInterface,
  link: Link,
): void {
  const { attachment } = own.spec;
  const wanted = wantedOf(own);
  if (attachment.type === "macvlan") {
    const { mode } = attachment;
    makeMacvlan(route, namespace, wanted, { parent: link.index, mode });
  } else moveIn(route, namespace, wanted, link);
  configureInterface(podRoute, wanted);
}

/** The link of the node that an interface is made from. */
function linkOf(
  { sockets: { route } }: NodeContext,
  { attachment }: NormalisedInterface,
  path: string,
): Link {
  const [key, name] = attachment.type === "macvlan"
    ? ["parent", attachment.parent] as const
    : ["device", attachment.device] as const;
  const place = joinPath(joinPath(path, "attachment"), key);
  const link = orNone(route, getLink({ name }), Errno.ENODEV);
  if (link === undefined) {
    throw refused(place, name, "the node has no such link");
  }
  if (key === "device" && link.master !== undefined) {
    throw refused(
      place,
      name,
      "it is a port of another link, which would lose it: release it first",
    );
  }
  return link;
}

function refused(path: string, received: string, message: string) {
  return new SandboxError("InvalidSpec", {
    problems: [{ path, message, received }],
  });
}

/** A macvlan has a MAC that stays the same, a device its own, unless another is asked for. */
function macOf(
  id: string,
  { name, mac, attachment }: NormalisedInterface,
): { readonly mac?: string } {
  if (mac !== undefined) return { mac };
  return attachment.type === "macvlan" && attachment.mode !== "passthru"
    ? { mac: String(identity(`${id}/${name}`).mac) }
    : {};
}

function wantedOf(
  { spec, index, mac }: RecordedInterface,
): ExtraInterface {
  const { name, mtu, addresses, gateways, defaultRoute, routes } = spec;
  return {
    name,
    index,
    ...(mac === undefined ? {} : { mac: MacAddress.parse(mac) }),
    ...(mtu === undefined ? {} : { mtu }),
    addresses: addresses.map((text) => InterfaceAddress.parse(text)),
    gateways: gateways.map((text) => IpAddress.parse(text)),
    defaultRoute,
    routes: routes.map(({ destination, gateway }) => ({
      destination: Cidr.parse(destination),
      ...(gateway === undefined ? {} : { gateway: IpAddress.parse(gateway) }),
    })),
  };
}

type NotedDevice = NonNullable<RecordedInterface["device"]>;

function noteOf({ mac, addresses, ...device }: NodeDevice): NotedDevice {
  return {
    ...device,
    ...(mac === undefined ? {} : { mac: String(mac) }),
    addresses: addresses.map(({ address, ...rest }) => ({
      ...rest,
      address: String(address),
    })),
  };
}

function deviceOf({ mac, addresses, ...device }: NotedDevice): NodeDevice {
  return {
    ...device,
    ...(mac === undefined ? {} : { mac: MacAddress.parse(mac) }),
    addresses: addresses.map(({ address, ...rest }) => ({
      ...rest,
      address: IpAddress.parse(address),
    })),
  };
}

/** Takes an interface from the pod; without the pod there is only a device to look after. */
function release(
  { sockets: { route }, namespace }: NodeContext,
  podRoute: Connection | undefined,
  own: RecordedInterface,
): void {
  if (own.device === undefined) {
    if (podRoute !== undefined) deleteInterface(podRoute, own.index);
    return;
  }
  giveBack(route, namespace, podRoute, wantedOf(own), deviceOf(own.device));
}

/**
 * Detaches an interface.
 *
 * @returns the record without it, which is written
 */
export function detachInterface(
  context: NodeContext,
  record: SandboxRecord,
  name: string,
): SandboxRecord {
  const own = record.interfaces.find(({ spec }) => spec.name === name);
  if (own === undefined) return record;
  using pod = openPod(context, record);
  release(context, pod?.podRoute, own);
  const changed: SandboxRecord = {
    ...record,
    interfaces: record.interfaces.filter((other) => other !== own),
  };
  // The note goes last, for what it does not name would be lost.
  context.state.writeSandbox(changed);
  return changed;
}

/**
 * Gives back what is the node's, and deletes the rest at once: a macvlan that goes with its namespace, on the kernel's own
 * time, still has its MAC when the sandbox is made again (macvlan_addr_busy).
 */
export function releaseInterfaces(
  context: NodeContext,
  record: SandboxRecord,
): void {
  if (record.interfaces.length === 0) return;
  using pod = openPod(context, record);
  for (const own of record.interfaces) release(context, pod?.podRoute, own);
}

/** The pod that the pin leads to, if it is still the one of the record. */
export function openPod(
  { state }: NodeContext,
  { id, netnsId }: SandboxRecord,
): OpenPod & Disposable | undefined {
  using opened = new DisposableStack();
  try {
    const namespace = opened.use(NetworkNamespace.open(state.pinPath(id)));
    if (namespace.id !== netnsId) return undefined;
    const podRoute = opened.use(
      namespace.run(() => Connection.open(NETLINK_ROUTE)),
    );
    const owned = opened.move();
    return {
      namespace,
      podRoute,
      [Symbol.dispose]: () => owned.dispose(),
    };
  } catch (error) {
    if (isSandboxError(error, "InvalidNamespace")) return undefined;
    throw error;
  }
}

/** How the interfaces of a sandbox differ from what its record tells. */
export function interfacesDifferences(
  context: NodeContext,
  record: SandboxRecord,
  podRoute: Connection,
): WiringDifference[] {
  const { state, sockets: { route } } = context;
  const open = () => NetworkNamespace.open(state.pinPath(record.id));
  const mending = (mend: (route: Connection) => void) => () => {
    using inside = routeOf(open);
    mend(inside);
  };
  return record.interfaces.flatMap((own): WiringDifference[] => {
    const wanted = wantedOf(own);
    const link = findLink(podRoute, own.index);
    if (link !== undefined) {
      return interfaceDifferences(podRoute, mending, link, wanted);
    }
    const { attachment } = own.spec;
    const object = `pod's link ${own.spec.name}`;
    const from = attachment.type === "macvlan"
      ? attachment.parent
      : attachment.device;
    const source = orNone(route, getLink({ name: from }), Errno.ENODEV);
    if (source === undefined) {
      return [{
        object,
        problem: `is gone, and the node has no link ${from}`,
        advice: `bring ${from} back, or detach the interface`,
      }];
    }
    return [{
      object,
      problem: "is gone",
      does: attachment.type === "macvlan" ? "makes a new one" : "moves it in",
      mend: () => {
        using namespace = open();
        using inside = routeOf(open);
        releasePodRules(inside, own.index);
        make(route, { namespace, podRoute: inside }, own, source);
      },
    }];
  });
}
