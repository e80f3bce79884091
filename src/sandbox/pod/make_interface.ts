/**
 * A further interface, made and taken back.
 *
 * @module
 */
import { Errno } from "../../../ffi/errno.ts";
import {
  awaitPort,
  deletePort,
  makePort,
} from "../../attachment/bridge_port.ts";
import { orNone } from "../../attachment/questions.ts";
import {
  configureInterface,
  deleteInterface,
  makeMacvlan,
} from "../../attachment/extra_interface.ts";
import { giveBack, moveIn, type Place } from "../../attachment/node_device.ts";
import { awaitAddresses } from "../../attachment/routed_veth.ts";
import type { NetworkNamespace } from "../../namespace/network_namespace.ts";
import type { Connection } from "../../netlink/connection.ts";
import { isSandboxError } from "../../errors.ts";
import { getLink, type Link } from "../../rtnetlink/link.ts";
import { joinPath, refusal } from "../../spec/problems.ts";
import type { NormalisedInterface } from "../../spec/sandbox_spec.ts";
import {
  claimAll,
  findUsableBridge,
  readyBridge,
  recordedPort,
  wantedBridge,
} from "../node/bridges.ts";
import type { NodeContext } from "../node/context.ts";
import { deviceOf, wantedOf } from "./recorded_interface.ts";
import type { RecordedInterface, SandboxRecord } from "../records/records.ts";

/** A pod that interfaces are attached to. */
export interface OpenPod {
  readonly namespace: NetworkNamespace;
  readonly podRoute: Connection;
}

/**
 * Made as the record says.
 *
 * @param note writes the record, where something is chosen on the way
 * @returns what it is then
 */
export function make(
  context: NodeContext,
  record: SandboxRecord,
  { namespace, podRoute }: OpenPod,
  own: RecordedInterface,
  link: Link,
  note: (own: RecordedInterface) => void,
): RecordedInterface {
  const { route } = context.sockets;
  const { attachment } = own.spec;
  const wanted = wantedOf(own);
  if (attachment.type === "macvlan") {
    const { mode } = attachment;
    makeMacvlan(route, namespace, wanted, { parent: link.index, mode });
  } else if (attachment.type === "device") {
    moveIn(route, namespace, wanted, link);
  } else {
    const port = recordedPort(context, record, own);
    if (port === undefined) throw new TypeError("a bridge without a port");
    const { mtu = link.mtu } = wanted;
    makePort(route, namespace, { ...wanted, mtu }, port, link);
    const got = claimAll(context, record.id, own, port, link, note);
    configureInterface(podRoute, wantedOf(got));
    awaitPort(route, port);
    // Those of the bridge have had no carrier before its first port.
    const { addresses } = wantedBridge(context, attachment);
    awaitAddresses(route, addresses.map(({ address }) => address));
    awaitAddresses(podRoute, wantedOf(got).addresses.map((a) => a.address));
    return got;
  }
  configureInterface(podRoute, wanted);
  return own;
}

/** The link of the node that an interface is made from. A bridge is made if need be. */
export function linkOf(
  context: NodeContext,
  { attachment }: NormalisedInterface,
  path: string,
): Link {
  return attachment.type === "bridge"
    ? readyBridge(context, attachment, path)
    : requireLink(context, attachment, path);
}

/**
 * Looks for the links of the node that interfaces are to be made from.
 *
 * @throws {SandboxError} `InvalidSpec` at the one whose link is missing, or not to be used
 */
export function requireLinks(
  context: NodeContext,
  interfaces: readonly NormalisedInterface[],
): void {
  for (const { name, attachment } of interfaces) {
    const path = joinPath("interfaces", name);
    if (attachment.type === "bridge") {
      findUsableBridge(context, attachment, path);
    } else {
      requireLink(context, attachment, path);
    }
  }
}

function requireLink(
  context: NodeContext,
  attachment: Exclude<
    NormalisedInterface["attachment"],
    { readonly type: "bridge" }
  >,
  path: string,
): Link {
  const { route } = context.sockets;
  const [key, name] = attachment.type === "macvlan"
    ? ["parent", attachment.parent] as const
    : ["device", attachment.device] as const;
  const place = joinPath(joinPath(path, "attachment"), key);
  const link = orNone(route, getLink({ name }), Errno.ENODEV);
  if (link === undefined) {
    throw refusal(place, name, "the node has no such link");
  }
  if (key === "device" && link.master !== undefined) {
    throw refusal(
      place,
      name,
      "it is a port of another link, which would lose it: release it first",
    );
  }
  return link;
}

/**
 * Takes an interface from the pod; without the pod there is only the node's part to look after.
 *
 * @throws {SandboxError} `DeviceLost` unless forced: a link of the node is not to be found, and another is in its place
 */
export function release(
  context: NodeContext,
  record: SandboxRecord,
  pod: OpenPod | undefined,
  own: RecordedInterface,
  { force = false }: { readonly force?: boolean } = {},
): void {
  const { route } = context.sockets;
  if (own.device === undefined) {
    if (pod !== undefined) deleteInterface(pod.podRoute, own.index);
    const port = recordedPort(context, record, own);
    if (port !== undefined) deletePort(route, port);
    return;
  }
  const place = pod && { namespace: pod.namespace, route: pod.podRoute };
  try {
    giveBack(placeOf(context), place, wantedOf(own), deviceOf(own.device));
  } catch (error) {
    if (!force || !isSandboxError(error, "DeviceLost")) throw error;
  }
}

/** The node itself. */
export function placeOf({ sockets: { route }, namespace }: NodeContext): Place {
  return { namespace, route };
}
