/**
 * Sandboxes without an interface on the node's own network: on the host network, or with further interfaces alone.
 *
 * @module
 */
import { IpAddress } from "../../net/ip.ts";
import { LOOPBACK_INDEX, setLink } from "../../rtnetlink/link.ts";
import type { NormalisedSpec } from "../../spec/sandbox_spec.ts";
import { hostNetworkAddresses, type NodeContext } from "../node/context.ts";
import { newDnsFiles } from "./dns_files.ts";
import { attachInterfaces } from "./interfaces.ts";
import { claimNewPorts } from "./live_ports.ts";
import { pinFor, recordOf } from "../records/new_record.ts";
import { adoptPodNamespace, newPodNamespace } from "./pod_namespace.ts";
import type { SandboxRecord } from "../records/records.ts";
import { writeSpecSysctls } from "./spec_sysctls.ts";
import type { UndoStack } from "../records/undo.ts";

/** What they are made from. */
interface Wanted {
  readonly id: string;
  readonly spec: NormalisedSpec;
}

/** With the interfaces of the spec and no other: nothing of the node's own network leads to it. */
export function buildUnrouted(
  context: NodeContext,
  { id, spec }: Wanted,
  undo: UndoStack,
): SandboxRecord {
  const { state, settings } = context;
  const { netns, interfaces } = spec;
  using pod = netns === undefined
    ? newPodNamespace(context)
    : adoptPodNamespace(context, {
      defaultRoutes: interfaces.filter(({ defaultRoute }) => defaultRoute)
        .flatMap(({ gateways }) =>
          gateways.map((text) => IpAddress.parse(text).family)
        ),
      routes: interfaces.flatMap(({ routes }) => routes),
    }, netns);
  pinFor(state, id, pod.namespace, undo);
  const record: SandboxRecord = {
    ...recordOf(id, spec, pod.namespace, []),
    mtu: settings.mtu,
  };
  pod.podRoute.execute([setLink({ index: LOOPBACK_INDEX, up: true })]);
  writeSpecSysctls(pod.namespace, spec);
  newDnsFiles(state, record);
  state.writeSandbox(record);
  return attachInterfaces(context, record, pod, undo);
}

/** On the node's network: nothing is made but the pin, so that the path to join is there as for any sandbox; ports are claimed. */
export function buildOnHostNetwork(
  context: NodeContext,
  { id, spec }: Wanted,
  undo: UndoStack,
): SandboxRecord {
  const { state, settings, namespace } = context;
  const addresses = hostNetworkAddresses(context);
  const record: SandboxRecord = {
    ...recordOf(id, spec, namespace, addresses),
    mtu: settings.mtu,
  };
  pinFor(state, id, namespace, undo);
  newDnsFiles(state, record);
  if (record.ports.length === 0) return record;
  // A claim must not outlive its maker unnoticed.
  state.writeSandbox(record);
  claimNewPorts(context, record, undo);
  return record;
}
