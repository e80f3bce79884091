/**
 * How further interfaces differ from what a record tells of them, and what mends it.
 *
 * @module
 */
import {
  believeNobody,
  bridgeDifferences,
  ensureBridge,
  findBridge,
  isOwnBridge,
} from "../../attachment/bridge.ts";
import { findPort, portDifferences } from "../../attachment/bridge_port.ts";
import { routeOf } from "../../attachment/check_pod.ts";
import type { WiringDifference } from "../../attachment/difference.ts";
import { findLink } from "../../attachment/questions.ts";
import {
  configureInterface,
  interfaceDifferences,
} from "../../attachment/extra_interface.ts";
import { beliefsOf } from "../../attachment/ipv6_guard.ts";
import { isDevice } from "../../attachment/node_device.ts";
import { releasePodRules } from "../../attachment/pod_routes.ts";
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { sysctlPath } from "../../namespace/sysctl.ts";
import type { Connection } from "../../netlink/connection.ts";
import type { Link } from "../../rtnetlink/link.ts";
import {
  bridgeSite,
  claimAll,
  isSupplied,
  recordedPort,
  wantedBridge,
} from "../node/bridges.ts";
import type { NodeContext } from "../node/context.ts";
import { claimFurtherAddresses } from "./live_ports.ts";
import { linkOf, make, withDevice } from "./make_interface.ts";
import { deviceOf, sourceOf, wantedOf } from "./recorded_interface.ts";
import type { RecordedInterface, SandboxRecord } from "../records/records.ts";

/** How the interfaces of a sandbox differ from what its record tells. */
export function interfacesDifferences(
  context: NodeContext,
  record: SandboxRecord,
  podRoute: Connection,
  interfaces: readonly RecordedInterface[] = record.interfaces,
): WiringDifference[] {
  const { state, sockets: { route } } = context;
  const open = () => NetworkNamespace.open(state.pinPath(record.id));
  const mending = (mend: (route: Connection) => void) => () => {
    using inside = routeOf(open);
    mend(inside);
  };
  return interfaces.flatMap((own): WiringDifference[] => {
    const wanted = wantedOf(own);
    const { attachment } = own.spec;
    const from = sourceOf(attachment);
    const source = findBridge(route, from);
    const ofNode = nodeDifferences(context, record, own, source);
    const link = findLink(podRoute, own.index);
    if (link !== undefined) {
      if (isPlanted(open, link, own)) {
        return [{
          object: `pod's link ${own.spec.name}`,
          problem: `is not the node's ${from}`,
          advice:
            `somebody in the pod has put another in its place: move ${from} back to the node, or remove the sandbox by force`,
        }];
      }
      return [
        ...ofNode,
        ...supplyDifferences(context, record, own, source, open),
        ...beliefDifferences(record, own, source, link, open),
        ...interfaceDifferences(podRoute, mending, link, wanted),
      ];
    }
    const object = `pod's link ${own.spec.name}`;
    if (attachment.type === "bridge") {
      const lost = lostBridge(own, source);
      if (lost !== undefined) return [lost];
    } else if (source === undefined) {
      return [{
        object,
        problem: `is gone, and the node has no link ${from}`,
        advice: `bring ${from} back, or detach the interface`,
      }];
    }
    return [{
      object,
      problem: "is gone",
      does: attachment.type === "device" ? "moves it in" : "makes a new one",
      mend: () => {
        using namespace = open();
        using inside = routeOf(open);
        releasePodRules(inside, own.index);
        const path = own.spec.name;
        const link = linkOf(context, own.spec, path);
        const note = noter(context, record, own);
        // It may be another link of that name by now.
        const noted = withDevice(context, record, own, link, path);
        note(noted);
        const pod = { namespace, podRoute: inside };
        make(context, record, pod, noted, link, note, path);
        claimChosen(context, record);
      },
    }];
  });
}

/** Whether a link of the pod is another than the one of the node that was moved in. */
function isPlanted(
  open: () => NetworkNamespace,
  link: Link,
  own: RecordedInterface,
): boolean {
  if (own.device === undefined) return false;
  using namespace = open();
  return !isDevice(namespace, link, wantedOf(own), deviceOf(own.device));
}

/** Attaching it was cut short before it had its addresses of ranges. */
function supplyDifferences(
  context: NodeContext,
  record: SandboxRecord,
  own: RecordedInterface,
  bridge: Link | undefined,
  open: () => NetworkNamespace,
): WiringDifference[] {
  const { route } = context.sockets;
  const port = recordedPort(context, record, own);
  if (isSupplied(own) || port === undefined) return [];
  const found = findPort(route, port);
  // Until it is a port that works, nothing can be claimed by it.
  if (!found?.up || !bridge || found.master !== bridge.index) return [];
  return [{
    object: `pod's link ${own.spec.name}`,
    problem: "has no address of its ranges",
    does: "chooses one",
    mend: () => {
      const note = noter(context, record, own);
      const got = claimAll(context, record.id, own, port, bridge, note);
      using inside = routeOf(open);
      releasePodRules(inside, own.index);
      configureInterface(inside, wantedOf(got));
      claimChosen(context, record);
    },
  }];
}

/** On a bridge of podnet's a pod believes no router, unless its spec has asked for that. */
function beliefDifferences(
  { spec: { sysctls } }: SandboxRecord,
  { spec: { name, attachment } }: RecordedInterface,
  bridge: Link | undefined,
  link: Link,
  open: () => NetworkNamespace,
): WiringDifference[] {
  if (attachment.type !== "bridge" || !bridge || !isOwnBridge(bridge)) {
    return [];
  }
  const asked = Object.keys(sysctls).map(sysctlPath);
  const pathOf = (key: string) => sysctlPath(`net/ipv6/conf/${name}/${key}`);
  return beliefsOf(link).filter((key) => !asked.includes(pathOf(key)))
    .map((key) => ({
      object: `pod's sysctl net.ipv6.conf.${name}.${key}`,
      problem: "is on",
      does: "switches it off",
      mend: () => {
        using pod = open();
        believeNobody(pod, name, [key]);
      },
    }));
}

/** It may have other addresses than when the table was compared. */
function claimChosen(context: NodeContext, { id }: SandboxRecord): void {
  const now = context.state.readSandbox(id);
  if (now !== undefined) claimFurtherAddresses(context, now);
}

/** Writes the record anew, with the interface as it is then. */
function noter(
  { state }: NodeContext,
  record: SandboxRecord,
  own: RecordedInterface,
): (now: RecordedInterface) => void {
  return (now) =>
    state.writeSandbox({
      ...record,
      interfaces: record.interfaces.map((one) => one === own ? now : one),
    });
}

/** How the node's end of an interface, and the bridge that it is a port of, differ. */
function nodeDifferences(
  context: NodeContext,
  record: SandboxRecord,
  own: RecordedInterface,
  bridge: Link | undefined,
): WiringDifference[] {
  const { sockets: { route } } = context;
  const { attachment } = own.spec;
  const port = recordedPort(context, record, own);
  if (attachment.type !== "bridge" || port === undefined) return [];
  const found = findPort(route, port);
  // The other end is gone, too, which is told of.
  if (found === undefined) return [];
  const lost = lostBridge(own, bridge);
  if (lost !== undefined) return [lost];
  const site = bridgeSite(context);
  const wanted = wantedBridge(context, attachment);
  if (bridge === undefined) {
    return [{
      object: `bridge ${attachment.bridge}`,
      problem: "is gone",
      does: "makes a new one",
      mend: () => {
        ensureBridge(site, wanted);
      },
    }];
  }
  const addresses = wantedOf(own).addresses.map(({ address }) => address);
  return [
    ...isOwnBridge(bridge) ? bridgeDifferences(site, bridge, wanted) : [],
    ...portDifferences(route, found, port, bridge, addresses),
  ];
}

/**
 * What keeps an interface from its bridge that only people can mend: podnet makes no bridge anew that may have been the user's,
 * whose own hands may be about to.
 */
function lostBridge(
  { spec: { attachment }, ownBridge }: RecordedInterface,
  found: Link | undefined,
): WiringDifference | undefined {
  const name = sourceOf(attachment);
  const problem = found === undefined
    ? ownBridge ? undefined : "is gone"
    : found.kind !== "bridge"
    ? "is no bridge"
    : ownBridge === false && isOwnBridge(found)
    ? "is podnet's, and was not"
    : undefined;
  return problem === undefined ? undefined : {
    object: `bridge ${name}`,
    problem,
    advice: `bring ${name} back, or detach the interface`,
  };
}
