/**
 * Further interfaces of a sandbox: attached when it is made or while it lives, given back when it goes.
 *
 * @module
 */
import { Errno } from "../../../ffi/errno.ts";
import { isOwnBridge } from "../../attachment/bridge.ts";
import { orNone } from "../../attachment/questions.ts";
import { isSandboxError, SandboxError } from "../../errors.ts";
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { Connection } from "../../netlink/connection.ts";
import { NETLINK_ROUTE } from "../../netlink/message.ts";
import { getLink } from "../../rtnetlink/link.ts";
import { NO_INTERFACES } from "../../spec/interface_rules.ts";
import { parseInterfaceSpec } from "../../spec/parse.ts";
import { joinPath, refusal } from "../../spec/problems.ts";
import type { NormalisedInterface } from "../../spec/sandbox_spec.ts";
import type { NodeContext } from "../node/context.ts";
import { newIndex, newPort } from "../records/identity.ts";
import { interfacesDifferences } from "./interface_check.ts";
import {
  claimFurtherAddresses,
  releaseFurtherAddresses,
} from "./live_ports.ts";
import {
  linkOf,
  make,
  type OpenPod,
  release,
  withDevice,
} from "./make_interface.ts";
import { giveOwnTable } from "./own_table.ts";
import { macOf } from "./recorded_interface.ts";
import type { RecordedInterface, SandboxRecord } from "../records/records.ts";
import type { RemoveOptions } from "./remove.ts";
import { writeInterfaceSysctls } from "./spec_sysctls.ts";
import { UndoStack } from "../records/undo.ts";

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
  const { state } = context;
  if (orNone(pod.podRoute, getLink({ name: spec.name }), Errno.ENODEV)) {
    throw refusal(joinPath(path, "name"), spec.name, "the pod has it already");
  }
  const link = linkOf(context, spec, path);
  const { type } = spec.attachment;
  const own = withDevice(
    context,
    record,
    {
      spec,
      index: newIndex(),
      ...macOf(record.id, spec),
      ...type === "bridge"
        ? { port: newPort(), ownBridge: isOwnBridge(link) }
        : {},
    },
    link,
    path,
  );
  const withOwn = (own: RecordedInterface): SandboxRecord => ({
    ...record,
    interfaces: [...record.interfaces, own],
  });
  const note = (own: RecordedInterface) => state.writeSandbox(withOwn(own));
  giveOwnTable(context, record, pod.podRoute);
  // What is about to be moved must be found by the record.
  note(own);
  undo.push(() => state.writeSandbox(record));
  const giveUp = () => {
    using pod = openPod(context, record);
    release(context, record, pod, own);
  };
  // Once more when it fails: a device that stays in the pod may go with it.
  undo.push(giveUp);
  undo.push(giveUp);
  return withOwn(make(context, record, pod, own, link, note, path));
}

/** Attaches those of the spec to a sandbox that is being made; see {@linkcode attachInterface}. */
export function attachInterfaces(
  context: NodeContext,
  record: SandboxRecord,
  pod: OpenPod,
  undo: UndoStack,
): SandboxRecord {
  const attached = record.spec.interfaces.reduce(
    (record, spec) => {
      const path = joinPath("interfaces", spec.name);
      return attachInterface(context, record, spec, pod, undo, path);
    },
    record,
  );
  writeInterfaceSysctls(pod.namespace, record.spec);
  return attached;
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
  if (record.spec.hostNetwork) {
    throw new SandboxError("InvalidSpec", {
      problems: [{
        path: "",
        message:
          "leave it: on the host network the pod has the node's own network, which podnet does not change",
      }],
    });
  }
  const free = parseInterfaceSpec(given, NO_INTERFACES);
  const same = record.interfaces.find(({ spec }) => spec.name === free.name);
  if (
    same !== undefined && JSON.stringify(same.spec) === JSON.stringify(free)
  ) {
    const mended = mendInterface(context, record, free.name);
    claimFurtherAddresses(context, mended);
    return mended;
  }
  const others = record.interfaces.map(({ spec }) => spec);
  const { interfaceName: name } = record.spec;
  const all = [
    ...record.link === undefined ? [] : [{ ...record.spec, name }],
    ...others,
  ];
  const spec = parseInterfaceSpec(given, {
    names: all.map(({ name }) => name),
    defaultRoute: all.some(({ defaultRoute }) => defaultRoute),
    destinations: all.flatMap(({ routes }) =>
      routes.map(({ destination }) => destination)
    ),
    podCidrs: context.pools.map(({ cidr }) => cidr),
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
    const attached = attachInterface(context, record, spec, pod, undo, "");
    claimFurtherAddresses(context, attached);
    return attached;
  } catch (error) {
    throw undo.rollBack(error);
  }
}

/** How often what was mended is looked at again: what is mended may show what it had hidden. */
const ROUNDS = 4;

/**
 * Attaching it before may have been cut short.
 *
 * @returns the record as it is then
 */
function mendInterface(
  context: NodeContext,
  record: SandboxRecord,
  name: string,
): SandboxRecord {
  using pod = openPod(context, record);
  if (pod === undefined) return record;
  let current = record;
  for (let round = 0; round < ROUNDS; round++) {
    const own = current.interfaces.filter(({ spec }) => spec.name === name);
    const found = interfacesDifferences(context, current, pod.podRoute, own);
    if (found.length === 0) break;
    for (const { mend } of found) mend?.();
    current = context.state.readSandbox(record.id) ?? current;
  }
  return current;
}

/**
 * Detaches an interface.
 *
 * @returns the record without it, which is written
 * @throws {SandboxError} `DeviceLost` unless forced
 */
export function detachInterface(
  context: NodeContext,
  record: SandboxRecord,
  name: string,
  options?: Pick<RemoveOptions, "force">,
): SandboxRecord {
  const own = record.interfaces.find(({ spec }) => spec.name === name);
  if (own === undefined) return record;
  using pod = openPod(context, record);
  release(context, record, pod, own, options);
  const changed: SandboxRecord = {
    ...record,
    interfaces: record.interfaces.filter((other) => other !== own),
  };
  releaseFurtherAddresses(context, record, changed);
  // The note goes last, for what it does not name would be lost.
  context.state.writeSandbox(changed);
  return changed;
}

/**
 * Gives back what is the node's, and deletes the rest at once: a macvlan that goes with its namespace, on the kernel's own
 * time, still has its MAC when the sandbox is made again (macvlan_addr_busy).
 *
 * @throws {SandboxError} `DeviceLost` unless forced
 */
export function releaseInterfaces(
  context: NodeContext,
  record: SandboxRecord,
  options?: Pick<RemoveOptions, "force">,
): void {
  if (record.interfaces.length === 0) return;
  using pod = openPod(context, record);
  for (const own of record.interfaces) {
    release(context, record, pod, own, options);
  }
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
