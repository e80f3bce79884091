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
  type ExtraInterface,
  makeMacvlan,
} from "../../attachment/extra_interface.ts";
import { giveBack, moveIn } from "../../attachment/node_device.ts";
import { awaitAddresses, switchIpv6On } from "../../attachment/routed_veth.ts";
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
import { deviceNote } from "./device_note.ts";
import {
  explainMaking,
  explainSettings,
  noSuchLink,
  sourcePath,
} from "./interface_refusals.ts";
import { deviceOf, sourceOf, wantedOf } from "./recorded_interface.ts";
import type { RecordedInterface, SandboxRecord } from "../records/records.ts";

/** A pod that interfaces are attached to. */
export interface OpenPod {
  readonly namespace: NetworkNamespace;
  readonly podRoute: Connection;
}

/**
 * An interface with what is to be noted before it is made of a link: what that is like, if it is the link itself.
 *
 * @param path of the interface in what the caller wrote
 * @throws {SandboxError} `InvalidSpec` when somebody has taken the link
 */
export function withDevice(
  context: NodeContext,
  record: SandboxRecord,
  own: RecordedInterface,
  link: Link,
  path: string,
): RecordedInterface {
  const { attachment } = own.spec;
  if (attachment.type !== "device") return own;
  const device = deviceNote(context, record, link);
  if (device !== undefined) return { ...own, device };
  throw noSuchLink(attachment, path);
}

/**
 * Made as the record says.
 *
 * @param note writes the record, where something is chosen on the way
 * @param path of the interface in what the caller wrote
 * @returns what it is then
 * @throws {SandboxError} `InvalidSpec` when the kernel refuses what was asked for
 */
export function make(
  context: NodeContext,
  record: SandboxRecord,
  { namespace, podRoute }: OpenPod,
  own: RecordedInterface,
  link: Link,
  note: (own: RecordedInterface) => void,
  path: string,
): RecordedInterface {
  const { route } = context.sockets;
  const { attachment } = own.spec;
  const wanted = wantedOf(own);
  const trying = (explain: typeof explainMaking, act: () => void) => {
    try {
      act();
    } catch (error) {
      throw explain(error, { own, link, path });
    }
  };
  const making = (act: () => void) => trying(explainMaking, act);
  const configure = (wanted: ExtraInterface) =>
    trying(explainSettings, () => {
      if (record.spec.netns !== undefined) {
        switchIpv6On(namespace, wanted.name, wanted.addresses);
      }
      configureInterface(podRoute, wanted);
    });
  if (attachment.type === "macvlan") {
    const { mode } = attachment;
    making(() =>
      makeMacvlan(route, namespace, wanted, { parent: link.index, mode })
    );
  } else if (attachment.type === "device") {
    making(() => moveIn(route, namespace, wanted, link));
  } else {
    const port = recordedPort(context, record, own);
    if (port === undefined) throw new TypeError("a bridge without a port");
    const { mtu = link.mtu } = wanted;
    making(() => makePort(route, namespace, { ...wanted, mtu }, port, link));
    const got = claimAll(context, record.id, own, port, link, note);
    configure(wantedOf(got));
    awaitPort(route, port);
    // Those of the bridge have had no carrier before its first port.
    const { addresses } = wantedBridge(context, attachment);
    awaitAddresses(route, addresses.map(({ address }) => address));
    awaitAddresses(podRoute, wantedOf(got).addresses.map((a) => a.address));
    return got;
  }
  configure(wanted);
  return own;
}

/** The link of the node that an interface is made from. A bridge is made if need be. */
export function linkOf(
  context: NodeContext,
  spec: NormalisedInterface,
  path: string,
): Link {
  const { attachment } = spec;
  return attachment.type === "bridge"
    ? readyBridge(context, { ...spec, attachment }, path)
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
  for (const spec of interfaces) {
    const { name, attachment } = spec;
    const path = joinPath("interfaces", name);
    if (attachment.type === "bridge") {
      findUsableBridge(context, { ...spec, attachment }, path);
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
  const name = sourceOf(attachment);
  const link = orNone(route, getLink({ name }), Errno.ENODEV);
  if (link === undefined) throw noSuchLink(attachment, path);
  if (attachment.type === "device" && link.master !== undefined) {
    throw refusal(
      sourcePath(attachment, path),
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
  const { sockets: { route }, namespace } = context;
  if (own.device === undefined) {
    if (pod !== undefined) deleteInterface(pod.podRoute, own.index);
    const port = recordedPort(context, record, own);
    if (port !== undefined) deletePort(route, port);
    return;
  }
  const place = pod && { namespace: pod.namespace, route: pod.podRoute };
  try {
    giveBack(
      { namespace, route },
      place,
      wantedOf(own),
      deviceOf(own.device),
    );
  } catch (error) {
    if (!force || !isSandboxError(error, "DeviceLost")) throw error;
  }
}
