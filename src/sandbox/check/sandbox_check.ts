/**
 * How one sandbox differs in the kernel from what its record tells, and what mends it. Its elements in the node's table
 * are another matter: see `table_check.ts`.
 *
 * @module
 */
import { Errno, isSyscallError } from "../../../ffi/errno.ts";
import { readTextFile } from "../../../ffi/file.ts";
import { hostDifferences } from "../../attachment/check_host.ts";
import { podDifferences, routeOf } from "../../attachment/check_pod.ts";
import {
  endDifferences,
  type WiringDifference,
} from "../../attachment/difference.ts";
import { findLink } from "../../attachment/questions.ts";
import { unguarded } from "../../attachment/ipv6_guard.ts";
import { isSandboxError } from "../../errors.ts";
import { NetworkNamespace } from "../../namespace/network_namespace.ts";
import { sysctlPath, writeSysctl } from "../../namespace/sysctl.ts";
import { Connection } from "../../netlink/connection.ts";
import { NETLINK_ROUTE } from "../../netlink/message.ts";
import { LOOPBACK_INDEX } from "../../rtnetlink/link.ts";
import { hasLink } from "../node/alive.ts";
import type { NodeContext } from "../node/context.ts";
import { dnsFileProblems, writeDnsFiles } from "../pod/dns_files.ts";
import { type Cure, type Difference, difference } from "../node/finding.ts";
import { processIn } from "../pod/holder.ts";
import { interfacesDifferences } from "../pod/interface_check.ts";
import { newIndex } from "../records/identity.ts";
import {
  type LinkedRecord,
  recordedClaims,
  recordedLink,
} from "../pod/recorded_wiring.ts";
import type { SandboxRecord } from "../records/records.ts";
import { relink } from "../pod/relink.ts";
import { elementDifferences, mendElements } from "./table_check.ts";

/** What helps when nothing is left to mend. */
const CREATE_AGAIN = "create it again, or collect garbage (podnet gc)";

/** How often what was mended is looked at again: what is mended may show what it had hidden. */
const ROUNDS = 4;

/** Compares a sandbox, whose lock the caller holds, without its elements. */
export function sandboxDifferences(
  context: NodeContext,
  record: SandboxRecord,
): Difference[] {
  const { spec: { namespace, name } } = record;
  const sandbox = `${namespace}/${name}`;
  const differs = (object: string, problem: string, cure: Cure) =>
    difference(sandbox, object, problem, cure);
  if (record.state === "creating") {
    return [
      differs("sandbox", "its creation was cut short", {
        advice: CREATE_AGAIN,
      }),
    ];
  }
  using pod = openPod(context, record);
  if (pod === undefined) {
    const [problem, cure] = lostPin(context, record);
    const path = context.state.pinPath(record.id);
    return [differs(`network namespace ${path}`, problem, cure)];
  }
  const found = [
    ...record.link !== undefined
      ? linkDifferences(context, { ...record, link: record.link }, pod)
      : record.spec.hostNetwork
      ? []
      : insideDifferences(
        context,
        record,
        pod,
        (podRoute) => loopbackDifferences(context, record, podRoute),
      ),
    ...dnsFileProblems(context.state, record).map(([path, problem]) => ({
      object: `file ${path}`,
      problem,
      does: "writes it anew",
      mend: () => writeDnsFiles(context.state, record),
    })),
  ];
  return found.map((one) => differs(one.object, one.problem, one));
}

/**
 * Mends a sandbox whose lock the caller holds, elements included.
 *
 * @returns its record, or undefined when nothing short of a new sandbox helps; nothing was done then
 */
export function mendSandbox(
  context: NodeContext,
  record: SandboxRecord,
): SandboxRecord | undefined {
  let current = record;
  for (let round = 0; round < ROUNDS; round++) {
    const wiring = sandboxDifferences(context, current);
    const table = elementDifferences(context, [current]);
    const found = [...wiring, ...table];
    if (found.length === 0) return current;
    const mendable = found.filter(({ repairable }) => repairable);
    if (mendable.length < found.length) return undefined;
    for (const { mend } of wiring) mend?.();
    mendElements(context, table);
    current = context.state.readSandbox(record.id) ?? current;
  }
  return current;
}

/** The namespace that the pin leads to, if it is the one that was made; after a reboot or an unmount it is not. */
function openPod(
  { state }: NodeContext,
  { id, netnsId }: SandboxRecord,
): NetworkNamespace | undefined {
  try {
    const namespace = NetworkNamespace.open(state.pinPath(id));
    if (namespace.id === netnsId) return namespace;
    namespace[Symbol.dispose]();
    return undefined;
  } catch (error) {
    if (isSandboxError(error, "InvalidNamespace")) return undefined;
    throw error;
  }
}

function lostPin(
  context: NodeContext,
  record: SandboxRecord,
): [problem: string, cure: Cure] {
  const { state, namespace } = context;
  const { id, netnsId, link } = record;
  if (link === undefined && netnsId === namespace.id) {
    return ["is not pinned any more", {
      does: "pins it again",
      mend: () => repin(state.pinPath(id), namespace),
    }];
  }
  // Without the link the number may be that of another namespace by now: the kernel gives it anew.
  const pid = hasLink(context, record) ? processIn(netnsId) : undefined;
  if (pid === undefined) return ["is gone", { advice: CREATE_AGAIN }];
  return [`is not pinned any more, process ${pid} is in it`, {
    does: "pins it again",
    mend: () => {
      using held = NetworkNamespace.fromPid(pid);
      // The number may be another process's by now.
      if (held.id === netnsId) repin(state.pinPath(id), held);
    },
  }];
}

function repin(path: string, namespace: NetworkNamespace): void {
  NetworkNamespace.unpin(path);
  namespace.pin(path);
}

function linkDifferences(
  context: NodeContext,
  record: LinkedRecord,
  pod: NetworkNamespace,
): WiringDifference[] {
  const { state, sockets: { route } } = context;
  const { id } = record;
  const { hostInterface } = record.link;
  const link = recordedLink(context, record);
  const claimed = recordedClaims(context, record);
  const ofHost = hostDifferences(route, link, claimed, newIndex);
  if (ofHost === undefined) {
    return [{
      object: `link ${hostInterface}`,
      problem: "is gone",
      does: "makes a new one",
      mend: () => relink(context, id),
    }];
  }
  const openPod = () => NetworkNamespace.open(state.pinPath(id));
  const withIpv6 = claimed.some(({ address }) => address.family === 6);
  return [
    ...ofHost,
    ...guardDifferences(context, hostInterface, withIpv6),
    ...insideDifferences(
      context,
      record,
      pod,
      (podRoute) => podDifferences(route, podRoute, openPod, link, claimed),
    ),
  ];
}

function guardDifferences(
  { namespace }: NodeContext,
  link: string,
  hasIpv6: boolean,
): WiringDifference[] {
  const path = (link: string, name: string) => `net/ipv6/conf/${link}/${name}`;
  const found = namespace.run(() =>
    unguarded(link, hasIpv6, (link, name) => valueOf(path(link, name))?.trim())
  );
  return found.map(({ name, found, wanted }) =>
    switchDifference(
      path(link, name),
      found,
      wanted,
      () => writeSysctl(namespace, path(link, name), wanted),
    )
  );
}

/** Of a pod whose own interface nobody looks at. */
function loopbackDifferences(
  { state }: NodeContext,
  { id }: SandboxRecord,
  podRoute: Connection,
): WiringDifference[] {
  const lo = findLink(podRoute, LOOPBACK_INDEX);
  return lo === undefined
    ? []
    : endDifferences(lo, { object: "pod's link lo" }, (change) => {
      using route = routeOf(() => NetworkNamespace.open(state.pinPath(id)));
      route.execute([change]);
    });
}

/** What differs in the pod: `look` at its own interface, further ones, sysctls. */
function insideDifferences(
  context: NodeContext,
  record: SandboxRecord,
  pod: NetworkNamespace,
  look: (podRoute: Connection) => WiringDifference[],
): WiringDifference[] {
  // Only what was asked for: to look into the /proc/sys of every pod would make that slow for all (see pod_namespace.ts).
  const switches = Object.entries(record.spec.sysctls);
  // One visit for all; what may fail comes before what would have to be closed then.
  const inside = pod.run(() => ({
    values: valuesOf(switches),
    route: Connection.open(NETLINK_ROUTE),
  }));
  using podRoute = inside.route;
  return [
    ...look(podRoute),
    ...interfacesDifferences(context, record, podRoute),
    ...switchDifferences(switches, inside.values, (name, value) => {
      using pod = NetworkNamespace.open(context.state.pinPath(record.id));
      writeSysctl(pod, name, value);
    }),
  ];
}

type Switches = readonly (readonly [name: string, value: string])[];

function valuesOf(switches: Switches): (string | undefined)[] {
  return switches.map(([name]) => valueOf(name));
}

/** Undefined for one that is not there: its link is not, or has no IPv6, which is told apart. */
function valueOf(name: string): string | undefined {
  try {
    return readTextFile(sysctlPath(name));
  } catch (error) {
    if (isSyscallError(error, Errno.ENOENT)) return undefined;
    throw error;
  }
}

function switchDifferences(
  switches: Switches,
  values: readonly (string | undefined)[],
  write: (name: string, value: string) => void,
): WiringDifference[] {
  return switches.flatMap(([name, value], i) => {
    const found = values[i];
    if (found === undefined || words(found) === words(value)) return [];
    return [switchDifference(name, found, value, () => write(name, value))];
  });
}

function switchDifference(
  name: string,
  found: string,
  wanted: string,
  mend: () => void,
): WiringDifference {
  const dotted = name.includes(".") ? name : name.replaceAll("/", ".");
  return {
    object: `sysctl ${dotted}`,
    problem: `is "${words(found)}" instead of "${wanted}"`,
    does: "sets it",
    mend,
  };
}

/** The kernel shows several values with tabs between them. */
function words(text: string): string {
  return text.trim().split(/\s+/).join(" ");
}
